"""How quickly console and API answer over a large store, and how soon a browser shows a page of it.

    python -m tests.bench.console [--on sqlite postgresql] [--problems 50000] [--alerts 1000000]
        [--series 200000] [--store URL] [--filled] [--no-browser]

The past of `console_past` is written once into each store: a SQLite file, and a PostgreSQL of this run's
own with its usual settings. The engine then starts on it, on a clock that stands, and is left to write down
what changed of open problems while it was away: some seconds, once a start. Every page, list and
filter of `console_walk` is asked for once, and then twenty times, but `/uplift`, which weighs all that ever
was; times are the server's, through ASGI. `page_p95_ms` and `api_p95_ms` are those of the slowest kind
(`apart_p95_ms`: of ledger and settings). A browser that has nothing in its cache tells `page_kb` (all that
came over the wire) and `lcp_s` (largest contentful paint, the median of three) of the worst page.
"""

import argparse
import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from aiops.config import Config
from aiops.engine.engine import Engine
from aiops.model.series import labels_of
from aiops.store.database import Database
from aiops.store.migrate import upgrade
from aiops.testing import FakeClock, ScriptedConnector, eventually
from aiops.web.app import create_app
from tests.bench.console_browser import seen
from tests.bench.console_data import fill
from tests.bench.console_past import NOW, SERVICES, Past, labels_of_series
from tests.bench.console_walk import Kinds, lists, pages
from tests.browser import missing_browser
from tests.database import missing_postgres, postgres

APART = ("/ledger", "/ledger?within=365d", "/settings")
"""Pages that are neither a list nor a problem: they sum up thousands of problems, or read the config anew."""
FLOORS = {"page_p95_ms": 150.0, "api_p95_ms": 100.0, "page_kb": 250.0, "lcp_s": 1.0}
PLAYBOOK = """
playbook: restart-NAME
match: 'problem.labels.service != "sNAME" && problem.evidence.exists(e, e.observed > 1)'
autonomy: approve
steps:
  - restart: {action: command, argv: [/bin/true]}
verify: {command: {argv: [/bin/true]}, times: 2, every: 1s, within: 30s}
"""


async def timed(client: httpx.AsyncClient, kinds: Kinds, often: int) -> dict[str, float]:
    """Kind -> 95th percentile in ms."""
    found = {}
    for name, paths in kinds.items():
        times = []
        for n in range(often + 1):
            path = paths[n % len(paths)]
            began = time.perf_counter()
            answer = await client.get(path)
            times.append((time.perf_counter() - began) * 1000)
            assert answer.status_code in ((404,) if "is not" in name else (200,)), (path, answer.text)
        found[name] = float(np.percentile(times[1:], 95))
    return found


def slowest(found: dict[str, float]) -> dict[str, float]:
    """The ten that take longest."""
    return {name: round(found[name], 1) for name in sorted(found, key=lambda one: -found[one])[:10]}


@contextmanager
def stores(asked: argparse.Namespace, folder: Path) -> Iterator[dict[str, str]]:
    """Name -> URL of what is measured on."""
    if asked.store:
        yield {asked.store.split(":")[0]: asked.store}
        return
    found = {"sqlite": f"sqlite:///{folder / 'forewarn.db'}"} if "sqlite" in asked.on else {}
    why = missing_postgres()
    if "postgresql" not in asked.on or why:
        sys.stderr.write(f"without PostgreSQL: {why or 'not asked for'}\n")
        yield found
        return
    usual = {"shared_buffers": "128MB", "autovacuum": "on", "max_wal_size": "4GB"}
    with postgres(**usual) as cluster, cluster.fresh() as url:
        yield found | {"postgresql": url}


def engine_on(url: str, folder: Path) -> Engine:
    shelf = folder / "playbooks"
    shelf.mkdir(parents=True, exist_ok=True)
    for n in range(5):
        (shelf / f"p{n}.yaml").write_text(PLAYBOOK.replace("NAME", str(n)))
    calls = {f"s{n}": [f"s{2 * n + 1}", f"s{2 * n + 2}"] for n in range(SERVICES // 2 - 1)}
    values = {
        "store": url,
        "data": folder / "data",
        "sources": [ScriptedConnector(name="prod", every=60.0)],
        "playbooks": [shelf],
        "grouping": {"by": ["service"], "calls": calls},
    }
    return Engine(Config.model_validate(values), clock=FakeClock(NOW))


async def calm(engine: Engine, turns: int = 10) -> None:
    """Until the pipeline, which waits for the store, has answered at once for two seconds."""
    good = 0
    while good < turns:
        began = time.perf_counter()
        await engine.pipeline.call(lambda state: None)
        good = good + 1 if time.perf_counter() - began < 0.02 else 0
        await asyncio.sleep(0.2)


async def measured(url: str, past: Past, asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    engine = engine_on(url, folder)
    began = time.perf_counter()
    await engine.start()
    try:
        await eventually(engine.ready, 300)
        started = time.perf_counter() - began
        engine.index.slots([labels_of(labels_of_series(n)) for n in range(asked.series)])
        await engine.pipeline.call(lambda state: state.welcome())
        await calm(engine)
        gc.collect()
        gc.freeze()  # as `forewarn run` does
        transport = httpx.ASGITransport(create_app(engine))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8750") as client:
            page = await timed(client, pages(past, asked.series, asked.alerts), asked.times)
            api = await timed(client, lists(past, asked.series, asked.alerts), asked.times)
        looked = {} if asked.no_browser or missing_browser() else await seen(engine, past)
    finally:
        stopping = asyncio.create_task(engine.stop())
        while not stopping.done():
            await engine.clock.advance(1)  # type: ignore[attr-defined]
            await asyncio.sleep(0.005)
    return {
        "page_p95_ms": round(max(took for name, took in page.items() if name not in APART), 1),
        "apart_p95_ms": round(max(took for name, took in page.items() if name in APART), 1),
        "api_p95_ms": round(max(api.values()), 1),
        **looked,
        "slowest_pages": slowest(page),
        "slowest_api": slowest(api),
        "start_s": round(started, 1),
    }


async def main(asked: argparse.Namespace) -> dict[str, Any]:
    told: dict[str, Any] = {"problems": asked.problems, "alerts": asked.alerts, "series": asked.series}
    with tempfile.TemporaryDirectory() as scratch, stores(asked, Path(scratch)) as found:
        past = Past(asked.problems, asked.alerts)
        for name, url in found.items():
            began = time.perf_counter()
            db = Database(url)
            upgrade(db)
            if not asked.filled:
                fill(db, past)
            db.close()
            filled = round(time.perf_counter() - began, 1)
            told[name] = await measured(url, past, asked, Path(scratch, name)) | {"filled_s": filled}
            missed = [floor for floor, most in FLOORS.items() if told[name].get(floor, 0.0) > most]
            told.setdefault("missed", []).extend(f"{name} {floor}" for floor in missed)
    return told | {"load": [round(one, 1) for one in os.getloadavg()]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--on", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--problems", type=int, default=50_000)
    parser.add_argument("--alerts", type=int, default=1_000_000)
    parser.add_argument("--series", type=int, default=200_000)
    parser.add_argument("--times", type=int, default=20, help="Requests of each kind.")
    parser.add_argument("--store", default="", help="An empty database of your own.")
    parser.add_argument("--filled", action="store_true", help="A run before this one has filled it.")
    parser.add_argument("--no-browser", action="store_true")
    print(json.dumps(asyncio.run(main(parser.parse_args()))))
