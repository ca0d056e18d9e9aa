"""The time-of-day half of `adaptive`: a cold table that is touched once a half hour.

Each bucket's mean is folded into the series' profile of the day, and the profile sets by how much the level
is expected to drift through the next one: but only while it foretells changes better than "no change" does.
A block of series turns to a new bucket with the first sample of its own: all at once would be 0.2 s of
standing still at a million series.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aiops.model.rows import run_of
from aiops.plugin import LANES, Column, Columns, Layout
from detectors import _adaptive_fields as k

Part: TypeAlias = NDArray[Any]

DAY = 48
"""Buckets of a day."""
BUCKET = 86400.0 / DAY
LATEST, WITH, WITHOUT, COUNT = DAY, DAY + 1, DAY + 2, DAY + 3
"""Rows of the table after the day's means (0 = not known): the last bucket's mean, the mean squared error of
its forecast with and without the profile, and how many buckets were seen."""
GAIN, SKILL_GAIN, SKILL = np.float32(0.3), np.float32(0.05), np.float32(0.5)
MOST = np.float32(1e15)
"""Unit: what is missed by more is missed by this much, and its square stays finite."""
KNOWN = DAY + 12
"""Buckets before the profile is used: a day to learn it and a quarter to see whether it foretells."""
CHUNK = 1024
"""Blocks at a time: their fields fit in the second-level cache."""


def columns() -> dict[str, Column]:
    """What the season adds to the state: 4 bytes a series, and 216 from the first bucket that ends."""
    return {
        "bucket": Column(np.int32, layout=Layout.BLOCKS),
        "season": Column(np.float32, shape=(DAY + 4,), layout=Layout.LAST, lazy=True),
        "origin": Column(np.float64, lazy=True),
    }


def bucket_of(time: float) -> int:
    """The bucket of a local `time` (s since its 1970 began), counted from then; 0 stands for none."""
    return int(time // BUCKET)


def turn(state: Columns, slots: Part, now: int) -> None:
    """Close the buckets that were on in the blocks of `slots`, which are about to learn of bucket `now`.

    A sample that is a little late belongs to the bucket that is on; one from further back sets it back.
    """
    run = run_of(slots)
    if isinstance(run, slice):
        touched = np.arange(run.start // LANES, (run.stop - 1) // LANES + 1, dtype=np.int32)
    else:
        touched = np.unique(slots // LANES)
    before = state["bucket"][touched].max(axis=1)  # a lane that was given anew has none
    due = (before != now) & (before != now + 1)
    state["bucket"][touched] = np.where(due, now, before)[:, None]
    for was in np.unique(before[due & (before > 0)]).tolist():
        state.allocate("season")
        state.allocate("origin")
        which = touched[before == was]
        for start in range(0, len(which), CHUNK):
            _close(state, run_of(which[start : start + CHUNK]), was, now)


def _close(state: Columns, at: Part | slice, before: int, now: int) -> None:
    """The bucket `before` of the blocks `at`."""
    blocks = state["blocks"]
    table = state["season"].reshape(DAY + 4, -1, LANES)
    origins = state["origin"].reshape(-1, LANES)
    part, rows, origin = blocks[at], table[:, at], origins[at]
    _reanchor(part)
    _fold(part, rows, origin, before, now)
    if not isinstance(at, slice):  # those were copies
        blocks[at], table[:, at], origins[at] = part, rows, origin


def _field(part: Part, field: int) -> Part:
    """A view ``[blocks, LANES]`` of one field."""
    view: Part = part[:, field // LANES]
    return view


def _anchor(part: Part) -> Part:
    return _field(part, k.ANCHOR_HIGH).astype(np.float64) + _field(part, k.ANCHOR_LOW)


def _reanchor(part: Part) -> None:
    """Move anchors to the level where float32 would no longer resolve the noise between them."""
    level, high = _field(part, k.LEVEL), _field(part, k.ANCHOR_HIGH)
    near = k.FAR * np.maximum(_field(part, k.SCALE), k.RELATIVE_FLOOR * np.abs(high))
    far = np.abs(level) > near
    if not far.any():
        return
    anchor, moved = _anchor(part)[far] + level[far], level[far]
    high[far] = anchor
    _field(part, k.ANCHOR_LOW)[far] = anchor - high[far]
    _field(part, k.LAST)[far] -= moved
    _field(part, k.BUCKET_SUM)[far] -= moved * _field(part, k.BUCKET_COUNT)[far]
    level[far] = 0


def _fold(part: Part, table: Part, origin: Part, before: int, now: int) -> None:
    """Judge the profile by the bucket `before`, learn it, and set the drift of the bucket `now`.

    Means are stored less the `origin`, the anchor at the first of them, as anchors move.
    """
    count, anchor = _field(part, k.BUCKET_COUNT), _anchor(part)
    seen = count > 0
    origin[...] = np.where(seen & (table[COUNT] == 0), anchor, origin)
    mean = (_field(part, k.BUCKET_SUM) / np.maximum(count, 1) + (anchor - origin)).astype(np.float32)
    known, yesterday, latest = table[before % DAY].copy(), table[(before - 1) % DAY], table[LATEST]
    behind, ahead = table[(now - 1) % DAY].copy(), table[(now + 1) % DAY]
    tested = seen & (known != 0) & (yesterday != 0) & (latest != 0)
    change = mean - latest
    missed = np.clip(change - (known - yesterday), -MOST, MOST)
    change = np.clip(change, -MOST, MOST)
    table[WITH] += np.where(tested, SKILL_GAIN * (missed * missed - table[WITH]), 0)
    table[WITHOUT] += np.where(tested, SKILL_GAIN * (change * change - table[WITHOUT]), 0)
    table[before % DAY] = np.where(seen, np.where(known != 0, known + GAIN * (mean - known), mean), known)
    table[LATEST] = np.where(seen & (now == before + 1), mean, 0)
    table[COUNT] += seen
    useful = (table[WITH] < SKILL * table[WITHOUT]) & (table[COUNT] >= KNOWN) & (ahead != 0) & (behind != 0)
    _field(part, k.DRIFT)[...] = np.where(useful, (ahead - behind) / np.float32(2 * BUCKET), 0)
    _field(part, k.BUCKET_SUM)[...] = 0
    count[...] = 0
