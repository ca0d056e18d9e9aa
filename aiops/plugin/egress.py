"""Where Forewarn may connect to: judged by the address that a name leads to, at the moment of connecting.

So neither a name that leads elsewhere the second time, nor a redirect, nor an odd way to write an address
gets by (`httpx-secure` opens the very address that was judged). Without `allow`, three kinds of address are
closed: link-local ones, where clouds hand out credentials; those that are no host's; and the loopback, unless
it is asked for by its own name. With `allow`, all is closed but what it lists.

Import it as ``from aiops.plugin.egress import ...``; httpx is loaded only by whoever asks for a client.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import AfterValidator, Field

from aiops.plugin.errors import Fatal
from aiops.plugin.params import Plugin
from aiops.plugin.passing import passing

if TYPE_CHECKING:
    import ssl

    import httpx

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

PUBLIC = "public"
"""In `allow`: every globally reachable address."""
FORGET = 30.0
"""Seconds that a name's address is kept."""

_CLOSED: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), why)
    for network, why in (
        ("169.254.0.0/16", "link-local, where clouds hand out credentials"),
        ("fe80::/10", "link-local"),
        ("fd00:ec2::/32", "where a cloud hands out credentials"),
        ("100.100.100.200/32", "where a cloud hands out credentials"),
        ("0.0.0.0/8", "no host's address"),
        ("::/128", "no host's address"),
        ("224.0.0.0/4", "no single host's address"),
        ("240.0.0.0/4", "no host's address"),
        ("ff00::/8", "no single host's address"),
    )
)
_NAT64, _SIX_TO_FOUR = IPv6Network("64:ff9b::/96"), IPv6Network("2002::/16")
_COMPATIBLE = IPv6Network("::/96")
_FORM = re.compile(
    r"(?P<net>\[[^\]]+\]|[^\[\]:]+|[0-9A-Fa-f:./]*:[0-9A-Fa-f:./]*)(?::(?P<first>\d+)(?:-(?P<last>\d+))?)?"
)


@dataclass(frozen=True, slots=True)
class Opening:
    """Some addresses, and some of their ports. `network` is None for all that are globally reachable."""

    network: Network | None
    first: int = 1
    last: int = 65535

    def lets(self, address: Address, port: int) -> bool:
        if not self.first <= port <= self.last:
            return False
        return is_public(address) if self.network is None else address in self.network


def opening(text: str) -> Opening:
    """From ``10.1.0.0/16:443``, ``[fd00::/8]:443-444``, ``192.0.2.7``, ``public:443``. Raises ValueError."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(_EXPECTED)
    net = found["net"].strip("[]")
    first = int(found["first"] or 1)
    last = int(found["last"] or found["first"] or 65535)
    if not 1 <= first <= last <= 65535:
        raise ValueError(f"ports are 1 to 65535, got {found['first']}-{found['last'] or found['first']}")
    if net == PUBLIC:
        return Opening(None, first, last)
    try:
        return Opening(ip_network(net), first, last)
    except ValueError as why:
        raise ValueError(f"{_EXPECTED}: {why}") from why


_EXPECTED = (
    "expected a network and, if you like, a port, such as 10.1.0.0/16:443, [fd00::/8]:443 or public:443"
)


def _is_opening(text: str) -> str:
    opening(text)
    return text


class Egress(Plugin):
    """To which addresses sinks and the action `http` may connect."""

    allow: list[Annotated[str, AfterValidator(_is_opening)]] | None = Field(
        None,
        description="Networks with ports, as in `10.1.0.0/16:443`, `[fd00::/8]:443`, `public:443`; `public` "
        "is whatever is globally reachable. When left out, all but link-local and similar addresses, and "
        "names that lead to the loopback.",
    )

    @cached_property
    def _openings(self) -> list[Opening]:
        return [opening(text) for text in self.allow or ()]

    def refusal(self, host: str, address: Address, port: int) -> str:
        """Why a connection to `address`, asked for as `host`, may not be made; empty when it may."""
        inner = innermost(address)
        where = f"{host} ({address})" if str(address) != host.strip("[]") else host
        rule = f"[{inner}]:{port}" if inner.version == 6 else f"{inner}:{port}"
        if self.allow is not None:
            if any(one.lets(inner, port) for one in self._openings):
                return ""
            return (
                f"{where} port {port} is not among `egress: {{allow: ...}}`: add {rule} there if it is meant"
            )
        for network, why in _CLOSED:
            if inner in network:
                return f"{where} is closed: {why}; list {rule} under `egress: {{allow: ...}}` if it is meant"
        if inner.is_loopback and not _is_literal(host):
            return (
                f"{where} is closed: a name that leads to this very host; "
                f"list {rule} under `egress: {{allow: ...}}` if it is meant"
            )
        return ""

    def check(self, host: str, address: Address, port: int) -> bool:
        """True. Raises `Fatal` where a connection may not be made."""
        if why := self.refusal(host, address, port):
            raise Fatal(why)
        return True


_ruling = Egress()


def rule(egress: Egress) -> None:
    """From now on `egress` is what holds in this process.

    One for all, as actions are made anew for every step and nothing else reaches them all.
    """
    global _ruling
    _ruling = egress


def ruling() -> Egress:
    """What holds now."""
    return _ruling


def innermost(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does: that is whom it reaches."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(address.packed[-4:])
    if address in _SIX_TO_FOUR:
        return IPv4Address(address.packed[2:6])
    return address.teredo[1] if address.teredo else address


def is_public(address: Address) -> bool:
    inner = innermost(address)
    return inner.is_global and not inner.is_multicast


def client(url: str, verify: ssl.SSLContext | bool, timeout: httpx.Timeout) -> httpx.AsyncClient:
    """A client for `url` that connects to what is allowed only; redirects are not followed.

    Where ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` name a proxy for it, the proxy resolves names and
    is what guards the way out; addresses that are written out are judged all the same.
    """
    import httpx

    parts = urlsplit(url)
    _check_literal(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    given: dict[str, Any] = {"verify": verify, "timeout": timeout, "trust_env": False}
    given["event_hooks"] = {"request": [_pass_on]}
    proxy = proxy_for(url)
    return httpx.AsyncClient(**given, proxy=proxy) if proxy else guarded(httpx.AsyncClient(**given))


async def _pass_on(request: httpx.Request) -> None:
    request.headers.update(passing())


def guarded(made: httpx.AsyncClient) -> httpx.AsyncClient:
    """The same client, which from now on connects to what is allowed only."""
    from httpx_secure import httpx_ssrf_protection

    return httpx_ssrf_protection(
        made,
        check_globally_reachable=False,
        custom_validator=lambda host, address, port: ruling().check(host, address, port),
        dns_cache_ttl=FORGET,
    )


def proxy_for(url: str) -> str:
    """The environment's proxy for `url`; empty for none."""
    parts = urlsplit(url)
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all") or ""
    netloc = parts.netloc.rpartition("@")[2]
    return "" if not found or proxy_bypass(netloc, proxies) else found


def first_allowed(host: str, port: int, found: Iterable[Any]) -> str:
    """The first address of `found` (as of getaddrinfo) that is allowed. Raises `Fatal` where none is."""
    refusals = []
    for *_, where in found:
        address = ip_address(where[0].partition("%")[0])
        refusal = ruling().refusal(host, address, port)
        if not refusal:
            return str(where[0])
        refusals.append(refusal)
    raise Fatal(refusals[0] if refusals else f"{host} has no address")


def _check_literal(host: str, port: int) -> None:
    try:
        address = ip_address(host)
    except ValueError:
        return
    ruling().check(host, address, port)


def _is_literal(host: str) -> bool:
    """Whether the loopback is asked for by its own name."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
