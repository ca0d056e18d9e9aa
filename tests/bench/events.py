"""How late, and whether at all, 200 listeners hear of 50 events a second.

    python -m tests.bench.events [--listeners 200] [--rate 50] [--seconds 20] [--store URL]

A served engine on a loopback port, and its listeners in another process, each on a connection of its own.
An event's delay is counted from before its transaction began to the listener's hand, where the line is
read. `lost` and `double` are over all listeners; beside them stand one that reads nothing at all for the
whole time (`grown_mb`: by how much the server's memory grew meanwhile), and ten that break off every second
and come back with their `Last-Event-ID` (`again_lost`).
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import sqlalchemy as sa

from aiops.config import Config
from aiops.engine.engine import Engine
from aiops.store import audit
from aiops.testing import ScriptedConnector, eventually
from tests.browser import served

LATEST = 10.0
"""Seconds after the last event for which is waited."""
BACK = 10
"""Listeners that break off again and again."""
FLOORS = {"lost": 0, "again_lost": 0, "p95_ms": 500.0}


def note(conn: sa.Connection, number: int) -> None:
    reason = f"{number} {time.time()}"
    audit.note(conn, at=0.0, entity="problem", entity_id=number, current="a", to="b", reason=reason)


class Listener:
    """Counts each event that it hears, and how late."""

    def __init__(self, url: str, wanted: int) -> None:
        self.where = urlsplit(url)
        self.wanted = wanted
        self.heard: dict[int, int] = {}
        self.delays: list[float] = []
        self.last = ""

    async def listen(self, seconds: float | None = None) -> None:
        """Until all were heard, or for so long."""
        writer = None
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await self.connect()
                while len(self.heard) < self.wanted:
                    line = await reader.readline()
                    if not line:
                        return
                    self._take(line)
        except TimeoutError:
            return
        finally:
            if writer:
                writer.close()

    async def connect(self, **more: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self.where.hostname, self.where.port, **more)
        again = f"Last-Event-ID: {self.last}\r\n" if self.last else ""
        asked = f"GET /api/v1/events?entity=problem HTTP/1.1\r\nHost: {self.where.netloc}\r\n{again}\r\n"
        writer.write(asked.encode())
        await writer.drain()
        return reader, writer

    def _take(self, line: bytes) -> None:
        if line.startswith(b"id: "):
            self.last = line[4:].decode().strip()
        elif line.startswith(b"data: "):
            number, began = json.loads(line[6:])["reason"].split()
            self.delays.append(time.time() - float(began))
            self.heard[int(number)] = self.heard.get(int(number), 0) + 1


async def breaking(one: Listener, until: float) -> None:
    while len(one.heard) < one.wanted and time.time() < until:
        await one.listen(1.0)


async def listeners(url: str, count: int, wanted: int, seconds: float) -> dict[str, Any]:
    """What all of them heard; says on standard output when they listen."""
    until = time.time() + seconds
    steady = [Listener(url, wanted) for _ in range(count)]
    back = [Listener(url, wanted) for _ in range(BACK)]
    _, deaf = await Listener(url, wanted).connect(limit=1024)
    deaf.transport.pause_reading()  # type: ignore[attr-defined]
    tasks = [asyncio.create_task(one.listen(seconds)) for one in steady]
    for one in back:
        # a place to come back to: what was before the first break is not asked for
        one.last = "0"
    tasks += [asyncio.create_task(breaking(one, until)) for one in back]
    await asyncio.sleep(2.0)
    print("listening", flush=True)
    await asyncio.gather(*tasks)
    deaf.close()
    delays = [delay for one in steady for delay in one.delays]
    return {
        "lost": count * wanted - sum(len(one.heard) for one in steady),
        "double": sum(times - 1 for one in (*steady, *back) for times in one.heard.values()),
        "again_lost": BACK * wanted - sum(len(one.heard) for one in back),
        **{f"p{q}_ms": round(float(np.percentile(delays, q)) * 1000, 1) for q in (50, 95, 99)},
    }


async def told(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    url = asked.store or f"sqlite:///{folder / 'forewarn.db'}"
    source = ScriptedConnector(name="prod", every=60.0)
    engine = Engine(Config.model_validate({"store": url, "data": folder / "data", "sources": [source]}))
    await engine.start()
    try:
        await eventually(engine.ready, 60)
        async with served(engine) as at:
            return await _told(engine, at, asked)
    finally:
        await engine.stop()


async def _told(engine: Engine, at: str, asked: argparse.Namespace) -> dict[str, Any]:
    wanted = asked.rate * asked.seconds
    inside = (at, str(asked.listeners), str(wanted), str(asked.seconds + LATEST))
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.events", "--inside", *inside), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout
    assert await child.stdout.readline() == b"listening\n"
    process = psutil.Process()
    before, spent = process.memory_info().rss, process.cpu_times()
    began = time.perf_counter()
    for number in range(wanted):
        await engine.db.run(note, number)
        await asyncio.sleep(max(0.0, began + (number + 1) / asked.rate - time.perf_counter()))
    lasted = time.perf_counter() - began
    now = process.cpu_times()
    found: dict[str, Any] = json.loads(await child.stdout.read())
    assert await child.wait() == 0
    return found | {
        "rate": round(wanted / lasted, 1),
        "cpu": round((now.user + now.system - spent.user - spent.system) / lasted, 2),
        "grown_mb": round((process.memory_info().rss - before) / 2**20, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--listeners", type=int, default=200)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--store", default="", help="SQLite in a scratch folder when left out.")
    parser.add_argument("--inside", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        url, count, wanted, seconds = asked.inside
        print(json.dumps(asyncio.run(listeners(url, int(count), int(wanted), float(seconds)))))
        return
    with tempfile.TemporaryDirectory() as scratch:
        found = asyncio.run(told(asked, Path(scratch)))
    found |= {"listeners": asked.listeners, "load": [round(one, 1) for one in os.getloadavg()]}
    missed = [name for name, most in FLOORS.items() if found[name] > most]
    print(json.dumps(found | {"missed": missed}))


if __name__ == "__main__":
    main()
