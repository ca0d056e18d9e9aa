"""Hours of the week: when they are open, and what time counts in them."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.core.hours import Hours

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = Hours(frozenset(range(5)), time(9), time(17), "Europe/Berlin", frozenset({date(2026, 12, 25)}))
NIGHT = Hours(frozenset({4}), time(22), time(6), "Europe/Berlin")
NEVER = Hours(frozenset(), time(9), time(17))


def at(text: str) -> float:
    """``2026-11-20 16:30`` in Berlin, a Friday."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


@pytest.mark.parametrize(
    ("hours", "when", "is_open"),
    [
        (OFFICE, "2026-11-20 08:59", False),
        (OFFICE, "2026-11-20 09:00", True),
        (OFFICE, "2026-11-20 17:00", False),
        (OFFICE, "2026-11-21 12:00", False),
        (OFFICE, "2026-12-25 12:00", False),
        (NIGHT, "2026-11-20 23:00", True),
        (NIGHT, "2026-11-21 05:59", True),
        (NIGHT, "2026-11-21 23:00", False),
        (Hours(), "2026-11-21 23:00", True),
        (NEVER, "2026-11-20 12:00", False),
    ],
)
def test_open(hours: Hours, when: str, is_open: bool) -> None:
    assert hours.open_at(at(when)) is is_open


@pytest.mark.parametrize(
    ("since", "minutes", "until"),
    [
        ("2026-11-20 10:00", 30, "2026-11-20 10:30"),
        ("2026-11-20 16:45", 30, "2026-11-23 09:15"),
        ("2026-11-21 03:00", 30, "2026-11-23 09:30"),
        ("2026-12-24 16:00", 120, "2026-12-28 10:00"),
        ("2026-11-20 17:00", 0, "2026-11-20 17:00"),
    ],
)
def test_only_open_time_counts(since: str, minutes: int, until: str) -> None:
    found = OFFICE.after(at(since), minutes * 60.0)
    if minutes:
        assert found == at(until)
    else:
        assert found <= at("2026-11-23 09:00")


def test_what_never_opens_is_not_waited_for() -> None:
    assert NEVER.after(at("2026-11-20 10:00"), 60.0) == float("inf")
    assert NEVER.open_from(at("2026-11-20 10:00")) == float("inf")


def test_the_night_on_which_clocks_go_back_is_an_hour_longer() -> None:
    whole = Hours(frozenset({5}), time(22), time(6), "Europe/Berlin")
    begin = at("2026-10-24 22:00")
    assert whole.after(begin, 9 * 3600.0) == at("2026-10-25 06:00")


@given(st.floats(1.7e9, 1.9e9), st.floats(1.0, 7 * 86400.0))
def test_the_end_of_a_wait_is_open_and_never_too_early(since: float, seconds: float) -> None:
    until = OFFICE.after(since, seconds)
    assert until >= since + seconds - 1e-3
    assert OFFICE.open_at(until - 1e-3) or OFFICE.open_at(until)


def test_open_from() -> None:
    assert OFFICE.open_from(at("2026-11-20 18:00")) == at("2026-11-23 09:00")
    now = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
    assert OFFICE.open_from(now) == now
