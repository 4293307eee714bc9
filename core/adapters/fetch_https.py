"""Fetches one https URL for someone who must not be trusted with where it leads (SSRF).

A name is resolved once and the connection goes to the very address that was checked, with the
name for SNI, certificate and Host. Each redirect is checked from the start. GET only, no proxies,
no cookies, no credentials, no decompression; size and total time are bounded.
"""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urljoin

import urllib3.exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import BaseHTTPResponse
from urllib3.util import Url, parse_url

from core.adapters.fetch_addresses import Address, checked_addresses, in_networks
from core.adapters.fetch_rules import FetchRules
from core.deadline import Deadline
from core.errors import DeadlineError, FetchError, FetchUnavailableError
from core.ports.media import FetchedMedia

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Worth another try: the time, the pace or the server was wrong, not the request.
_PASSING = frozenset({408, 425, 429})
# What a connection raises that breaks, stalls or talks no HTTP.
_BROKEN = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
_HEADERS = {"User-Agent": "trawl-fetcher", "Accept": "*/*", "Accept-Encoding": "identity"}
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class _Target:
    """A URL taken apart, fit to be resolved."""

    scheme: str
    host: str
    port: int
    path: str
    host_header: str


class HttpsFetcher:
    """Fetches under fixed rules. Thread-safe: every fetch has its own connections."""

    def __init__(self, rules: FetchRules | None = None) -> None:
        self._rules = rules or FetchRules()
        self._tls = ssl.create_default_context(cafile=self._rules.ca_file)

    def fetch(self, url: str, *, deadline: Deadline) -> FetchedMedia:
        """Return the bytes at `url`; see `MediaFetcher.fetch` for the errors."""
        rules = self._rules
        until = deadline.earlier(rules.max_seconds)
        for _ in range(rules.max_redirects + 1):
            target = self._read_url(url)
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

    def _read_url(self, url: str) -> _Target:
        try:
            parsed = parse_url(url)
        except urllib3.exceptions.LocationParseError as error:
            raise FetchError(f"not a URL: {url[:200]!r}") from error
        rules = self._rules
        if parsed.scheme not in ("https", "http") or not parsed.host:
            raise FetchError(f"not a URL that is fetched: {url[:100]!r}; want https://host/…")
        if len(parsed.host) > 253:  # the most that a name may have
            raise FetchError(f"not a host name: {parsed.host[:100]!r}…")
        if parsed.scheme == "http" and not rules.allow_http:
            raise FetchError("http: is never fetched; want an https:// URL")
        if parsed.auth is not None:
            raise FetchError("a URL with a user name or password is never fetched")
        port = parsed.port or (443 if parsed.scheme == "https" else 80)
        if port not in rules.ports:
            raise FetchError(f"port {port} is never fetched from")
        return _Target(
            scheme=parsed.scheme,
            host=parsed.host.strip("[]"),
            port=port,
            path=parsed.request_uri,
            host_header=Url(host=parsed.host, port=parsed.port).netloc or parsed.host,
        )

    def _get(self, target: _Target, until: Deadline) -> FetchedMedia | str:
        """Return the media, or where a redirect points."""
        rules = self._rules
        addresses = checked_addresses(
            target.host,
            target.port,
            resolve=rules.resolve,
            allowed=rules.allowed_networks,
            deadline=until,
        )
        if target.scheme == "http" and not all(
            in_networks(address, rules.allowed_networks) for address in addresses
        ):
            raise FetchError("http: is fetched from allowed networks only; want an https:// URL")
        try:
            with (
                self._connected(target, addresses, until) as connection,
                _cut_off(connection, until),
            ):
                return self._exchange(connection, target, until)
        except _BROKEN as error:
            reason = "took too long" if until.passed() else f"failed ({type(error).__name__})"
            raise FetchUnavailableError(f"fetching from {target.host_header} {reason}") from error

    @contextlib.contextmanager
    def _connected(
        self, target: _Target, addresses: Sequence[Address], until: Deadline
    ) -> Iterator[HTTPConnection]:
        """Connect to the first of the checked addresses that answers."""
        failure: Exception | None = None
        for address in addresses[:3]:
            connection = self._connection(target, address, max(until.remaining(), 0.001))
            try:
                connection.connect()
            except ssl.SSLError as error:
                connection.close()
                raise FetchError(f"{target.host_header} has no valid certificate") from error
            except (urllib3.exceptions.HTTPError, OSError) as error:
                connection.close()
                failure = error
                continue
            with contextlib.closing(connection):
                yield connection
            return
        raise FetchUnavailableError(f"no connection to {target.host_header}") from failure

    def _connection(self, target: _Target, address: Address, timeout: float) -> HTTPConnection:
        if target.scheme == "http":
            return HTTPConnection(str(address), target.port, timeout=timeout)
        return HTTPSConnection(
            str(address),
            target.port,
            timeout=timeout,
            ssl_context=self._tls,
            server_hostname=target.host,
        )

    def _exchange(
        self, connection: HTTPConnection, target: _Target, until: Deadline
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

    def _read_body(self, response: BaseHTTPResponse, target: _Target, until: Deadline) -> bytes:
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


def _check_status(response: BaseHTTPResponse, target: _Target) -> None:
    status = response.status
    if status >= 500 or status in _PASSING:
        raise FetchUnavailableError(f"{target.host_header} answered {status}", status=status)
    if status != 200:
        raise FetchError(f"{target.host_header} answered {status}", status=status)
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        # It was asked not to compress: what it sends may be a bomb.
        raise FetchError(f"{target.host_header} answered with content encoding {encoding[:50]}")


@contextlib.contextmanager
def _cut_off(connection: HTTPConnection, until: Deadline) -> Iterator[None]:
    """End the connection when time is up, whatever is being read.

    Socket timeouts bound one read each; a server that sends a byte now and then would never hit
    one.
    """
    raw = connection.sock

    def cut() -> None:
        with contextlib.suppress(OSError):
            # The plain socket's method: TLS's own would touch state that another thread reads.
            socket.socket.shutdown(raw, socket.SHUT_RDWR)

    timer = threading.Timer(min(until.remaining(), 86_400), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
