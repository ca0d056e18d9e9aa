"""What `forewarn doctor` sees of sources and sinks: whether they answer, how late they are, their clocks."""

import asyncio
import math
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from aiops.cli.doctor_engine import Running
from aiops.cli.finding import Finding, fail, ok, warn
from aiops.config import Config
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex
from aiops.plugin import PluginError, egress
from aiops.plugin.connector import Connector, Source
from aiops.plugin.sink import Sink

PATIENCE = 15.0
"""Seconds for one source or sink."""
LATE = 120.0
"""Seconds of lag after which samples are only learnt from; `aiops.engine.pull` has the same."""
SOME_SKEW, MUCH_SKEW = 5.0, 60.0
KEY = "forewarn-doctor"
"""A correlation key that no problem has."""


async def outside(config: Config, running: Running | None, now: float, drilled: str = "") -> list[Finding]:
    """Findings on all sources and sinks, which are asked side by side. `now`: epoch s.

    `drilled`: a sink that listens only during a drill.
    """
    egress.rule(config.egress)
    told = {str(one["name"]): one for one in (running.sources if running else None) or []}
    asked = [_source(one, told.get(one.name), running, now) for one in config.sources]
    asked += [_sink(one) for one in config.sinks if one.name != drilled]
    return [finding for some in await asyncio.gather(*asked) for finding in some]


def skew(who: str, theirs: float, ours: float, exact: float) -> Finding:
    """Of two readings (epoch s) at one moment; `exact`: how wrong the comparison may be, in seconds."""
    off = theirs - ours
    said = f"{who} is {abs(off):.1f} s {'ahead' if off > 0 else 'behind'}"
    do = "let both follow NTP (`timedatectl`): samples from the future are dropped, late ones page nobody"
    if abs(off) - exact > MUCH_SKEW:
        return fail("clock", said, do)
    if abs(off) - exact > SOME_SKEW:
        return warn("clock", said, do)
    return ok("clock", f"{who} agrees within {max(abs(off), exact):.1f} s")


async def _source(
    source: Source, told: dict[str, Any] | None, running: Running | None, now: float
) -> list[Finding]:
    what = f"source {source.name}"
    if told is not None:
        found = [_told(what, told)]
    elif not isinstance(source, Connector):
        where = f"/receive/{source.name}"
        return [ok(what, f"it is sent to us under {where}" + ("" if running else " once the engine runs"))]
    else:
        found = [await _pulled(what, source, now)]
    return found + await _clock_of(what, getattr(source, "url", ""))


def _told(what: str, told: dict[str, Any]) -> Finding:
    if told["error"]:
        return fail(what, str(told["error"]), "address, credentials, network policy; docs/runbook.md")
    lag = told["lag"]
    if lag is None:
        return ok(what, "nothing has come yet")
    said = f"{told['series']} series, the newest sample {lag:.0f} s old"
    return warn(what, said, _BEHIND) if lag > LATE else ok(what, said)


_BEHIND = "its own agent or scrape is behind, or clocks differ: late samples page nobody"


async def _pulled(what: str, source: Connector, now: float) -> Finding:
    """One pull of the last minute, on an index of its own."""
    index, newest, samples = SeriesIndex(), -math.inf, 0
    since = now - max(60.0, 2 * source.every)
    try:
        async with asyncio.timeout(PATIENCE):
            source.open(index)
            async for batch in source.pull(since, now):
                if isinstance(batch, Frame) and len(batch.times):
                    newest = max(newest, float(batch.times[-1]))
                    samples += batch.samples
    except TimeoutError:
        return fail(what, f"no answer within {PATIENCE:g} s", "is it up, and does a firewall drop the way?")
    except (PluginError, OSError) as why:
        return fail(what, str(why), "address, credentials, network policy; docs/runbook.md")
    finally:
        await source.close()
    if not samples:
        return ok(what, "it answers")
    said = f"{len(index)} series, the newest sample {max(0.0, now - newest):.0f} s old"
    return warn(what, said, _BEHIND) if now - newest > LATE else ok(what, said)


async def _sink(sink: Sink) -> list[Finding]:
    from aiops.plugin.http import HttpSink

    what = f"sink {sink.name}"
    searches = type(sink).find is not Sink.find
    try:
        async with asyncio.timeout(PATIENCE):
            headers = await sink.knock() if isinstance(sink, HttpSink) else None
            if searches:
                await sink.find(KEY)
            elif headers is None:
                return [await _port(what, sink)]
    except TimeoutError:
        return [fail(what, f"no answer within {PATIENCE:g} s", "is it up, and does a firewall drop the way?")]
    except (PluginError, OSError) as why:
        return [fail(what, str(why), "address, credentials, `egress`, network policy")]
    finally:
        await sink.close()
    found = [ok(what, "it answers, and can be searched" if searches else "it answers")]
    return found + (_by_date(what, headers.get("date", "")) if headers is not None else [])


async def _port(what: str, sink: Sink) -> Finding:
    """Of a sink that is told by another protocol: whether somebody listens there."""
    usual = {"implicit": 465, "none": 25}.get(getattr(sink, "tls", ""), 587)
    host, port = getattr(sink, "host", ""), getattr(sink, "port", 0) or usual
    if not host:
        return ok(what, "it cannot be asked without telling it something")
    _, writer = await asyncio.open_connection(str(host), int(port))
    writer.close()
    return ok(what, f"{host}:{port} listens")


async def _clock_of(what: str, url: Any) -> list[Finding]:
    """The server's clock, where it speaks HTTP and says the time."""
    import httpx

    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        return []
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
    try:
        async with httpx.AsyncClient(timeout=PATIENCE / 3) as client:
            answer = await client.head(f"{where}/")
    except httpx.HTTPError:
        return []  # whether it answers was asked in its own way, with its own certificates
    return _by_date(what, answer.headers.get("date", ""))


def _by_date(who: str, date: str) -> list[Finding]:
    from aiops.engine.clock import SystemClock

    ours = SystemClock().now()
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except ValueError:
        return []
    # the header leaves out fractions, and its way here takes some more
    return [skew(who, theirs + 0.5, ours, exact=1.0)]
