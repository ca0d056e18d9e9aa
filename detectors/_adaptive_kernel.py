"""The compiled half of `adaptive`: scatter a frame into blocks, step each block, gather its answers.

One pass over the frame: a block stays in the first-level cache from its inputs to its outputs, for all times.
"""

from collections.abc import Callable
from hashlib import blake2b
from inspect import getsource
from types import ModuleType
from typing import TypeAlias, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aiops.plugin.columns import LANES
from detectors import _adaptive_fields, _adaptive_judge, _adaptive_learn
from detectors._adaptive_fields import f
from detectors._adaptive_judge import Block, compiled, f32
from detectors._adaptive_learn import tick

k = _adaptive_fields

DAY = 48
"""Buckets of a day."""
BUCKET = 86400.0 / DAY
LATEST, WITH, WITHOUT, COMMITS = DAY, DAY + 1, DAY + 2, DAY + 3
"""Rows of the season table after the day's means (0 = not known): the last bucket's mean, the mean squared
error of its forecast with and without the profile, and how many buckets were seen."""
SEASON_ROWS = DAY + 4
KNOWN_DAYS = f(DAY + 12)
"""Buckets before the profile is used: a day to learn it and a quarter to see whether it foretells."""
SEASON_GAIN, SKILL_GAIN, SKILL = f(0.3), f(0.05), f(0.5)
Table: TypeAlias = NDArray[np.float32]
Wide: TypeAlias = NDArray[np.float64]


@compiled
def _reanchor(block: Block, j: int, slot: int, season: Table) -> None:
    """Move the anchor to the level when float32 would no longer resolve the noise between them."""
    level = block[k.LEVEL + j]
    if not abs(level) > k.FAR * max(block[k.SCALE + j], k.RELATIVE_FLOOR * abs(block[k.ANCHOR_HIGH + j])):
        return
    anchor = np.float64(block[k.ANCHOR_HIGH + j]) + block[k.ANCHOR_LOW + j] + level
    block[k.ANCHOR_HIGH + j] = f(anchor)
    block[k.ANCHOR_LOW + j] = f(anchor - f(anchor))
    block[k.LEVEL + j] = f(0)
    block[k.LAST + j] -= level
    block[k.BUCKET_SUM + j] -= level * block[k.BUCKET_COUNT + j]
    if slot < season.shape[1]:
        for row in range(LATEST + 1):
            if season[row, slot] != 0:
                season[row, slot] -= level


@compiled
def _fold(season: Table, slot: int, bucket: int, mean: f32) -> None:
    """Judge the profile by the bucket that has ended, then learn it."""
    known, yesterday = season[bucket, slot], season[(bucket - 1) % DAY, slot]
    latest = season[LATEST, slot]
    if known != 0 and yesterday != 0 and latest != 0:
        change = mean - latest
        missed = change - (known - yesterday)
        season[WITH, slot] += SKILL_GAIN * (missed * missed - season[WITH, slot])
        season[WITHOUT, slot] += SKILL_GAIN * (change * change - season[WITHOUT, slot])
    season[bucket, slot] = known + SEASON_GAIN * (mean - known) if known != 0 else mean
    season[LATEST, slot] = mean
    season[COMMITS, slot] += f(1)


@compiled
def _commit(block: Block, j: int, slot: int, before: int, now: int, season: Table) -> None:
    """Close the bucket `before` (counted since the epoch) and set the drift for the bucket `now`.

    The profile is used only while it foretells the buckets' changes better than no change would.
    """
    if now != before + 1:
        season[LATEST, slot] = 0
    if block[k.BUCKET_COUNT + j] > 0:
        _fold(season, slot, before % DAY, block[k.BUCKET_SUM + j] / block[k.BUCKET_COUNT + j])
        block[k.BUCKET_SUM + j], block[k.BUCKET_COUNT + j] = f(0), f(0)
    ahead, behind = season[(now + 1) % DAY, slot], season[(now - 1) % DAY, slot]
    useful = season[WITH, slot] < SKILL * season[WITHOUT, slot] and season[COMMITS, slot] >= KNOWN_DAYS
    known = ahead != 0 and behind != 0
    block[k.DRIFT + j] = (ahead - behind) / f(2 * BUCKET) if useful and known else f(0)


@compiled
def _is_due(block: Block, high: f32, low: f32) -> bool:
    """Whether some lane that learns has seen nothing since the bucket began, or is to check its anchor."""
    due = 0
    for j in range(LANES):
        behind = (block[k.SEEN_HIGH + j] - high) + (block[k.SEEN_LOW + j] - low) < k.ZERO
        count = block[k.COUNT + j]
        learns = (block[k.LEARN + j] > k.ZERO) & (abs(block[k.RAW_HIGH + j]) < k.HUGE)
        due += 1 if learns & (count > k.ZERO) & (behind | (count == k.ANCHOR_CHECK)) else 0
    return due > 0


@compiled
def _housekeep(block: Block, base: int, time: float, season: Table) -> None:
    """The rare work: close buckets of the day, move anchors."""
    now = int(time // BUCKET)
    for j in range(LANES):
        learns = block[k.LEARN + j] > 0 and abs(block[k.RAW_HIGH + j]) < k.HUGE
        if not learns or block[k.COUNT + j] == 0:
            continue
        before = int((np.float64(block[k.SEEN_HIGH + j]) + block[k.SEEN_LOW + j]) // BUCKET)
        if before < now and base + j < season.shape[1]:
            _commit(block, j, base + j, before, now, season)
        if before < now or block[k.COUNT + j] == k.ANCHOR_CHECK:
            _reanchor(block, j, base + j, season)


@compiled
def _put(block: Block, j: int, value: float, learn: bool) -> None:
    high = f(value)
    block[k.RAW_HIGH + j] = high
    block[k.RAW_LOW + j] = f(value - np.float64(high))
    block[k.LEARN + j] = k.ONE if learn else k.ZERO


@compiled
def _step(block: Block, base: int, time: float, warmup: f32, season: Table) -> None:
    start = np.floor(time / BUCKET) * BUCKET
    if _is_due(block, f(start), f(start - np.float64(f(start)))):
        _housekeep(block, base, time, season)
    tick(block, warmup, f(time), f(time - np.float64(f(time))))


@compiled
def _get(block: Block, j: int, i: int, score: Block, expected: Wide, lower: Wide, upper: Wide) -> None:
    middle = np.float64(block[k.ANCHOR_HIGH + j]) + block[k.ANCHOR_LOW + j] + block[k.EXPECTED + j]
    score[i] = block[k.SCORE + j]
    expected[i] = middle
    lower[i] = middle - block[k.REACH + j]
    upper[i] = middle + block[k.REACH + j]


@compiled
def _run(slots: NDArray[np.int32], start: int) -> int:
    """The end of the run of ascending slots of one block."""
    limit = (slots[start] // LANES + 1) * LANES
    end = start + 1
    while end < len(slots) and slots[end - 1] < slots[end] < limit:
        end += 1
    return end


def _build(_version: int) -> Callable[..., int]:
    """numba's cache looks at this file alone: `_version` in its key lets it see the others change."""

    def advance(
        blocks: NDArray[np.float32],
        season: Table,
        times: NDArray[np.float64],
        slots: NDArray[np.int32],
        values: NDArray[np.float64],
        learn: NDArray[np.bool_],
        warmup: f32,
        score: NDArray[np.float32],
        band: NDArray[np.float64],
    ) -> int:
        """Step a frame ``values[T, S]``, learning where ``learn[T, S]``.

        ``score[T, S]`` and ``band[3, T, S]`` (expected, lower, upper) are written unless they have no rows.
        """
        start = 0
        while start < len(slots):
            end, number = _run(slots, start), slots[start] // LANES
            block, whole = blocks[number], end - start == LANES
            for t in range(len(times)):
                if whole:  # a loop of known length, which vectorises
                    for j in range(LANES):
                        _put(block, j, values[t, start + j], learn[t, start + j])
                else:
                    block[k.RAW_HIGH : k.RAW_HIGH + LANES] = k.NAN
                    for i in range(start, end):
                        _put(block, slots[i] % LANES, values[t, i], learn[t, i])
                _step(block, number * LANES, times[t], warmup, season)
                if len(score) == 0:
                    continue
                if whole:
                    for j in range(LANES):
                        _get(block, j, start + j, score[t], band[0, t], band[1, t], band[2, t])
                else:
                    for i in range(start, end):
                        _get(block, slots[i] % LANES, i, score[t], band[0, t], band[1, t], band[2, t])
            block[: k.INPUTS] = k.ZERO
            start = end
        return _version

    return cast(Callable[..., int], njit(advance, error_model="numpy", nogil=True, cache=True))


def _version_of(*modules: ModuleType) -> int:
    source = "".join(map(getsource, modules))
    return int.from_bytes(blake2b(source.encode(), digest_size=7).digest(), "big")


advance = _build(_version_of(_adaptive_fields, _adaptive_judge, _adaptive_learn))
