"""Whether the watching itself is well: a row of our own about each source, once every few seconds."""

import numpy as np

from aiops.core.alerting import Key
from aiops.core.detect import Scored
from aiops.core.telemetry import Finding
from aiops.engine.state import State
from aiops.engine.work import Work
from aiops.model.frame import Frame
from aiops.plugin import Connector

SUFFIX = " telemetry"
"""Alerts about the watching of a source are not the source's own: they outlive its silence."""


def look(state: State, now: float) -> list[Work]:
    """What is wrong with each source at `now`, and what no longer is; nothing where all is well."""
    every = {s.name: s.every if isinstance(s, Connector) else 0.0 for s in state.config.sources}
    out = []
    for source, findings in state.telemetry.judge(now, every).items():
        wrong = {f.signal.key for f in findings if f.wrong}
        live = {key for key, alert in state.alerting.live.items() if alert.source == source + SUFFIX}
        told = {f.signal.key: f for f in findings if f.signal.key in wrong | live}
        over = {key for key in live - told.keys() if state.telemetry.knows(source, key[0])}
        if told or over:
            out.append(_work(state, source + SUFFIX, told, over, now))
    return out


def _work(state: State, source: str, told: dict[Key, Finding], over: set[Key], now: float) -> Work:
    """`over`: alerts of which nothing is found any more; their series is back at 0."""
    values = {f.signal.labels: f.signal.observed for f in told.values()}
    values |= {alert.labels: 0.0 for key, alert in state.alerting.live.items() if key in over}
    slots = state.index.slots(list(values))
    row = Frame(np.array([now]), slots, np.array([list(values.values())], float))
    signals = [f.signal for f in told.values() if f.wrong]
    return Work(now, source, row, signals=signals, plain=True)


def unscored(row: Frame) -> Scored:
    """A row that no detector looks at."""
    width = len(row.slots)
    unknown = np.full(width, np.nan)
    none = np.full(width, -1, np.int8)
    return Scored(
        float(row.times[0]), row.slots, row.values[0], np.zeros(width), unknown, unknown, unknown, none
    )
