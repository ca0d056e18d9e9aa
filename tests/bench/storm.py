"""What it costs to write a storm down, thousands of alerts and their evidence, and what a start writes down.

    python -m tests.bench.storm [--on sqlite postgresql] [--alerts 2000] [--refreshes 5]
        [--problems 10000] [--past 200000]

As many series as `--alerts`, of 50 services, cross a limit in one row, and stay there: one commit with all
alerts, their evidence and the audit trail (`fired`), then commits that refresh all rows and evidence
(`refreshed`, the mean), then one in which all are over (`resolved`). `wall_ms` and `cpu_ms` (of the process)
are of one commit, from what the row brought about to its being stored.

`start`: an engine starts on a past of `--problems` with `--past` alerts (console_data), and has to write down
what changed while it was away. Until that is done (`calm_s`, `cpu_s` of the process) the list of problems is
asked for again and again: `pages`, and `page_p95_ms`; `calm_page_p95_ms`: of twenty more afterwards.
The last line is one JSON object.
"""

import argparse
import asyncio
import gc
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from aiops.engine.engine import Engine
from aiops.engine.record import Recorder
from aiops.engine.state import State
from aiops.engine.work import Work
from aiops.model.series import Labels, labels_of
from aiops.store.database import Database
from aiops.store.migrate import upgrade
from aiops.testing import eventually
from aiops.web.app import create_app
from tests.bench.console import calm, engine_on
from tests.bench.console_data import fill
from tests.bench.console_past import Past
from tests.database import missing_postgres, postgres
from tests.walk import DOWN, Walk, config_of

SERVICES = 50
PAST = 100
"""Rows before the storm: what evidence shows."""


class Timed(Recorder):
    """Notes seconds of wall and processor of each commit."""

    took: tuple[float, float] = (0.0, 0.0)

    async def save(self, state: State, work: Work) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        await super().save(state, work)
        self.took = time.perf_counter() - wall, time.process_time() - cpu


def fleet(series: int) -> list[Labels]:
    return [
        labels_of({"__name__": "up", "service": f"s{n % SERVICES}", "pod": f"pod-{n}", "zone": "b"})
        for n in range(series)
    ]


async def measured(url: str, asked: argparse.Namespace) -> dict[str, Any]:
    db = Database(url)
    upgrade(db)
    made = Walk(db, config_of(limits=[DOWN], grouping={"by": ["service"]}))
    timed = Timed(db)
    made.pipeline._recorder = timed
    series = fleet(asked.alerts)
    for _ in range(PAST):
        await made.row(dict.fromkeys(series, 1.0))
    gc.collect()
    gc.freeze()
    took = {}
    await made.row(dict.fromkeys(series, 0.0))
    took["fired"] = [timed.took]
    took["refreshed"] = []
    for _ in range(asked.refreshes):
        await made.row(dict.fromkeys(series, 0.0), after=30.0)
        took["refreshed"].append(timed.took)
    while any(alert.state == "firing" for alert in made.state.alerting.live.values()):
        await made.row(dict.fromkeys(series, 1.0), after=30.0)
    took["resolved"] = [timed.took]
    stored = await db.read(lambda conn: conn.exec_driver_sql("SELECT count(*) FROM alert").scalar_one())
    assert stored == asked.alerts, stored
    db.close()
    return {
        name: {
            "wall_ms": round(1000 * sum(wall for wall, _ in each) / len(each), 1),
            "cpu_ms": round(1000 * sum(cpu for _, cpu in each) / len(each), 1),
        }
        for name, each in took.items()
    }


async def started(url: str, asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    db = Database(url)
    upgrade(db)
    fill(db, Past(asked.problems, asked.past))
    db.close()
    engine = engine_on(url, folder)
    await engine.start()
    try:
        await eventually(engine.ready, 300)
        gc.collect()
        gc.freeze()
        transport = httpx.ASGITransport(create_app(engine))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8750") as client:
            wall, cpu = time.perf_counter(), time.process_time()
            busy = asyncio.create_task(calm(engine))
            pages = [await page(client) for _ in iter(busy.done, True)]
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            after = [await page(client) for _ in range(20)]
    finally:
        await ended(engine)
    return {
        "calm_s": round(wall, 1),
        "cpu_s": round(cpu, 2),
        "pages": len(pages),
        "page_p95_ms": round(float(np.percentile(pages, 95)), 1),
        "page_max_ms": round(max(pages), 1),
        "calm_page_p95_ms": round(float(np.percentile(after, 95)), 1),
    }


async def page(client: httpx.AsyncClient) -> float:
    """Milliseconds of one."""
    began = time.perf_counter()
    answer = await client.get("/")
    assert answer.status_code == 200, answer.text
    took = 1000 * (time.perf_counter() - began)
    await asyncio.sleep(0.02)
    return took


async def ended(engine: Engine) -> None:
    stopping = asyncio.create_task(engine.stop())
    while not stopping.done():
        await engine.clock.advance(1)  # type: ignore[attr-defined]
        await asyncio.sleep(0.005)


@contextmanager
def stores(asked: argparse.Namespace, file: Path) -> Iterator[dict[str, str]]:
    """Name -> URL of what is measured on."""
    found = {"sqlite": f"sqlite:///{file}"} if "sqlite" in asked.on else {}
    if "postgresql" not in asked.on or missing_postgres():
        yield found
        return
    with postgres() as cluster, cluster.fresh() as url:
        yield found | {"postgresql": url}


async def main(asked: argparse.Namespace) -> dict[str, Any]:
    told: dict[str, Any] = {"bench": "storm", "alerts": asked.alerts}
    with tempfile.TemporaryDirectory(prefix="forewarn-bench-") as scratch:
        folder = Path(scratch)
        with stores(asked, folder / "storm.db") as found:
            for name, url in found.items():
                told[name] = await measured(url, asked)
        with stores(asked, folder / "past.db") as found:
            for name, url in found.items():
                told[name]["start"] = await started(url, asked, folder / name)
    return told | {"load": [round(one, 1) for one in os.getloadavg()]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--on", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--alerts", type=int, default=2000)
    parser.add_argument("--refreshes", type=int, default=5)
    parser.add_argument("--problems", type=int, default=10_000)
    parser.add_argument("--past", type=int, default=200_000)
    print(json.dumps(asyncio.run(main(parser.parse_args()))))
