"""Connections to https URLs that come from somebody who must not be trusted with where they lead.

A name is resolved once and the connection goes to the very address that was checked, with the
name for SNI, certificate and Host. No proxies; the whole of an exchange ends in time.
"""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import urllib3.exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Url, parse_url

from core.adapters.fetch_addresses import Address, checked_addresses, in_networks
from core.adapters.fetch_rules import FetchRules
from core.deadline import Deadline
from core.errors import FetchError, FetchUnavailableError

# What a connection raises that breaks, stalls or talks no HTTP.
BROKEN: Final = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart, fit to be resolved."""

    scheme: str
    host: str
    port: int
    path: str
    host_header: str


class HttpsConnections:
    """Connects under fixed rules. Thread-safe."""

    def __init__(self, rules: FetchRules) -> None:
        self._rules = rules
        self._tls = ssl.create_default_context(cafile=rules.ca_file)

    def read_url(self, url: str) -> Target:
        """Take a URL apart; `FetchError` for one that is never connected to."""
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
        return Target(
            scheme=parsed.scheme,
            host=parsed.host.strip("[]"),
            port=port,
            path=parsed.request_uri,
            host_header=Url(host=parsed.host, port=parsed.port).netloc or parsed.host,
        )

    @contextlib.contextmanager
    def connected(self, target: Target, until: Deadline) -> Iterator[HTTPConnection]:
        """Yield a connection to a checked address of the target, which ends when time is up.

        Raises `FetchError` for an address that is not allowed, `FetchUnavailableError` for one that
        does not answer.
        """
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
        with (
            self._connected(target, addresses, until) as connection,
            _cut_off(connection, until),
        ):
            yield connection

    @contextlib.contextmanager
    def _connected(
        self, target: Target, addresses: Sequence[Address], until: Deadline
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

    def _connection(self, target: Target, address: Address, timeout: float) -> HTTPConnection:
        if target.scheme == "http":
            return HTTPConnection(str(address), target.port, timeout=timeout)
        return HTTPSConnection(
            str(address),
            target.port,
            timeout=timeout,
            ssl_context=self._tls,
            server_hostname=target.host,
        )


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
