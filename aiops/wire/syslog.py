"""Syslog messages: RFC 5424, and the older form that RFC 3164 describes, as real senders write it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from math import nan

SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
_SPOKEN = ("FATAL", "CRITICAL", "CRITICAL", "ERROR", "WARNING")
"""The first five as levels that are put before a text that names none."""

_PRI = re.compile(rb"<(\d{1,3})>")
_NEW = re.compile(
    rb"1 (\S+) (\S+) (\S+) (\S+) (\S+) (-|(?:\[(?:[^\]\"\\]|\\.|\"(?:[^\"\\]|\\.)*\")*\])+) ?", re.DOTALL
)
_OLD_TIME = re.compile(rb"([A-Z][a-z]{2}) {1,2}(\d{1,2})(?: (\d{4}))? (\d\d):(\d\d):(\d\d)(?:\.\d+)? ")
_ISO_TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\S+) ")
_TAG = re.compile(rb"([^\s:\[]{1,64})(?:\[([^\]\s]{1,64})\])?: ?")
_NAMES = "JanFebMarAprMayJunJulAugSepOctNovDec"
_MONTHS = {_NAMES[3 * n : 3 * n + 3]: n + 1 for n in range(12)}
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Entry:
    """One message. ``time`` in epoch s, NaN when none can be told; texts are empty when absent."""

    time: float
    host: str
    app: str
    pid: str
    severity: int
    facility: int
    text: str

    @property
    def line(self) -> str:
        """As a log line: level where it is bad, program, text."""
        level = f"{_SPOKEN[self.severity]} " if self.severity < len(_SPOKEN) else ""
        return f"{level}{self.app}: {self.text}" if self.app else level + self.text


def decode(data: bytes, now: float) -> Entry:
    """Any datagram is a message: what cannot be told apart is its text. `now` (epoch s) tells the year."""
    found = _PRI.match(data)
    pri = int(found[1]) if found else 13
    if not found or pri > 191:
        return Entry(nan, "", "", "", 5, 1, _text(data))
    rest = data[found.end() :]
    facility, severity = divmod(pri, 8)
    new = _NEW.match(rest)
    if new:
        time, host, app, pid = (_text(part) for part in new.groups()[:4])
        text = _text(rest[new.end() :]).removeprefix(_BOM)
        return Entry(_iso(time), _absent(host), _absent(app), _absent(pid), severity, facility, text)
    return _old(rest, severity, facility, now)


def _old(rest: bytes, severity: int, facility: int, now: float) -> Entry:
    at, host = nan, ""
    stamp, iso = _OLD_TIME.match(rest), _ISO_TIME.match(rest)
    if stamp:
        at, rest = _local(stamp, now), rest[stamp.end() :]
    elif iso:
        at, rest = _iso(iso[1].decode("ascii", "replace")), rest[iso.end() :]
    if stamp or iso:
        first, _, after = rest.partition(b" ")
        # some senders leave the host out: then the tag comes at once
        if not first.endswith(b":") and after:
            host, rest = _text(first), after
    tag = _TAG.match(rest)
    if not tag:
        return Entry(at, host, "", "", severity, facility, _text(rest))
    app, pid = _text(tag[1]), _text(tag[2] or b"")
    return Entry(at, host, app, pid, severity, facility, _text(rest[tag.end() :]))


def split(buffer: bytes, most: int) -> tuple[list[bytes], bytes]:
    """(whole messages, the rest) of a TCP stream: counted octets (RFC 6587), or a line each; also mixed.

    A message longer than `most` bytes is cut there.
    """
    out: list[bytes] = []
    start = 0
    while start < len(buffer):
        counted = _COUNT.match(buffer, start)
        if counted:
            end = counted.end() + int(counted[1])
            if end > len(buffer):
                break
            out.append(buffer[counted.end() : min(end, counted.end() + most)])
            start = end
            continue
        end = buffer.find(b"\n", start)
        if end < 0:
            if len(buffer) - start <= most:
                break
            end = start + most
            out.append(buffer[start:end])
            start = end
            continue
        if line := buffer[start:end].rstrip(b"\r\0"):
            out.append(line[:most])
        start = end + 1
    return out, buffer[start:]


_COUNT = re.compile(rb"([1-9]\d{0,6}) (?=<)")


def _local(stamp: re.Match[bytes], now: float) -> float:
    """A time without its year and zone: the year that brings it next to now, taken as UTC."""
    month, day, year, hour, minute, second = stamp.groups()
    this = datetime.fromtimestamp(now, UTC).year
    times = []
    for guess in [int(year)] if year else [this - 1, this, this + 1]:
        parts = (guess, _MONTHS.get(month.decode(), 0), int(day), int(hour), int(minute), int(second))
        try:
            times.append(datetime(*parts, tzinfo=UTC).timestamp())
        except ValueError:
            continue  # no such month, or the 29th of February of another year
    return min(times, key=lambda at: abs(at - now), default=nan)


def _iso(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return nan


def _absent(text: str) -> str:
    return "" if text == "-" else text


def _text(data: bytes) -> str:
    return data.rstrip(b"\r\n\0").decode("utf-8", "replace").replace("\n", " ")
