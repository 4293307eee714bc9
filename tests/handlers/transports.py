"""What stands in for the way to the service: a test says what each request is answered."""

from collections.abc import Mapping
from dataclasses import dataclass

from handlers.client import Reply, Transport


@dataclass(frozen=True, slots=True)
class Sent:
    """One request, as a transport gets it."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class ScriptedTransport:
    """A transport that subclasses answer for; what they do not, `inner` does."""

    def __init__(self, inner: Transport | None = None) -> None:
        self.inner = inner

    def answer(self, sent: Sent) -> Reply | None:
        """Return the reply, None to pass the request on."""
        raise NotImplementedError

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Reply:
        """See `handlers.client.Transport`."""
        reply = self.answer(Sent(method, path, query, headers, body))
        if reply is not None:
            return reply
        assert self.inner is not None, f"nothing answers {method} {path}"
        return self.inner.send(method, path, query, headers, body)

    def close(self) -> None:
        """Close what requests are passed on to."""
        if self.inner is not None:
            self.inner.close()
