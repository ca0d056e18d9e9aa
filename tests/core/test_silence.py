"""Silences and maintenance windows: what is held back, when, and why."""

import math
from datetime import UTC, datetime

import pytest

from aiops.config import Maintenance
from aiops.core.silence import Silence, Silences
from aiops.model.selector import Selector
from aiops.model.series import labels_of

WEB = labels_of({"__name__": "up", "service": "web"})
DB = labels_of({"__name__": "up", "service": "db"})
ONLY_WEB = Selector.parse('{service="web"}')


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_a_silence_holds_from_its_start_until_just_before_its_end() -> None:
    silences = Silences([Silence(ONLY_WEB, 100.0, 200.0, "release")])
    assert [silences.why(WEB, t) for t in (99.9, 100.0, 199.9, 200.0)] == ["", "release", "release", ""]
    assert silences.why(DB, 150.0) == ""


def test_a_silence_without_ends_holds_always() -> None:
    assert Silences([Silence(Selector(), -math.inf, math.inf, "new")]).why(DB, 0.0) == "new"


def test_asked_silences_replace_the_former_ones_and_leave_the_declared() -> None:
    silences = Silences([Silence(ONLY_WEB, -math.inf, math.inf, "declared")])
    silences.asked([Silence(Selector.exact({"service": "db"}), 0.0, 10.0, "asked")])
    assert (silences.why(WEB, 5.0), silences.why(DB, 5.0)) == ("declared", "asked")
    silences.asked([])
    assert (silences.why(WEB, 5.0), silences.why(DB, 5.0)) == ("declared", "")


def window(**fields: object) -> Silences:
    return Silences((), [Maintenance.model_validate({"match": {"service": "web"}, **fields})])


@pytest.mark.parametrize(
    ("moment", "held"),
    [
        ("2026-01-05T01:59:59", False),
        ("2026-01-05T02:00:00", True),
        ("2026-01-05T03:59:59", True),
        ("2026-01-05T04:00:00", False),
        ("2026-01-06T03:00:00", False),
    ],
)
def test_a_window_opens_on_its_days_only(moment: str, held: bool) -> None:
    silences = window(days=["mon"], start="02:00", end="04:00")
    assert silences.why(WEB, at(moment)) == ("maintenance" if held else "")


@pytest.mark.parametrize(
    ("moment", "held"),
    [
        ("2026-01-09T22:59:00", False),
        ("2026-01-09T23:30:00", True),
        ("2026-01-10T00:30:00", True),
        ("2026-01-10T01:00:00", False),
        ("2026-01-10T23:30:00", False),
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_it_starts_on(moment: str, held: bool) -> None:
    silences = window(days=["fri"], start="23:00", end="01:00")
    assert bool(silences.why(WEB, at(moment))) is held


def test_a_window_keeps_its_local_time_when_the_clocks_change() -> None:
    silences = window(start="02:30", end="03:30", timezone="Europe/Berlin", reason="backup")
    # in winter Berlin is UTC+1, in summer UTC+2
    assert silences.why(WEB, at("2026-01-15T02:00:00")) == "backup"
    assert silences.why(WEB, at("2026-07-15T01:00:00")) == "backup"
    assert silences.why(WEB, at("2026-07-15T02:00:00")) == ""
    assert silences.why(DB, at("2026-01-15T02:00:00")) == ""
