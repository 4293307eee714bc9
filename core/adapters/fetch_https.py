"""Fetches one https URL for someone who must not be trusted with where it leads (SSRF).

A name is resolved once and the connection goes to the very address that was checked, with the
name for SNI, certificate and Host. Each redirect is checked from the start. GET only, no proxies,
no cookies, no credentials, no decompression; size and total time are bounded.
"""

from urllib.parse import urljoin

from urllib3.connection import HTTPConnection
from urllib3.response import BaseHTTPResponse

from core.adapters.fetch_rules import FetchRules
from core.adapters.https_connections import BROKEN, HttpsConnections, Target
from core.deadline import Deadline
from core.errors import DeadlineError, FetchError, FetchUnavailableError
from core.ports.media import FetchedMedia

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Worth another try: the time, the pace or the server was wrong, not the request.
_PASSING = frozenset({408, 425, 429})
_HEADERS = {"User-Agent": "trawl-fetcher", "Accept": "*/*", "Accept-Encoding": "identity"}
_PIECE = 1 << 16


class HttpsFetcher:
    """Fetches under fixed rules. Thread-safe: every fetch has its own connections."""

    def __init__(self, rules: FetchRules | None = None) -> None:
        self._rules = rules or FetchRules()
        self._connections = HttpsConnections(self._rules)

    def fetch(self, url: str, *, deadline: Deadline) -> FetchedMedia:
        """Return the bytes at `url`; see `MediaFetcher.fetch` for the errors."""
        rules = self._rules
        until = deadline.earlier(rules.max_seconds)
        for _ in range(rules.max_redirects + 1):
            target = self._connections.read_url(url)
            source = f"{target.scheme}://{target.host_header}"
            try:
                answer = self._get(target, until)
            except FetchUnavailableError as error:
                if deadline.passed():
                    raise DeadlineError(f"time ran out while fetching from {source}") from error
                raise
            if isinstance(answer, FetchedMedia):
                return answer
            url = _join(url, answer)
        raise FetchError(f"more than {rules.max_redirects} redirects")

    def _get(self, target: Target, until: Deadline) -> FetchedMedia | str:
        """Return the media, or where a redirect points."""
        try:
            with self._connections.connected(target, until) as connection:
                return self._exchange(connection, target, until)
        except BROKEN as error:
            reason = "took too long" if until.passed() else f"failed ({type(error).__name__})"
            raise FetchUnavailableError(f"fetching from {target.host_header} {reason}") from error

    def _exchange(
        self, connection: HTTPConnection, target: Target, until: Deadline
    ) -> FetchedMedia | str:
        connection.request(
            "GET",
            target.path,
            headers={**_HEADERS, "Host": target.host_header},
            preload_content=False,
            decode_content=False,
        )
        response = connection.getresponse()
        location = response.headers.get("Location")
        if response.status in _REDIRECTS and location:
            return location
        _check_status(response, target)
        return FetchedMedia(
            data=self._read_body(response, target, until),
            source=f"{target.scheme}://{target.host_header}{target.path.partition('?')[0]}"[:200],
            declared_type=response.headers.get("Content-Type"),
        )

    def _read_body(self, response: BaseHTTPResponse, target: Target, until: Deadline) -> bytes:
        limit = self._rules.max_bytes
        too_large = f"the file at {target.host_header} has more than {limit} bytes"
        declared = response.headers.get("Content-Length", "")
        if declared.isdecimal() and int(declared) > limit:
            raise FetchError(too_large)
        body = bytearray()
        for piece in response.stream(_PIECE, decode_content=False):
            body += piece
            if len(body) > limit:
                raise FetchError(too_large)
        # A connection cut off for time looks like one that ended: what came is not the file.
        if until.passed():
            raise TimeoutError
        return bytes(body)


def _join(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise FetchError(f"redirects to what is no URL: {location[:200]!r}") from error


def _check_status(response: BaseHTTPResponse, target: Target) -> None:
    status = response.status
    if status >= 500 or status in _PASSING:
        raise FetchUnavailableError(f"{target.host_header} answered {status}", status=status)
    if status != 200:
        raise FetchError(f"{target.host_header} answered {status}", status=status)
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        # It was asked not to compress: what it sends may be a bomb.
        raise FetchError(f"{target.host_header} answered with content encoding {encoding[:50]}")
