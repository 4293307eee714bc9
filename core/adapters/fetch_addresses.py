"""Which addresses the fetcher may speak to: public ones, and those an operator has allowed."""

import socket
import threading
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from core.deadline import Deadline
from core.errors import FetchError, FetchUnavailableError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
# `(host, port) -> addresses as text`; may block, raises OSError.
Resolve = Callable[[str, int], Sequence[str]]

# Public by their number, but not places where anybody's media lies.
_SPECIAL = tuple(
    ip_network(each)
    for each in (
        "168.63.129.16/32",  # Azure's host: metadata, DNS
        "192.0.0.0/24",  # IETF protocol assignments; Oracle's metadata among them
        "192.88.99.0/24",  # 6to4 relays
        "2001::/23",  # Teredo and other tunnels: they embed an IPv4 address
        "2002::/16",  # 6to4: it embeds an IPv4 address
    )
)
# Assigned unicast. Outside of it lie loopback, link-local and unique-local addresses, and every
# prefix that embeds an IPv4 address: ::ffff:0:0/96, ::/96, 64:ff9b::/96, 64:ff9b:1::/48.
_UNICAST6 = ip_network("2000::/3")


def is_public(address: Address) -> bool:
    """Say whether an address is one of the public Internet's own hosts."""
    if isinstance(address, IPv6Address) and address not in _UNICAST6:
        return False
    if any(address in network for network in _SPECIAL if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    """Say whether an address is public, or in a network that the operator allows."""
    return is_public(address) or in_networks(address, allowed)


def in_networks(address: Address, networks: Sequence[Network]) -> bool:
    """Say whether any of the networks, of the same IP version, holds the address."""
    return any(n.version == address.version and address in n for n in networks)


def resolve_name(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver; the order is its preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def checked_addresses(
    host: str, port: int, *, resolve: Resolve, allowed: Sequence[Network], deadline: Deadline
) -> list[Address]:
    """Resolve a name once and return its addresses, all of them fit to connect to.

    One forbidden address among several refuses them all: a name that mixes them is an attack or a
    mistake. The error names the host only; what it resolves to inside is not the caller's.
    """
    addresses = [ip_address(text) for text in _resolve_in_time(host, port, resolve, deadline)]
    if not addresses:
        raise FetchError(f"{host} has no address")
    if not all(is_allowed(address, allowed) for address in addresses):
        raise FetchError(f"{host} is at a private, local or reserved address: never fetched")
    return addresses


def _resolve_in_time(host: str, port: int, resolve: Resolve, deadline: Deadline) -> Sequence[str]:
    """Resolve in a thread, since the system's resolver takes no time limit but its own (~30 s)."""
    outcome: list[Sequence[str] | Exception] = []

    def run() -> None:
        try:
            outcome.append(resolve(host, port))
        except (OSError, UnicodeError) as error:
            outcome.append(error)

    thread = threading.Thread(target=run, name="resolve", daemon=True)
    thread.start()
    thread.join(min(deadline.remaining(), 86_400))
    if not outcome:
        raise FetchUnavailableError(f"{host} was not resolved in time")
    result = outcome[0]
    if isinstance(result, socket.gaierror) and result.errno == socket.EAI_AGAIN:
        raise FetchUnavailableError(f"{host} cannot be resolved now") from result
    if isinstance(result, Exception):
        raise FetchError(f"{host} cannot be resolved") from result
    return result
