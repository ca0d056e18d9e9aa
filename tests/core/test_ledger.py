"""The lead-time ledger: outcomes, lead times, and what the store and the API make of them."""

import math

import pytest

from aiops.cli.ledger import lines
from aiops.core.ledger import Entry, Outcome, summarise

NEVER = math.nan


def entry(opened: float = 100.0, **more: float) -> Entry:
    given = {"breached": NEVER, "resolved": NEVER, "expected": NEVER} | more
    repaired = bool(given.pop("repaired", 0))
    return Entry("fw-1", "disk", opened - 10, opened, repaired=repaired, **given)


@pytest.mark.parametrize(
    ("one", "outcome", "lead"),
    [
        (entry(breached=400.0), Outcome.WARNED, 300.0),
        (entry(breached=400.0, resolved=900.0, expected=410.0), Outcome.WARNED, 300.0),
        (entry(breached=100.0), Outcome.SILENT, 0.0),
        (entry(breached=40.0), Outcome.SILENT, 0.0),
        (entry(expected=400.0), Outcome.PENDING, NEVER),
        (entry(expected=400.0, resolved=300.0, repaired=1), Outcome.AVERTED, NEVER),
        (entry(expected=400.0, resolved=900.0), Outcome.EMPTY, NEVER),
        (entry(resolved=900.0), Outcome.HARMLESS, NEVER),
    ],
)
def test_outcome_and_lead(one: Entry, outcome: Outcome, lead: float) -> None:
    assert one.outcome is outcome
    assert one.lead == pytest.approx(lead, nan_ok=True)


def test_a_silent_breach_pulls_the_lead_times_down() -> None:
    warned = [entry(breached=100.0 + 60 * i) for i in range(1, 10)]
    found = summarise([*warned, entry(breached=50.0), entry(resolved=1.0)])
    assert (found.p10, found.p50, found.p90) == pytest.approx((54.0, 270.0, 486.0))
    assert found.outcomes[Outcome.WARNED] == 9
    assert found.outcomes[Outcome.SILENT] == 1
    assert sum(found.outcomes.values()) == 11


def test_nothing_breached_has_no_lead_time() -> None:
    found = summarise([entry(resolved=1.0)])
    assert math.isnan(found.p50)
    assert found.outcomes[Outcome.HARMLESS] == 1


def test_rows_of_the_store_become_entries() -> None:
    row = {"key": "fw-2", "title": "t", "first_anomaly": 1, "opened": 2.0, "breached": None, "resolved": None}
    made = Entry.of(row | {"expected": 9.0, "repaired": 0})
    assert (made.first_anomaly, made.opened, made.expected, made.repaired) == (1.0, 2.0, 9.0, False)
    assert math.isnan(made.breached)


def test_a_terminal_reads_it() -> None:
    item = {
        "key": "fw-1",
        "opened": "2026-01-01T00:00:00Z",
        "outcome": "warned",
        "lead": 300.0,
        "title": "disk",
    }
    told = {"p10": 60.0, "p50": 300.0, "p90": 600.0, "outcomes": {"warned": 1}, "items": [item]}
    text = lines(told)
    assert text[0] == "lead time before a breach: half at least 5 min, nine in ten 60 s, one in ten 10 min"
    assert text[1] == "1 warned"
    assert "warned    5 min        disk" in text[2]
    assert lines(told | {"p50": None})[0] == "no SLI was breached"
