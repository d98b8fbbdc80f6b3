"""The hosts that a client's door tells, named or `PRIVATE`."""

from __future__ import annotations

import pytest

from tracedtimeout.integrations._hosts import PRIVATE, Hosts


def test_one_name_is_no_collection() -> None:
    """One host's name in place of a collection of them is refused."""
    with pytest.raises(TypeError, match=r"hosts must be a collection of host names, not the string 'example\.org'"):
        Hosts("example.org")


@pytest.mark.parametrize("host", ["example.org:8443", "https://example.org", "me@example.org", "[::1]", ""])
def test_hosts_that_no_request_goes_to(host: str) -> None:
    """A host with a port, a scheme or a user would match nothing: it is refused."""
    with pytest.raises(ValueError, match="hosts must be names or addresses alone"):
        Hosts([host])


def test_names_in_any_case() -> None:
    """A host is compared without its case; one that only ends alike is another."""
    hosts = Hosts(["Shop.example", "*.bank.example", "::1"])
    asked = ["SHOP.example", "a.b.bank.example", "::1", "bank.example", "evilbank.example", "x", ""]
    assert [host in hosts for host in asked] == [True, True, True, False, False, False, False]


PRIVATE_ONES = [
    *("localhost", "a.localhost", "shop", "SHOP-2", "shop_db", "db.internal", "db.internal.", "printer.local"),
    *("bank.default.svc", "bank.default.svc.cluster.local"),
    *("127.0.0.1", "127.8.9.1", "10.0.0.1", "172.31.0.1", "192.168.9.9", "169.254.1.1"),
    *("::1", "fd12::1", "fe80::1", "fe80::1%eth0", "::ffff:10.1.2.3"),
]
PUBLIC_ONES = [
    *("example.org", "internal.example.org", "svc.example", "ai.", ""),
    *("8.8.8.8", "172.32.0.1", "192.0.2.1", "100.64.0.1", "2001:db8::1", "::ffff:8.8.8.8", "2002:a00:1::"),
    *("134744072", "0x8080808", "0x"),  # resolvers read these as addresses
    *("evil。com", "evil。com.internal"),  # and these as dots
]


@pytest.mark.parametrize("host", PRIVATE_ONES)
def test_private_hosts(host: str) -> None:
    """Loopback, private and link-local addresses, single labels and the suffixes of private networks are private."""
    assert host in Hosts(PRIVATE)
    assert host in Hosts([*PRIVATE, "example.org"])
    assert host not in Hosts(["example.org"])


@pytest.mark.parametrize("host", PUBLIC_ONES)
def test_public_hosts(host: str) -> None:
    """What resolves to a stranger's address is none, in whatever notation; nor is what is no host at all."""
    assert host not in Hosts(PRIVATE)
