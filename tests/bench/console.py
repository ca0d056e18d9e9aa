"""How quickly console and API answer over a large store, and how late 200 listeners hear of events.

    python -m tests.bench.console [--problems 50000] [--alerts 1000000] [--series 200000] [--store URL]

The store is filled by SQL with problems of the last 90 days, one in fifty of them open; the engine then
starts on it, on a clock that stands. Times are the server's, through ASGI: no socket, no browser.
`page_p95_ms` is over the list, Now and 200 different problem pages; `api_p95_ms` over filtered lists.
Events: 50 a second for 10 s (`events_lost`, `events_p95_ms`, from the commit to the listener's hand).
"""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import sqlalchemy as sa

from aiops.config import Config
from aiops.engine.engine import Engine
from aiops.model.series import NAME, labels_of
from aiops.store import audit
from aiops.store.database import Database
from aiops.store.migrate import upgrade
from aiops.store.tables import alert, evidence, problem, trait
from aiops.store.tables import audit as audit_table
from aiops.testing import FakeClock, ScriptedConnector, eventually
from aiops.web.app import create_app
from aiops.web.events import Events

NOW = 1_767_974_400.0
SPAN = 90 * 86400.0
BATCH = 20_000
LISTENERS, RATE, SECONDS = 200, 50, 10
FLOORS = {"page_p95_ms": 150.0, "api_p95_ms": 100.0, "events_p95_ms": 500.0}


def fill(db: Database, problems: int, alerts: int) -> None:
    """Ids run from 1; the latest problems are the open ones."""
    rng = np.random.default_rng(11)
    opened = np.sort(NOW - rng.uniform(0, SPAN, problems))
    states = np.where(
        np.arange(problems) >= problems * 49 // 50, rng.choice(["open", "escalated"], problems), "resolved"
    )
    with db.begin() as conn:
        for start in range(0, problems, BATCH):
            part = range(start, min(start + BATCH, problems))
            conn.execute(problem.insert(), [_problem(i, float(opened[i]), str(states[i])) for i in part])
            conn.execute(trait.insert(), [row for i in part for row in _traits(i)])
            conn.execute(audit_table.insert(), [_audit(i, float(opened[i])) for i in part])
        owner = np.sort(rng.integers(0, problems, alerts))
        for start in range(0, alerts, BATCH):
            part = range(start, min(start + BATCH, alerts))
            rows = [_alert(i, int(owner[i]), float(opened[owner[i]]), str(states[owner[i]])) for i in part]
            conn.execute(alert.insert(), rows)
        recent = [i + 1 for i in range(alerts) if owner[i] >= problems - 400]
        conn.execute(evidence.insert(), [{"alert_id": i, "points": _points()} for i in recent])


def _problem(i: int, at: float, state: str) -> dict[str, Any]:
    over = at + 1800 if state == "resolved" else None
    return {
        "id": i + 1,
        "key": f"fw-{i}",
        "title": f"request duration (service s{i % 500}) is 1.2 s, expected 180 to 240 ms",
        "state": state,
        "stage": "active" if i % 3 == 0 else "predicted",
        "severity": ["minor", "major", "critical"][i % 3],
        "labels": {"service": f"s{i % 500}"},
        "opened": at,
        "updated": over or at,
        "breached": at + 600 if i % 3 == 0 else None,
        "resolved": over,
    }


def _traits(i: int) -> list[dict[str, Any]]:
    return [{"problem_id": i + 1, "text": text} for text in (f"entity:s{i % 500}", f"metric:m{i % 40}")]


def _audit(i: int, at: float) -> dict[str, Any]:
    row = {"problem_id": i + 1, "at": at, "actor": "forewarn", "entity": "problem", "entity_id": str(i + 1)}
    return row | {"from_state": "new", "to_state": "open", "reason": "request duration is high"}


def _alert(i: int, owner: int, at: float, state: str) -> dict[str, Any]:
    firing = state != "resolved"
    return {
        "id": i + 1,
        "problem_id": owner + 1,
        "fingerprint": f"{i:016x}",
        "kind": "anomaly",
        "rule": "adaptive",
        "source": "prod",
        "labels": {NAME: f"m{i % 40}", "service": f"s{owner % 500}", "pod": f"p{i % 2000}"},
        "state": "firing" if firing else "resolved",
        "severity": "major",
        "score": 5.0,
        "peak": float(i % 17),
        "observed": 1.2,
        "started": at - 60,
        "fired": at,
        "resolved": None if firing else at + 1700,
        "updated": at + 1700,
        "examples": [],
    }


def _points() -> dict[str, list[float]]:
    times = [NOW - 3600 + 15.0 * n for n in range(240)]
    line = [float(np.sin(n / 20)) for n in range(240)]
    bands = dict.fromkeys(("observed", "expected", "lower", "upper"), line)
    return {"times": times, **bands}


async def timed(client: httpx.AsyncClient, paths: list[str]) -> tuple[float, float, str]:
    """95th percentile in ms, the largest answer in KB, what took longest; each kind is asked once before."""
    times, largest = [], 0
    for path in dict.fromkeys(paths[:10]):
        await client.get(path)
    for path in paths:
        began = time.perf_counter()
        answer = await client.get(path)
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, (path, answer.status_code)
        largest = max(largest, len(answer.content))
    slowest = paths[int(np.argmax(times))]
    return float(np.percentile(times, 95)), largest / 1024, f"{slowest} {max(times):.0f} ms"


async def heard(engine: Engine) -> dict[str, float]:
    """200 listeners, 50 events a second."""
    events, committed, delays, lost = Events(engine), dict[str, float](), list[float](), 0
    wanted = RATE * SECONDS

    async def listen() -> int:
        got = 0
        async for text in events.listen(None, "bench"):
            if text.startswith("id:"):
                ident = json.loads(text.split("data: ", 1)[1])["entity_id"]
                delays.append(time.perf_counter() - committed[ident])
                got += 1
            if got == wanted:
                break
        return got

    tasks = [asyncio.create_task(listen()) for _ in range(LISTENERS)]
    await asyncio.sleep(1.0)
    for n in range(wanted):
        began, ident = time.perf_counter(), str(n)
        committed[ident] = began
        await engine.db.run(_note, ident)
        committed[ident] = time.perf_counter()
        await asyncio.sleep(max(0.0, 1 / RATE - (time.perf_counter() - began)))
    _, late = await asyncio.wait(tasks, timeout=10)
    for task in late:
        task.cancel()
    lost = LISTENERS * wanted - len(delays)
    return {"events_lost": lost, "events_p95_ms": float(np.percentile(delays, 95)) * 1000}


def _note(conn: sa.Connection, ident: str) -> None:
    audit.note(conn, at=NOW, entity="bench", entity_id=ident, current="a", to="b", reason="bench")


async def main(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    url = asked.store or f"sqlite:///{folder / 'forewarn.db'}"
    db = Database(url)
    upgrade(db)
    began = time.perf_counter()
    fill(db, asked.problems, asked.alerts)
    db.close()
    filled = time.perf_counter() - began
    source = ScriptedConnector(name="prod", every=60.0)
    config = Config.model_validate({"store": url, "data": folder / "data", "sources": [source]})
    engine = Engine(config, clock=FakeClock(NOW))
    await engine.start()
    try:
        await eventually(engine.ready, 300)
        names = [
            labels_of({NAME: f"m{n % 40}", "service": f"s{n % 500}", "pod": f"p{n}"})
            for n in range(asked.series)
        ]
        engine.index.slots(names)
        await engine.pipeline.call(lambda state: state.welcome())
        transport = httpx.ASGITransport(create_app(engine))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8750") as client:
            rng = np.random.default_rng(3)
            idents = rng.integers(asked.problems - 300, asked.problems, 200) + 1
            pages = ["/", "/problems", "/problems?state=resolved", "/problems?q=service%3Ds7"]
            page, kb, slow_page = await timed(client, pages * 5 + [f"/problems/{i}" for i in idents])
            lists = [
                "/problems?state=open&severity=critical",
                "/problems?label=service%3Ds7&limit=50",
                "/alerts?state=firing&kind=anomaly",
                "/alerts?problem=100",
                "/audit?entity=problem",
                "/series?match=%7Bservice%3D%22s7%22%7D",
            ]
            api, _, slow_api = await timed(client, [f"/api/v1{path}" for path in lists] * 10)
        events = await heard(engine)
    finally:
        stopping = asyncio.create_task(engine.stop())
        while not stopping.done():
            await engine.clock.advance(1)  # type: ignore[attr-defined]
            await asyncio.sleep(0.005)
    found = {
        "page_p95_ms": page,
        "api_p95_ms": api,
        "page_kb": kb,
        "slowest": [slow_page, slow_api],
        **events,
        "filled_s": filled,
    }
    return {
        "store": url.split(":")[0],
        **{name: round(value, 1) if isinstance(value, float) else value for name, value in found.items()},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", type=int, default=50_000)
    parser.add_argument("--alerts", type=int, default=1_000_000)
    parser.add_argument("--series", type=int, default=200_000)
    parser.add_argument(
        "--store", default="", help="An empty database; SQLite in a scratch folder when left out."
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        told = asyncio.run(main(given, Path(scratch)))
    missed = [name for name, floor in FLOORS.items() if told[name] > floor] + ["events_lost"] * bool(
        told["events_lost"]
    )
    print(json.dumps(told | {"missed": missed}))
