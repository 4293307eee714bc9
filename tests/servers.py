"""A local server over an empty data folder, and a small client that speaks to it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from handlers.local import RunningServer, start_background


@dataclass(frozen=True, slots=True)
class Client:
    """Sends JSON with a key and a namespace; asserts nothing."""

    http: httpx.Client
    key: str | None
    namespace: str | None = None

    def send(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """Return the response to one call; `options` go to httpx."""
        headers = dict(options.pop("headers", {}))
        if self.key is not None:
            headers.setdefault("Authorization", f"Bearer {self.key}")
        if self.namespace is not None:
            headers.setdefault("X-Namespace", self.namespace)
        if body is not None:
            options["json"] = body
        return self.http.request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET."""
        return self.send("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """POST."""
        return self.send("POST", path, body, **options)

    def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Return the JSON of a call that must succeed."""
        response = self.send(method, path, body, **options)
        assert response.status_code == 200, response.text
        return response.json()

    def within(self, namespace: str | None) -> "Client":
        """Return the same client in another namespace."""
        return Client(self.http, self.key, namespace)

    def holding(self, key: str | None) -> "Client":
        """Return the same client with another key."""
        return Client(self.http, key, self.namespace)


@dataclass(slots=True)
class Server:
    """A running server and its admin's client."""

    running: RunningServer
    admin: Client
    _count: int = field(default=0)

    @property
    def base_url(self) -> str:
        """Where it listens, without `/v1`."""
        return self.running.base_url

    def new_namespace(self, **options: Any) -> Client:
        """Make a standalone namespace of its own and return a client in it."""
        self._count += 1
        name = f"space-{self._count}"
        body = {"namespace_id": name, **options}
        self.admin.ok("POST", "/v1/namespaces/standalone", body)
        return self.admin.within(name)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of a session; each takes a namespace of its own."""
    data_dir: Path = tmp_path_factory.mktemp("data")
    running = start_background(data_dir)
    with httpx.Client(base_url=running.base_url, timeout=30) as http:
        yield Server(running, Client(http, running.admin_key))
    running.stop()
