"""Which alerts a log pattern took part in, on both databases."""

import json
from typing import Any

import pytest
import sqlalchemy as sa

from aiops.store import flagged, log_templates, outbox, tables
from aiops.store.database import Database
from aiops.web.patterns import counted
from aiops.web.points import stored

TEXT = 'no "room" left on <*> at 50 %'


def alert(**values: Any) -> dict[str, Any]:
    same: dict[str, Any] = {
        "fingerprint": "f",
        "kind": "log",
        "rule": "new log pattern",
        "state": "resolved",
        "team": "default",
    }
    same |= {"severity": "minor", "score": 5.0, "peak": 5.0, "started": 1.0, "updated": 1.0}
    return {**same, "labels": {}, "examples": [], **values}


def test_alerts_of_a_pattern_name_it_or_show_its_lines(db: Database) -> None:
    rows = [
        alert(labels={"__name__": "log_pattern_lines_per_second", "template": "t1"}),
        alert(labels={"template": "t12"}),
        alert(examples=[TEXT, "a line"]),
        alert(examples=["another", TEXT]),
    ]
    with db.begin() as conn:
        ids = [(conn.execute(tables.alert.insert().values(r)).inserted_primary_key or (0,))[0] for r in rows]
        found = log_templates.alerts_of(conn, "t1", TEXT, 10)
        assert outbox.dead_by_sink(conn) == {}
    assert [one["id"] for one in found] == [ids[2], ids[0]]
    assert [one["title"] for one in found] == [None, None]


def test_rows_that_a_former_version_spelt_are_found_too(db: Database) -> None:
    labels, given = {"template": "té", "host": "a"}, ":text" if db.is_sqlite else "CAST(:text AS JSON)"
    with db.begin() as conn:
        conn.execute(tables.alert.insert().values(alert(fired=5.0)))
        for text in (json.dumps(labels), json.dumps(labels, separators=(",", ":"), ensure_ascii=False)):
            conn.execute(sa.text(f"UPDATE alert SET labels = {given}"), {"text": text})
            assert len(log_templates.alerts_of(conn, "té", TEXT, 10)) == 1, text
            assert len(flagged.of_series(conn, tuple(labels.items()), 0.0, 10)) == 1, text


@pytest.mark.parametrize(
    ("at", "said"), [(30.0, (10, 200)), (20.0, (10, 110)), (0.0, (None, None)), (99.0, (None, None))]
)
def test_lines_are_counted_over_equal_times(at: float, said: tuple[int | None, int | None]) -> None:
    times = [0.0, 10.0, 20.0, 30.0, 40.0]
    line = stored({"times": times, "observed": [1.0, None, 1.0, 10.0, 10.0]})
    assert counted(line, at) == said
