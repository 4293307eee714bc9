"""Which addresses count as public: every way of spelling a private one is refused."""

import socket
import threading
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest

from core.adapters.fetch_addresses import checked_addresses, is_allowed, is_public, resolve_name
from core.deadline import Deadline
from core.errors import FetchError, FetchUnavailableError


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1"),  # noqa: S104 - refused here
        *("127.255.255.254", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255"),
        *("192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1"),
        *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        "168.63.129.16",
        *("::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::7f00:1", "64:ff9b::7f00:1"),
        *("64:ff9b::808:808", "64:ff9b:1::a00:1", "100::1", "2001::1", "2001:db8::1"),
        *("2002:7f00:1::", "2002:a00:1::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1"),
        *("ff02::1", "fe80::1%eth0"),
    ],
)
def test_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "52.95.110.1", "2606:4700:4700::1111", "2a00:1450::1"]
)
def test_public(address: str) -> None:
    assert is_public(ip_address(address))


def test_an_allowed_network_admits_its_own_and_no_other() -> None:
    allowed = [ip_network("10.1.0.0/16"), ip_network("fd12::/16")]
    assert is_allowed(ip_address("10.1.2.3"), allowed)
    assert is_allowed(ip_address("fd12::5"), allowed)
    assert not is_allowed(ip_address("10.2.0.1"), allowed)
    assert not is_allowed(ip_address("::ffff:10.1.2.3"), allowed)


def check(host: str, answers: Sequence[str], deadline: Deadline | None = None) -> int:
    return len(
        checked_addresses(
            host,
            443,
            resolve=lambda host, port: answers,
            allowed=(),
            deadline=deadline or Deadline.after(10),
        )
    )


def test_every_address_must_be_public() -> None:
    assert check("a.test", ["8.8.8.8", "2606:4700::1"]) == 2
    with pytest.raises(FetchError) as caught:
        check("a.test", ["8.8.8.8", "10.0.0.1"])
    assert "10.0.0.1" not in caught.value.message
    with pytest.raises(FetchError, match="no address"):
        check("a.test", [])


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "0177.0.0.1", "127.0.0.1"])
def test_other_spellings_of_loopback_are_seen_through(host: str) -> None:
    with pytest.raises(FetchError):
        checked_addresses(host, 443, resolve=resolve_name, allowed=(), deadline=Deadline.after(10))


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "later"), FetchUnavailableError),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), FetchError),
        (UnicodeError("label too long"), FetchError),
    ],
)
def test_names_that_do_not_resolve(failure: Exception, expected: type[FetchError]) -> None:
    def resolve(host: str, port: int) -> Sequence[str]:
        raise failure

    with pytest.raises(FetchError) as caught:
        checked_addresses("a.test", 443, resolve=resolve, allowed=(), deadline=Deadline.after(10))
    assert type(caught.value) is expected


def test_a_resolver_that_hangs_is_left_at_the_deadline() -> None:
    release = threading.Event()

    def resolve(host: str, port: int) -> Sequence[str]:
        release.wait(30)
        return ["8.8.8.8"]

    with pytest.raises(FetchUnavailableError, match="in time"):
        checked_addresses("a.test", 443, resolve=resolve, allowed=(), deadline=Deadline.after(0.05))
    release.set()
