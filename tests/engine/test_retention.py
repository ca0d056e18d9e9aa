"""Retention: a dry run counts exactly what a purge takes, table by table, and nothing younger goes."""

import json
from pathlib import Path

import sqlalchemy as sa

from aiops.config.operation import Retention
from aiops.store import retention, seals, tables
from aiops.store.database import Database
from aiops.store.migrate import upgrade
from tests.engine.test_cli import forewarn

DAY = 86400.0
NOW = 2e9
OLD, YOUNG = NOW - 400 * DAY, NOW - DAY


def problem(conn: sa.Connection, key: str, resolved: float | None) -> int:
    state = "open" if resolved is None else "resolved"
    what = {"key": key, "title": key, "state": state, "stage": "active", "severity": "major", "labels": {}}
    made = conn.execute(tables.problem.insert().values(**what, opened=OLD, updated=OLD, resolved=resolved))
    return int(made.inserted_primary_key[0])  # type: ignore[index]


def fill(conn: sa.Connection, at: float, mark: str) -> None:
    """One row of everything, that was over at `at`."""
    ident = problem(conn, f"p-{mark}", at)
    going_on = problem(conn, f"open-{mark}", None)
    for number, owner in enumerate((ident, going_on)):
        body = {"sink": "itsm", "seq": 1, "reason": "opened", "body": {}, "message_id": f"{mark}-{number}"}
        times = {"said": at, "due": at, "sent": at}
        conn.execute(tables.delivery.insert().values(problem_id=owner, **body, **times, state="sent"))
        audited = {"at": at, "actor": "me", "entity": "problem", "entity_id": str(owner)}
        moved = {"from_state": "open", "to_state": "resolved", "reason": "over"}
        conn.execute(tables.audit.insert().values(problem_id=owner, **audited, **moved))
        if number:
            conn.execute(tables.audit.insert().values(problem_id=None, **audited, **moved))
    for problem_id in (None, ident):
        about = {"kind": "anomaly", "rule": "adaptive", "labels": {}, "severity": "minor", "examples": []}
        ended = {"started": at, "resolved": at, "updated": at, "state": "resolved", "score": 5.0, "peak": 5.0}
        conn.execute(
            tables.alert.insert().values(problem_id=problem_id, fingerprint=mark[:8], **about, **ended)
        )
    what = {"kind": "deploy", "title": "x", "source": "ci", "labels": {}, "detail": {}}
    conn.execute(tables.change.insert().values(time=at, **what))
    seen = {"first_seen": at, "last_seen": at, "lines": 1, "text": "x"}
    conn.execute(tables.log_template.insert().values(name=f"T-{mark}", **seen))
    why = {"reason": "x", "created_by": "me", "created": at}
    conn.execute(tables.silence.insert().values(match="x", starts=at, ends=at, **why))
    conn.execute(tables.hold.insert().values(reason="x", made=at, made_by="me", lifted=at))
    conn.execute(tables.token.insert().values(name=mark, digest=mark, created=at, expires=at))
    conn.execute(tables.session.insert().values(digest=mark, opened=at, seen=at, expires=at))
    conn.execute(tables.answer.insert().values(key=mark, holder="1", asked="x", at=at))


def store(folder: Path) -> Database:
    db = Database(f"sqlite:///{folder / 'forewarn.db'}")
    upgrade(db)
    with db.begin() as conn:
        fill(conn, OLD, "old")
        fill(conn, YOUNG, "young")
        seals.close(conn, whole=True)
    return db


def counts(db: Database) -> dict[str, int]:
    with db.read_only() as conn:
        return {
            part.name: conn.execute(sa.select(sa.func.count()).select_from(part.table)).scalar_one()
            for part in retention.PARTS
        }


def test_a_dry_run_tells_what_a_purge_takes(tmp_path: Path) -> None:
    db, keep = store(tmp_path), Retention().seconds()
    before = counts(db)
    with db.read_only() as conn:
        due = retention.due(conn, keep, NOW)
    assert due == {**dict.fromkeys(due, 1), "answers": 1}, "one row of each is over, and old enough"
    assert counts(db) == before
    with db.begin() as conn:
        gone = retention.purge(conn, keep, NOW)
    assert gone == due
    with db.read_only() as conn:
        assert set(retention.due(conn, keep, NOW).values()) == {0}
        assert seals.verify(conn).intact, "the chain closes without the rows"
        left = conn.scalars(sa.select(tables.problem.c.key)).all()
    assert sorted(left) == ["open-old", "open-young", "p-young"]
    db.close()


def test_longer_retention_keeps_more(tmp_path: Path) -> None:
    db, keep = store(tmp_path), dict.fromkeys(Retention().seconds(), 500 * DAY)
    with db.read_only() as conn:
        assert {name for name, rows in retention.due(conn, keep, NOW).items() if rows} == {"answers"}
    db.close()


def test_the_command_says_and_does(tmp_path: Path) -> None:
    store(tmp_path).close()
    config = tmp_path / "forewarn.yaml"
    sources = [{"kind": "host"}]
    # what is of 2033 is not over: `problems: 0s` alone makes the resolved ones due, by the clock of today
    whole = {"store": f"sqlite:///{tmp_path}/forewarn.db", "data": str(tmp_path), "sources": sources}
    config.write_text(json.dumps(whole))
    said = forewarn("purge", "--dry-run", "--json", "--config", config)
    assert said.returncode == 0, said.stderr
    told = json.loads(said.stdout)
    assert told["dry_run"] is True
    assert set(told["rows"]) == {part.name for part in retention.PARTS} | {"answers"}
    done = forewarn("purge", "--compact", "--config", config)
    assert done.returncode == 0, done.stderr
    assert "problems       kept 90d" in done.stdout
