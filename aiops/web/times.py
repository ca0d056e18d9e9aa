"""How one request shows times: how long ago or when, and in which zone. Cookies remember both."""

from contextvars import ContextVar, Token
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

CHOSEN = "forewarn_times"
"""Of what a person chose: ``absolute@Asia/Shanghai``; without a zone, the browser's."""
SEEN = "forewarn_zone"
"""Of the browser's own zone, which the page's script writes down."""


@dataclass(frozen=True, slots=True)
class Times:
    """``chosen``: the zone that a person asked for by name; empty for the browser's."""

    absolute: bool = False
    zone: tzinfo = UTC
    chosen: str = ""


UNKNOWN = Times()
_current: ContextVar[Times] = ContextVar("times", default=UNKNOWN)


def times() -> Times:
    """Of the request that is answered now."""
    return _current.get()


def begin(headers: Headers) -> Token[Times]:
    """From here on times are shown as these headers wish; `end` takes the token."""
    return _current.set(wished(headers))


def end(token: Token[Times]) -> None:
    _current.reset(token)


def wished(headers: Headers) -> Times:
    """By cookies; without any, or with a zone that nobody knows: relative times, and UTC."""
    cookies = cookie_parser(headers.get("cookie", ""))
    style, _, name = cookies.get(CHOSEN, "").partition("@")
    chosen = zone_named(name)
    zone = chosen or zone_named(cookies.get(SEEN, "")) or UTC
    return Times(style == "absolute", zone, name if chosen else "")


def zone_named(name: str) -> tzinfo | None:
    """None where there is none of that name."""
    if not name or len(name) > 64:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; outside the folder of zones; a folder itself
        return None


def local(seconds: float) -> datetime:
    """`seconds` since the epoch, in the request's zone."""
    return datetime.fromtimestamp(seconds, times().zone)


def zone_name() -> str:
    """``Asia/Shanghai``, or ``UTC``."""
    zone = times().zone
    return zone.key if isinstance(zone, ZoneInfo) else "UTC"


def instant(seconds: float | None) -> str:
    """For machines, as HTML's ``datetime`` wants it: ``2026-01-31T14:03:59Z``."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(seconds: float | None) -> str:
    """``14:03:59``."""
    return "" if seconds is None else local(seconds).strftime("%H:%M:%S")


def day(seconds: float) -> str:
    """``2026-01-31``."""
    return local(seconds).strftime("%Y-%m-%d")


def stamp(seconds: float | None) -> str:
    """``2026-01-31 14:03:59 UTC``; elsewhere with the offset, as names such as CST mean several zones."""
    if seconds is None:
        return ""
    offset = local(seconds).strftime("%z")
    said = "UTC" if offset == "+0000" else f"{offset[:3]}:{offset[3:5]}"
    return f"{day(seconds)} {clock(seconds)} {said}"
