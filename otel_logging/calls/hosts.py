"""Which hosts may learn a call id from our outgoing requests: our own by default, never a third party.

Only the decision on a host's name or address; nothing is resolved. Requests are `outgoing`'s business.
"""

from __future__ import annotations

import fnmatch
import functools
import ipaddress
import re

_OWN_SUFFIXES = (".local", ".internal", ".localhost", ".svc", ".cluster.local")
# What resolvers also read as an IPv4 address: `134744072` and `0x8080808` are 8.8.8.8.
_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)


class Hosts:
    """The hosts that outgoing requests may carry the call to.

    `patterns` None: our own hosts, see `is_own`. Otherwise globs of host names, in any case; `none`, or no pattern at
    all, allows nobody.
    """

    def __init__(self, patterns: tuple[str, ...] | None) -> None:
        self._patterns = None if patterns is None else tuple(_normal(one) for one in patterns if one.strip())
        self.nobody = self._patterns is not None and (not self._patterns or "none" in self._patterns)
        self.allows = functools.lru_cache(maxsize=1024)(self._allows)

    def _allows(self, host: str) -> bool:
        if self.nobody:
            return False
        if self._patterns is None:
            return is_own(host)
        name = _normal(host)
        return bool(name) and any(fnmatch.fnmatchcase(name, pattern) for pattern in self._patterns)


def is_own(host: str) -> bool:
    """True for loopback, private and link-local addresses, names without a dot, and names of private zones."""
    name = _normal(host)
    if not name:
        return False
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        if ":" in name or _NUMERIC.fullmatch(name.rpartition(".")[2]):
            return False
        return "." not in name or name.endswith(_OWN_SUFFIXES)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback or address.is_link_local:
        return True
    return any(address.version == net.version and address in net for net in _PRIVATE)


_PRIVATE = tuple(
    ipaddress.ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)  # RFC 1918 and unique local addresses; `is_private` would also allow benchmarking and documentation ranges


def _normal(host: str) -> str:
    return host.strip().strip("[]").rstrip(".").lower()
