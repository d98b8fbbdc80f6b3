"""The hosts that a client's door tells of a budget."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_PRIVATE = "(private)"
PRIVATE: Collection[str] = frozenset({_PRIVATE})
"""The hosts of one's own network, for ``hosts=``: loopback, private and link-local addresses, names of a single label,
and those in ``.internal``, ``.local``, ``.svc`` and ``.localhost``. With others: ``hosts=[*PRIVATE, "*.example.org"]``.
"""

_SUFFIXES = (".internal", ".local", ".svc", ".localhost")
_LABEL = re.compile("[a-z0-9_-]+")
_NUMBER = re.compile("[0-9]+|0x[0-9a-f]*")
"""A single label that resolvers read as an IPv4 address: ``134744072`` is 8.8.8.8."""
_NETWORKS: tuple[IPv4Network | IPv6Network, ...] = tuple(
    ip_network(network)
    for network in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)
"""Spelled out: what `ipaddress` calls private differs between Pythons, and holds public addresses mapped to IPv6."""


class Hosts:
    """A set of hosts: all, or those named; ``*.example.org`` for all beneath one, `PRIVATE` for one's own network."""

    def __init__(self, hosts: Collection[str] | None) -> None:
        if isinstance(hosts, str | bytes):
            raise TypeError(f"hosts must be a collection of host names, not the string {reprlib.repr(hosts)}")
        if hosts is not None and not isinstance(hosts, Iterable):
            raise TypeError(f"hosts must be a collection of host names, not {reprlib.repr(hosts)}")
        self.everywhere = hosts is None
        given = list(hosts or ())
        for host in given:
            if not isinstance(host, str):
                raise TypeError(f"hosts must be host names, each a str, not {reprlib.repr(host)}")
        named = set(given)
        self._private = _PRIVATE in named
        names = [host.lower() for host in named - {_PRIVATE}]
        for name in names:
            if not name or any(mark in name for mark in "/@[] ") or name.count(":") == 1:
                raise ValueError(
                    f"hosts must be names or addresses alone, without scheme, user or port: not {reprlib.repr(name)}"
                )
        self._names = frozenset(name for name in names if not name.startswith("*."))
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))

    def __contains__(self, host: object) -> bool:
        if self.everywhere:
            return True
        name = str(host or "").lower()
        return name in self._names or name.endswith(self._suffixes) or (self._private and _is_private(name))


def _is_private(name: str) -> bool:
    try:
        address = ip_address(name)
    except ValueError:
        name = name.removesuffix(".") if "." in name[:-1] else name  # a root's dot; "ai." is a host of the internet
        alone = _LABEL.fullmatch(name) is not None and _NUMBER.fullmatch(name) is None
        return alone or (name.isascii() and name.endswith(_SUFFIXES))
    return _is_near(getattr(address, "ipv4_mapped", None) or address)


def _is_near(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in _NETWORKS)
