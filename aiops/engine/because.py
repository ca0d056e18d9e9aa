"""Why an anomaly is one: which head says so, what it expected and why, and what would have kept it quiet."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aiops.core import words
from aiops.core.detect import Scored
from aiops.engine.state import State
from aiops.model.lifecycle import AlertState
from aiops.model.signal import Signal

MOST = 20
"""Anomalies of a row that are explained; each takes some 0.3 ms, and more at once are one fault."""
NEAR = 8
"""Siblings whose last values are told."""


def because(state: State, scored: Scored, found: Sequence[Signal], bar: float) -> list[Signal]:
    """`found`, those that begin to fire with their explanation; ``bar``: of those whose own was not moved."""
    left, out = MOST, list(found)
    for place, signal in enumerate(found):
        live = state.alerting.live.get(signal.key)
        news = signal.fires and (live is None or live.state is not AlertState.FIRING)
        slot = state.index.find(signal.labels) if news and left else None
        if slot is None:
            continue
        left -= 1
        by = int(scored.by[np.flatnonzero(scored.slots == slot)[0]])
        text = _explained(state, by, slot, scored, signal, bar)
        anew = state.drift.hint(slot, scored.time)
        hint = state.relearning.hint(signal.labels, live.started if live else scored.time)
        out[place] = replace(signal, because="; ".join(filter(None, (text, anew, hint))))
    return out


def _explained(state: State, by: int, slot: int, scored: Scored, signal: Signal, bar: float) -> str:
    metric, own = dict(signal.labels).get("__name__", ""), state.anomalies.bar_of(slot, bar)
    said = state.detection.explained_by(by, slot)
    parts = [f"{state.detector_names[by]} scores it {signal.score:.1f}, the bar is {own:.1f}"]
    if own != bar:
        parts[0] += f" ({own - bar:+.1f} by what people said of such problems)"
    parts += [said] if said else []
    parts += _siblings(state, slot, metric)
    quiet = state.detection.quiet_at(slot, scored, by, signal.expected, signal.observed, own)
    if np.isfinite(quiet):
        less = words.number(abs(signal.observed - quiet), metric)
        side = "less" if signal.observed > quiet else "more"
        parts.append(f"at {words.number(quiet, metric)}, {less} {side}, it would have kept quiet")
    return "; ".join(parts)


def _siblings(state: State, slot: int, metric: str) -> list[str]:
    """What its siblings do meanwhile."""
    ready = state.detection.ready()
    elder = state.siblings.of(np.array([slot], np.int32), ready).get(slot, ())
    last = [points[-1] for one in elder[:NEAR] if len(points := state.recent.points(int(one))["observed"])]
    if len(last) < 2:
        return []
    low, high = words.number(float(min(last)), metric), words.number(float(max(last)), metric)
    return [f"its {len(last)} siblings are at {low}" + (f" to {high}" if low != high else "")]
