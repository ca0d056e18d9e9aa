"""Lists page by page: nothing twice, nothing left out, however few rows are looked through at once."""

import math

import pytest

from aiops.model.lifecycle import AlertState
from aiops.model.series import labels_of
from aiops.model.signal import Alert, AlertKind
from aiops.store import alerts, audit, lists
from aiops.store.database import Database
from aiops.store.lists import AlertFilter, Looked, TrailFilter
from aiops.web.api.paging import Paging, decode

COUNT = 40


@pytest.fixture
def filled(db: Database) -> Database:
    """Forty alerts; every third fires, every fourth is a limit's, two speak of a disk."""
    with db.begin() as conn:
        for n in range(COUNT):
            kind = AlertKind.LIMIT if n % 4 == 0 else AlertKind.ANOMALY
            one = Alert(kind, labels_of({"pod": f"p{n}"}), float(n), "rule")
            one.state = AlertState.FIRING if n % 3 == 0 else AlertState.RESOLVED
            one.reason = "the Disk fills up" if n in (2, 30) else "slow"
            one.score = one.peak = 4.0
            one.updated = float(n)
            one.resolved = math.nan if n % 3 == 0 else n + 1.0
            alerts.save_alerts(conn, [(one, None)])
            note = {"current": "a", "to": "b", "reason": one.reason}
            actor = "ana" if n % 5 == 0 else audit.ACTOR
            audit.note(conn, at=float(n), entity="alert", entity_id=n, actor=actor, **note)  # type: ignore[arg-type]
    return db


def walked(db: Database, narrow: AlertFilter | TrailFilter, limit: int) -> tuple[list[int], int]:
    """The ids of all pages, and how many pages these were."""
    found: list[int] = []
    before, pages = None, 0
    with db.read_only() as conn:
        while True:
            paging = Paging(limit)
            if isinstance(narrow, AlertFilter):
                page = lists.alerts(conn, narrow, before, limit + 1)
            else:
                page = lists.trail(conn, narrow, before, limit + 1)
            cut = paging.cut(page)
            found += [row["id"] for row in cut["items"]]
            pages += 1
            if cut["next"] is None:
                return found, pages
            before = decode(cut["next"])


@pytest.mark.parametrize(
    ("narrow", "wanted"),
    [
        (AlertFilter(), range(COUNT)),
        (AlertFilter(states=("firing",)), range(0, COUNT, 3)),
        (AlertFilter(states=("firing", "resolved")), range(COUNT)),
        (AlertFilter(kind="limit"), range(0, COUNT, 4)),
        (AlertFilter(states=("firing",), kind="limit"), range(0, COUNT, 12)),
        (AlertFilter(states=("pending",)), []),
        (AlertFilter(text="disk"), [2, 30]),
        (AlertFilter(states=("firing", "resolved"), text="DISK"), [2, 30]),
        (AlertFilter(states=("firing",), text="disk"), [30]),
        (AlertFilter(text='"p7"'), [7]),
        (TrailFilter(actor="ana"), range(0, COUNT, 5)),
        (TrailFilter(actor=audit.ACTOR, entity="alert", text="disk"), [2]),
        (TrailFilter(actor="ana", entity="run"), []),
        (TrailFilter(text="disk"), [2, 30]),
    ],
)
def test_every_page_goes_on_where_the_one_before_ended(
    filled: Database, monkeypatch: pytest.MonkeyPatch, narrow: AlertFilter | TrailFilter, wanted: list[int]
) -> None:
    ids = [n + 1 for n in sorted(wanted, reverse=True)]
    assert walked(filled, narrow, 7)[0] == ids
    monkeypatch.setattr(lists, "LOOKED", 9)
    found, pages = walked(filled, narrow, 7)
    assert found == ids
    if isinstance(narrow, AlertFilter) and narrow.text == "disk" and not narrow.states:
        assert pages == 5, "nine rows a page of forty, the last of them four"


def test_a_page_tells_how_far_was_looked(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "LOOKED", 9)
    with filled.read_only() as conn:
        first = lists.alerts(conn, AlertFilter(text="disk"), None, 5)
        assert isinstance(first, Looked)
        assert (list(first), first.until) == ([], COUNT - 8)
        last = lists.alerts(conn, AlertFilter(text="disk"), 5, 5)
        assert ([row["id"] for row in last], last.until) == ([3], None)
