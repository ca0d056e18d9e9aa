"""Writes a past into a database in bulk; every alert has its two rows in the audit trail, as in real life."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sqlalchemy.schema import CreateIndex

from aiops.model.series import NAME
from aiops.store.database import Database
from aiops.store.tables import metadata
from tests.bench.console_past import METRICS, NOW, Past
from tests.bench.console_rows import Rows, said, told, tried

POINTS = 120
_LEVELS = ("minor", "major", "critical")


def fill(db: Database, past: Past) -> None:
    """Ids begin with 1. Indexes are made when all is written: a row at a time, SQLite takes hours to."""
    sqlite = db.is_sqlite
    indexes = [index for table in metadata.sorted_tables for index in table.indexes]
    with db.engine.connect() as conn:
        raw: Any = conn.connection.driver_connection
        conn.detach()
        for setting in _QUICK if sqlite else _quick(raw):
            raw.execute(setting)
        for index in indexes:
            raw.execute(f'DROP INDEX "{index.name}"')
        raw.execute("BEGIN") if sqlite else None
        for name, columns, rows in _tables(past):
            _load(raw, name, columns.split(), rows)
        for index in indexes:
            raw.execute(str(CreateIndex(index).compile(dialect=conn.dialect)))
        raw.commit()
        if not sqlite:
            # what autovacuum does by itself within minutes on a server that is not a test's
            raw.autocommit = True
            raw.execute("VACUUM ANALYZE")


_QUICK = ("PRAGMA foreign_keys=OFF", "PRAGMA synchronous=OFF", "PRAGMA cache_size=-400000")


def _quick(raw: Any) -> list[str]:
    found = ["SET maintenance_work_mem = '256MB'"]
    if raw.execute("SHOW is_superuser").fetchone()[0] == "on":
        found.append("SET session_replication_role = replica")  # no check of references
    return found


def _load(raw: Any, name: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    listed = ", ".join(f'"{one}"' for one in columns)
    into = f'"{name}" ({listed})'
    if isinstance(raw, sqlite3.Connection):
        raw.executemany(f"INSERT INTO {into} VALUES ({', '.join('?' * len(columns))})", rows)
        return
    with raw.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    if "id" in metadata.tables[name].c:
        last = f'SELECT max(id) FROM "{name}"'
        raw.execute(f"SELECT setval(pg_get_serial_sequence('\"{name}\"', 'id'), ({last}))")


def _tables(past: Past) -> Rows:
    every = range(past.problems)
    yield (
        "problem",
        "id key title state stage severity labels opened updated last_evidence breached resolved reason",
        (_problem(past, i) for i in every),
    )
    yield "trait", "problem_id text", (row for i in every for row in _traits(past, i))
    yield (
        "alert",
        "id problem_id fingerprint kind rule source labels state severity score peak observed lower upper"
        " started fired resolved updated reason examples joined",
        (_alert(past, n) for n in range(len(past.owner))),
    )
    recent = np.flatnonzero(past.owner >= past.open_from - past.problems // 50)[-20_000:]
    points = json.dumps(_points())
    yield "evidence", "alert_id points", ((int(n) + 1, points) for n in recent)
    yield (
        "audit",
        "problem_id at actor entity entity_id from_state to_state reason",
        sorted(_audit(past), key=lambda row: row[1]),
    )
    yield from told(past)
    yield from tried(past)
    yield from said(past)


def _over(past: Past, i: int) -> float | None:
    return float(min(past.opened[i] + 1800 + past.sizes[i], NOW)) if past.states[i] == "resolved" else None


def _problem(past: Past, i: int) -> tuple[Any, ...]:
    at, over, service = float(past.opened[i]), _over(past, i), past.service(i)
    title = f"request duration of {service} is 1.{i % 10} s, expected 180 to 240 ms"
    breached = at + 600 if i % 3 == 0 else None
    labels = json.dumps({"service": service, "zone": "b"})
    stage = "active" if breached else "predicted"
    reason = "nothing fires any more" if over else ""
    row = (i + 1, f"fw-{i}", title, past.states[i], stage, _LEVELS[i % 3], labels)
    return (*row, at, over or NOW, over or NOW, breached, over, reason)


def _traits(past: Past, i: int) -> list[tuple[Any, ...]]:
    return [(i + 1, f"entity:{past.service(i)}"), (i + 1, f"metric:m{i % METRICS}_seconds")]


def _alert(past: Past, n: int) -> tuple[Any, ...]:
    owner, fired = int(past.owner[n]), float(past.fired[n])
    service, firing = past.service(owner), past.states[owner] != "resolved"
    # one in five alerts of an open problem is over already
    firing = firing and n % 5 > 0
    labels = {
        NAME: f"m{n % METRICS}_seconds",
        "service": service,
        "pod": f"{service}-{n if firing else n % 10:x}",
        "zone": "b",
    }
    over = None if firing else min(fired + 1500, NOW)
    reason = f"m{n % METRICS}_seconds of {service} is 1.2 s, expected 180 to 240 ms"
    kind = "limit" if n % 50 == 0 else "anomaly"
    return (
        *(n + 1, owner + 1, f"{n:016x}", kind, "adaptive", "prod", json.dumps(labels)),
        *("firing" if firing else "resolved", "major", 5.0, float(4 + n % 17), 1.2, 0.18, 0.24),
        *(fired - 60, fired, over, over or NOW, reason, "[]", "same service" if n % 3 else ""),
    )


def _points() -> dict[str, list[float]]:
    line = [round(float(np.sin(n / 20)), 4) for n in range(POINTS)]
    bands = dict.fromkeys(("observed", "expected", "lower", "upper"), line)
    return {"times": [NOW - 3600 + 30.0 * n for n in range(POINTS)], **bands}


def _audit(past: Past) -> list[tuple[Any, ...]]:
    out: list[tuple[Any, ...]] = []
    for i in range(past.problems):
        at, ident = float(past.opened[i]), str(i + 1)
        out.append((i + 1, at, "forewarn", "problem", ident, "new", "open", "request duration is high"))
        if i % 4 == 0:
            out.append((i + 1, at + 90, f"user{i % 30}", "problem", ident, "open", "open", "looking into it"))
        if over := _over(past, i):
            out.append(
                (i + 1, over, "forewarn", "problem", ident, "open", "resolved", "nothing fires any more")
            )
    for n, (owner, fired) in enumerate(zip(past.owner.tolist(), past.fired.tolist(), strict=True)):
        row = (owner + 1, fired, "forewarn", "alert", str(n + 1))
        out.append((*row, "pending", "firing", f"m{n % METRICS}_seconds is 1.2 s, expected 180 to 240 ms"))
        if past.states[owner] == "resolved" or n % 5 == 0:
            out.append(
                (owner + 1, min(fired + 1500, NOW), *row[2:], "firing", "resolved", "back in its band")
            )
    return out
