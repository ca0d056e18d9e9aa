"""Syslog as real senders write it."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.wire.syslog import decode, split

NOW = datetime(2024, 6, 1, 12, 0, tzinfo=UTC).timestamp()


def at(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("data", "time", "host", "app", "pid", "severity", "text"),
    [
        # the examples of RFC 5424, section 6.5
        (
            b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xef\xbb\xbf'su root' failed",
            at(2003, 10, 11, 22, 14, 15, 3000),
            "mymachine.example.com",
            "su",
            "",
            2,
            "'su root' failed",
        ),
        (
            b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time",
            at(2003, 8, 24, 12, 14, 15, 3),
            "192.0.2.1",
            "myproc",
            "8710",
            5,
            "%% It's time",
        ),
        (
            b'<165>1 2003-10-11T22:14:15.003Z h ev - ID47 [ex@1 a="x\\"]y"][b c="d"] An event',
            at(2003, 10, 11, 22, 14, 15, 3000),
            "h",
            "ev",
            "",
            5,
            "An event",
        ),
        # those of RFC 3164, section 5.4, and what else is about
        (
            b"<34>Jan 11 22:14:15 mymachine su: 'su root' failed",
            at(2024, 1, 11, 22, 14, 15),
            "mymachine",
            "su",
            "",
            2,
            "'su root' failed",
        ),
        (
            b"<30>Jun  1 11:59:58 web-1 shopd[77]: order 5 taken\n",
            at(2024, 6, 1, 11, 59, 58),
            "web-1",
            "shopd",
            "77",
            6,
            "order 5 taken",
        ),
        (
            b"<13>2024-06-01T13:59:58+02:00 web-1 cron: ran",
            at(2024, 6, 1, 11, 59, 58),
            "web-1",
            "cron",
            "",
            5,
            "ran",
        ),
        (
            b"<13>Jun  1 11:59:58 cron: ran without a host",
            at(2024, 6, 1, 11, 59, 58),
            "",
            "cron",
            "",
            5,
            "ran without a host",
        ),
        (b"<0>Feb 30 11:59:58 h kernel: odd day", math.nan, "h", "kernel", "", 0, "odd day"),
        (b"no priority at all", math.nan, "", "", "", 5, "no priority at all"),
        (b"<999>too high", math.nan, "", "", "", 5, "<999>too high"),
    ],
)
def test_messages(data: bytes, time: float, host: str, app: str, pid: str, severity: int, text: str) -> None:
    found = decode(data, NOW)
    assert (found.host, found.app, found.pid, found.severity, found.text) == (host, app, pid, severity, text)
    assert found.time == time or (math.isnan(found.time) and math.isnan(time))


def test_a_line_bears_its_level_where_it_is_bad() -> None:
    assert decode(b"<27>Jun  1 11:59:58 h shopd[7]: no route", NOW).line == "ERROR shopd: no route"
    assert decode(b"<30>Jun  1 11:59:58 h shopd[7]: fine", NOW).line == "shopd: fine"


def test_streams_split_by_count_and_by_line() -> None:
    assert split(b"5 <1>ab7 <1>a\nbcnext\n", 100) == ([b"<1>ab", b"<1>a\nbc", b"next"], b"")
    assert split(b"12 <1>half", 100) == ([], b"12 <1>half")
    assert split(b"one\ntwo\r\n\nhalf", 100) == ([b"one", b"two"], b"half")
    assert split(b"x" * 25, 10) == ([b"x" * 10, b"x" * 10], b"x" * 5)


@given(st.binary(max_size=200))
def test_any_datagram_is_a_message(data: bytes) -> None:
    assert "\n" not in decode(data, NOW).line


@given(st.lists(st.binary(max_size=30), max_size=8), st.integers(1, 7))
def test_how_a_stream_is_cut_into_reads_does_not_matter(parts: list[bytes], size: int) -> None:
    stream = b"".join(b"%d <1>%s" % (len(part) + 3, part) for part in parts)
    found, rest = [], b""
    for start in range(0, len(stream), size):
        more, rest = split(rest + stream[start : start + size], 1000)
        found += more
    assert found == [b"<1>" + part for part in parts]
    assert rest == b""
