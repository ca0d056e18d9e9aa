"""Samples pushed to replicas that die, and what of them was learnt in the end."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from aiops.model.series import SeriesIndex
from aiops.plugin.columns import LANES
from aiops.store import checkpoints
from detectors import _adaptive_fields as fields
from tests.bench.gen import Sender

PATH = "/receive/push/api/v1/write"
BATCH = 2000
"""Series of one request."""


@dataclass
class Pusher:
    """Remote write of `series` gauges every `every` seconds, as Prometheus sends: shards, each in order.

    A body is sent again, to any replica, until it is acknowledged with 2xx; the next one waits for that.
    """

    urls: list[str]
    series: int
    every: float = 5.0
    acknowledged: int = 0
    """Samples."""
    ticks: dict[int, int] = field(default_factory=dict)
    """Shard -> ticks that were acknowledged."""
    answers: Counter[int] = field(default_factory=Counter)
    longest: float = 0.0
    """Seconds that a body waited to be acknowledged, at most."""

    async def run(self, over: asyncio.Event) -> None:
        """Until `over`, and until all that was begun is acknowledged."""
        async with httpx.AsyncClient(timeout=20.0, trust_env=False) as http:
            shards = range(-(-self.series // BATCH))
            await asyncio.gather(*(self._shard(http, shard, over) for shard in shards))

    async def _shard(self, http: httpx.AsyncClient, shard: int, over: asyncio.Event) -> None:
        size = min(BATCH, self.series - shard * BATCH)
        sender = Sender(list(named(shard, size)), BATCH)
        chance, due = np.random.default_rng(shard), time.time() + random.uniform(0, self.every)
        levels = chance.normal(100, 5, size)
        while not over.is_set():
            await asyncio.sleep(max(0.0, due - time.time()))
            due = max(due + self.every, time.time() + 1.5)  # a second sample of one second is not taken
            (body,) = sender.requests(int(time.time() * 1000), levels + chance.normal(0, 1, size))
            await self._push(http, body)
            self.acknowledged += size
            self.ticks[shard] = self.ticks.get(shard, 0) + 1

    async def _push(self, http: httpx.AsyncClient, body: bytes) -> None:
        begun, wait = time.monotonic(), 0.03
        while True:
            try:
                answer = await http.post(
                    random.choice(self.urls) + PATH, content=body, headers={"Content-Encoding": "snappy"}
                )
                self.answers[answer.status_code] += 1
                if answer.is_success:
                    break
                wait = min(float(answer.headers.get("Retry-After", wait)), 2.0)
            except httpx.HTTPError:
                self.answers[0] += 1
                wait = min(2.0, wait * 2)
            await asyncio.sleep(wait)
        self.longest = max(self.longest, time.monotonic() - begun)

    def judge(self, folder: Path) -> dict[str, Any]:
        """What the last checkpoint has learnt, beside what was acknowledged."""
        found = checkpoints.newest(folder)
        assert found, "no checkpoint"
        learnt = counts(found[0])
        lost = doubled = 0
        for shard, ticks in self.ticks.items():
            for pairs in named(shard, min(BATCH, self.series - shard * BATCH)):
                count = learnt.get(pairs[1][1], 0)
                lost += max(0, ticks - count)
                doubled += max(0, count - ticks)
        return {
            "acknowledged_samples": self.acknowledged,
            "lost_acknowledged_samples": lost,
            "doubled_samples": doubled,
            "push_answers": {str(status): n for status, n in sorted(self.answers.items())},
            "longest_push_seconds": round(self.longest, 1),
        }


def named(shard: int, size: int) -> Iterator[list[tuple[str, str]]]:
    for number in range(size):
        yield [("__name__", "pushed_level"), ("series", f"{shard}-{number}")]


def counts(arrays: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Label `series` -> samples that the default detector has learnt."""
    index = SeriesIndex.restore(arrays["index"])
    (blocks,) = (columns["blocks"] for name, columns in arrays.items() if name.startswith("detector-0-"))
    flat = blocks.reshape(-1, fields.FIELDS, LANES)
    found = {}
    for slot in index.live().tolist():
        labels = dict(index.labels(slot))
        if labels.get("__name__") == "pushed_level":
            found[labels["series"]] = int(flat[slot // LANES, fields.COUNT // LANES, slot % LANES])
    return found
