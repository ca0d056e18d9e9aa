"""Senders whose series come and go, three on one index: what comes out is what a plain reading gives."""

import random

import pytest

from aiops.model.frame import Frame
from aiops.model.series import Labels, SeriesIndex, labels_of
from aiops.wire.exposition import Exposition
from aiops.wire.intake import Intake
from aiops.wire.remote_write import RemoteWrite
from tests.bench import gen

T = 1_760_000_000_000
STEP, GAP = 15_000, 300_000
PODS, NAMES, BOUNDS = 12, ("free_bytes", "requests_total", "up"), ("0.1", "0.5", "+Inf")


class Plain:
    """One sender's series as a dict: the last sample of each, and the growth of counters by it."""

    def __init__(self) -> None:
        self.last: dict[Labels, tuple[float, ...]] = {}

    def take(self, labels: Labels, at: int, value: float) -> dict[Labels, float]:
        if not dict(labels)["__name__"].endswith("_total"):
            return {labels: value}
        before = self.last.get(labels)
        self.last[labels] = at, value
        if before is None or at - before[0] > GAP:
            return {}
        grown = value - before[1] if value >= before[1] else value
        return {labels: grown / ((at - before[0]) / 1000)}

    def observe(self, series: dict[str, str], at: int, low: int, total: int) -> dict[Labels, float]:
        """The median of what a histogram was given since its last scrape, of which none is over 0.5."""
        median = labels_of(series | {"__name__": "lat", "quantile": "0.5"})
        before, self.last[median] = self.last.get(median), (at, low, total)
        if before is None or at - before[0] > GAP:
            return {}
        below, grown = low - before[1], total - before[2]
        half = grown / 2
        return {median: 0.1 * half / below if below >= half else 0.1 + 0.4 * (half - below) / (grown - below)}


class Sender:
    """One source on a shared index, beside its plain twin."""

    def __init__(self, index: SeriesIndex, source: str) -> None:
        self.index, self.source, self.plain = index, source, Plain()
        self.intake = Intake(index, quantiles=[0.5])
        self.written, self.pages = RemoteWrite(self.intake), Exposition(self.intake)
        self.observed = {str(pod): [0, 0] for pod in range(PODS)}

    def frames(self, made: list[tuple[gen.Pairs, list[gen.Sample]]]) -> list[Frame]:
        if self.source == "page":
            lines = [(name[1], _spelt(rest), value, at) for (name, *rest), [(at, value)] in made]
            page = "".join(f"{name}{{{labels}}} {value} {at}\n" for name, labels, value, at in lines)
            frame, _ = self.pages.decode(page.encode(), made[0][1][0][0] / 1000)
            return [frame] if frame else []
        if self.source == "written 2":
            return self.written.decode(gen.pack(gen.message_2(made)), 2)
        return self.written.decode(gen.pack(gen.message(made)))

    def send(self, dice: random.Random, at: int) -> None:
        made, wanted = list[tuple[gen.Pairs, list[gen.Sample]]](), dict[Labels, float]()
        for pod in map(str, dice.sample(range(PODS), dice.randint(1, PODS))):
            own = {"pod": pod, "source": self.source}
            for name in NAMES:
                value = float(dice.randrange(1000))
                made.append(([("__name__", name), *own.items()], [(at, value)]))
                wanted |= self.plain.take(labels_of(own | {"__name__": name}), at, value)
            if dice.random() < 0.5:
                continue
            counts = self.observed[pod]
            counts[:] = [counts[0] + (low := dice.randint(1, 9)), counts[1] + low + dice.randint(0, 9)]
            for le, count in zip(BOUNDS, (counts[0], counts[1], counts[1]), strict=True):
                made.append(([("__name__", "lat_bucket"), ("le", le), *own.items()], [(at, float(count))]))
            wanted |= self.plain.observe(own, at, *counts)
        found = {
            self.index.labels(int(slot)): float(value)
            for frame in self.frames(made)
            for slot, value in zip(frame.slots, frame.values[0], strict=True)
        }
        assert found == pytest.approx(wanted)


def _spelt(pairs: gen.Pairs) -> str:
    return ",".join(f'{name}="{value}"' for name, value in pairs)


@pytest.mark.parametrize("seed", range(20))
def test_what_comes_out_is_what_went_in(seed: int) -> None:
    dice, index = random.Random(seed), SeriesIndex()
    senders = [Sender(index, source) for source in ("written", "written 2", "page")]
    for tick in range(60):
        at = T + tick * STEP
        for sender in dice.sample(senders, dice.randint(1, 3)):
            sender.send(dice, at)
        if dice.random() < 0.4:
            _forget(index, senders, dice, at)


def _forget(index: SeriesIndex, senders: list[Sender], dice: random.Random, at: int) -> None:
    """Some series have been silent for long; which, is drawn."""
    live = index.live()
    index.evict(0.0)  # what was asked for since the last time stays once
    index.touch(live[[dice.random() < 0.6 for _ in live]], at / 1000)
    known = {int(slot): index.labels(int(slot)) for slot in live}
    for slot in index.evict(at / 1000 - 0.001).tolist():
        for sender in senders:
            sender.plain.last.pop(known[slot], None)
