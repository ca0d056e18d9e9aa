"""What is found of bursts, new patterns and silences put into log streams, and what is found without cause.

    python -m tests.bench.log_anomaly [--data DIR] [--days 4] [--rate 2.0] [--seed 11]

Streams: one a system of LogHub-2k (8 sources). The lines and the mix of templates are the file's own; times
are made, as 2,000 lines span from a minute to half a year: a day's rhythm of +-50 %, a level that wanders
within minutes (log-normal, 0.25), and chance. So it is a surrogate, and says so. A fifth of the rarer
templates that speak of trouble, or the two rarest where none does, are held back and put in as new patterns.
After half a day to learn from, for a day something is put in every 40 minutes: x3, x5, x10 of one template's
rate for 3 minutes (templates of 3 lines a minute and more), two lines of a new pattern, or 10 minutes of
silence.

The lines go through everything but the sources and the store: miner, detectors, alerts, problems, with
default settings. `recall`: an alert of that stream fires from the beginning to 2 minutes after the end.
`far`: alerts that fired at other times, a day and source, whatever their severity; `problems`: problems that
opened then.
"""

import argparse
import json
import math
import random
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from aiops.config import Config
from aiops.core.log_news import is_grave
from aiops.engine.stages import alert, correlate, detect
from aiops.engine.state import State
from aiops.engine.work import Work
from aiops.model.frame import Lines
from aiops.model.lifecycle import AlertState, ProblemState
from aiops.model.series import SeriesIndex, labels_of
from aiops.plugin import Template
from tests.bench.log_parsing import read

HOUSE = Path(__file__).resolve().parents[2]
START, DAY, STEP, APART, LEARN = 1.7e9, 86400.0, 10.0, 2400.0, 43200.0
EVENTFUL = 1.5
"""Days in which something is put in; the rest is quiet, to count false alarms."""
KINDS = ("x3", "x5", "x10", "new", "silence")
LASTS = {"x3": 180.0, "x5": 180.0, "x10": 180.0, "new": 20.0, "silence": 600.0}
AFTER = 120.0


class Stream:
    """The lines of one system, by true template, and the rates at which they come (lines/s)."""

    def __init__(self, folder: Path, rate: float, rng: random.Random) -> None:
        lines, truth = read(folder, folder.name, raw=False)
        self.lines: dict[str, list[str]] = defaultdict(list)
        for line, template in zip(lines, truth, strict=True):
            for _ in range(4):
                varied = "".join(str(rng.randrange(10)) if c in "0123456789" else c for c in line)
                self.lines[template].append(varied)
        counts = Counter(truth)
        rare = [t for t, n in counts.items() if n <= 40]
        grave = [t for t in rare if is_grave(Template(0, "", t, "", 0))]
        pool = sorted(grave) if len(grave) >= 3 else sorted(rare, key=lambda t: (counts[t], t))
        self.held = rng.sample(pool, max(1, len(pool) // 5)) if len(grave) >= 3 else pool[:2]
        kept = [t for t in counts if t not in self.held]
        total = sum(counts[t] for t in kept)
        self.rates = {t: rate * counts[t] / total for t in kept}
        self.often = [t for t in kept if self.rates[t] >= 0.05]


def put_in(days: float, stream: Stream, rng: random.Random) -> list[tuple[str, float, str]]:
    """(kind, when, template) in order."""
    out, at, held = [], START + LEARN, list(stream.held)
    number = 0
    while at + APART < START + min(days, EVENTFUL) * DAY:
        kind = KINDS[number % len(KINDS)]
        if kind == "new" and not held:
            kind = "x10"
        template = held.pop() if kind == "new" else rng.choice(stream.often)
        out.append((kind, at + STEP * rng.randrange(20), template))
        at, number = at + APART, number + 1
    return out


def measure(name: str, data: Path, days: float, rate: float, seed: int) -> dict[str, list[float]]:
    """kind -> 1 or 0 for each that was put in; ``far`` and ``problems``: one number."""
    rng, chance = random.Random(f"{seed}{name}"), np.random.default_rng([seed, *name.encode()])
    stream = Stream(data / name, rate, rng)
    planned = put_in(days, stream, rng)
    config = Config.model_validate({"sources": [{"kind": "host"}]})
    state = State(config, [], SeriesIndex())
    labels = labels_of({"service": name})
    templates, base = list(stream.rates), np.array(list(stream.rates.values()))
    hit = [False] * len(planned)
    alarms = alerts = clear = 0
    level = 0.0
    for number in range(int(days * DAY / STEP)):
        now = START + number * STEP
        level = 0.95 * level + chance.normal(0, 0.25 * math.sqrt(1 - 0.95**2))
        season = 1 + 0.5 * math.sin(2 * math.pi * now / DAY)
        factor = np.full(len(base), season * math.exp(level))
        current = [i for i, (kind, at, _) in enumerate(planned) if at <= now < at + LASTS[kind]]
        text: list[str] = []
        for i in current:
            kind, _, template = planned[i]
            if kind == "silence":
                factor[:] = 0
            elif kind == "new":
                text.append(rng.choice(stream.lines[template]))
            else:
                factor[templates.index(template)] *= int(kind[1:])
        for place, count in enumerate(chance.poisson(base * factor * STEP).tolist()):
            if count:
                text += rng.choices(stream.lines[templates[place]], k=count)
        fired, opened = _step(state, Lines(labels, np.full(len(text), now + 1), text), now + STEP)
        near = [i for i, (k, at, _) in enumerate(planned) if at <= now < at + LASTS[k] + AFTER]
        if fired:
            for i in near:
                hit[i] = True
        if not any(at <= now < at + LASTS[k] + APART / 2 for k, at, _ in planned) and now > START + LEARN:
            alarms, alerts, clear = alarms + opened, alerts + fired, clear + 1
    watched = clear * STEP / DAY
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for (kind, _, _), was in zip(planned, hit, strict=True):
        found[kind].append(float(was))
    return found | {"far": [alerts / watched], "problems": [alarms / watched], "watched": [watched]}


def _step(state: State, lines: Lines, now: float) -> tuple[int, int]:
    """(alerts that fired, problems that opened)."""
    state.logs.take("logs", lines)
    state.logs.commit("logs", now)
    fired = opened = 0
    for row in state.logs.close("logs", now):
        work = Work(now, "logs", row.frame, "logs logs", signals=row.signals)
        for stage in (detect, alert, correlate):
            stage(state, work)
        fired += sum(1 for change in work.alert_changes if change.to is AlertState.FIRING)
        opened += sum(1 for c in work.problem_changes if c.to == ProblemState.OPEN and c.current != c.to)
    return fired, opened


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--data", type=Path, default=HOUSE.parent / "shared/benchmarks/logs")
    ask.add_argument("--days", type=float, default=4.0)
    ask.add_argument("--rate", type=float, default=2.0, help="lines a second of a source")
    ask.add_argument("--seed", type=int, default=11)
    ask.add_argument("--systems", default="")
    chosen = ask.parse_args()
    names = chosen.systems.split(",") if chosen.systems else sorted(p.name for p in chosen.data.iterdir())
    all_of: dict[str, list[float]] = defaultdict(list)
    for name in names:
        found = measure(name, chosen.data, chosen.days, chosen.rate, chosen.seed)
        for kind, values in found.items():
            all_of[kind] += values
        print(f"{name:<12}", *(f"{kind} {np.mean(v):.2f}" for kind, v in found.items() if v), flush=True)
    recall = {f"recall_{kind}": round(float(np.mean(all_of[kind])), 3) for kind in KINDS}
    rates = {kind: round(float(np.mean(all_of[kind])), 3) for kind in ("far", "problems")}
    rates["source_days"] = round(float(np.sum(all_of["watched"])), 1)
    put = {kind: len(all_of[kind]) for kind in KINDS}
    print(json.dumps({"bench": "log_anomaly", "seed": chosen.seed, "put_in": put, **recall, **rates}))


if __name__ == "__main__":
    main()
