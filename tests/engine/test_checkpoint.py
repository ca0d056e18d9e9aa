"""Learnt state on disk: the same scores after a restart, and never a crash over a damaged file."""

import asyncio
import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aiops.engine import capture, checkpoint
from aiops.engine.checkpoint import Checkpointer
from aiops.engine.items import Pulled
from aiops.engine.state import State
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex
from aiops.store import checkpoints
from aiops.store.database import Database
from tests.making import NOW, labels
from tests.walk import Walk, config_of

SERIES = [labels("load", instance=str(i)) for i in range(7)]
LIMIT = {"match": "load", "breach": {"above": 99.0, "for": "10s"}, "horizon": "10m"}
ADAPTIVE = {"detectors": [{"kind": "adaptive"}]}


def state_of(index: SeriesIndex | None = None, **keys: Any) -> State:
    return State(config_of(**{"limits": [LIMIT], "detection": ADAPTIVE, **keys}), [], index or SeriesIndex())


def rows(count: int, start: int = 0) -> Iterator[tuple[float, NDArray[np.float64]]]:
    """The same noise, ramps and gaps in every run."""
    rng = np.random.default_rng(11)
    for step in range(start + count):
        values = 50 + rng.normal(0, 1, len(SERIES)) + 0.05 * step * (np.arange(len(SERIES)) == 2)
        values[rng.uniform(size=len(SERIES)) < 0.05] = np.nan
        if step >= start:
            yield NOW + 2.0 * step, values


def live(state: State, count: int, start: int = 0) -> list[Any]:
    """Walk the rows through detection and rules; everything that they said."""
    said: list[Any] = []
    for time, values in rows(count, start):
        frame = Frame(np.array([time]), state.index.slots(SERIES), values[None, :])
        state.welcome()
        scored = state.detection.step(frame, np.zeros(state.index.capacity, bool))
        found = state.anomalies.step(scored, 4.0, state.detector_names)
        said += [scored.score.tolist(), scored.expected.tolist(), scored.lower.tolist(), repr(found)]
        said += [repr(watch.step(frame)) for watch in state.rules]
    return said


def write(state: State, folder: Path, number: int = 1) -> Path:
    return checkpoints.write(folder, number, *checkpoint.capture(state, []))


def taken_up(folder: Path, **keys: Any) -> tuple[State, int]:
    index, arrays, facts = checkpoint.load_index(folder)
    state = state_of(index, **keys)
    return state, checkpoint.take_up(state, arrays, facts)


def test_after_a_restart_every_score_and_forecast_is_the_same_to_the_bit(tmp_path: Path) -> None:
    state = state_of()
    live(state, 400)
    write(state, tmp_path)
    again, restored = taken_up(tmp_path)
    assert restored == len(capture.parts(state))
    assert repr(live(again, 200, 400)) == repr(live(state, 200, 400))


def test_without_a_checkpoint_all_begins_afresh(tmp_path: Path) -> None:
    state, restored = taken_up(tmp_path / "none")
    assert (restored, len(state.index), state.cursors) == (0, 0, {})


def test_another_setting_forgets_only_its_own_part(tmp_path: Path) -> None:
    state = state_of()
    live(state, 100)
    write(state, tmp_path)
    changed = {"limits": [LIMIT | {"breach": {"above": 80.0}}]}
    again, restored = taken_up(tmp_path, **changed)
    parts = capture.parts(state)
    assert restored == len([name for name in parts if not name.endswith("-0") or "detector" in name])
    assert again.detection.ready()[: len(SERIES)].all()
    assert len(live(again, 5, 100)) == len(live(state, 5, 100))


def test_a_slot_that_no_row_has_used_yet_is_clean_after_a_restart(tmp_path: Path) -> None:
    state = state_of()
    live(state, 100)
    state.index.evict(0.0)
    state.index.evict(2 * NOW)
    state.index.slots(SERIES)
    write(state, tmp_path)
    again, _ = taken_up(tmp_path)
    assert not again.detection.ready().any()
    assert repr(live(again, 50)) == repr(live(state_of(), 50))


# -- damage


def newest_file(place: Path, ending: str) -> Path:
    return max(place.glob(f"*{ending}"), key=lambda p: p.stat().st_size)


def test_a_damaged_newest_gives_way_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = state_of()
    live(state, 100)
    write(state, tmp_path, 1)
    live(state, 100, 100)
    second = write(state, tmp_path, 2)
    damaged = newest_file(second, ".npy")
    content = bytearray(damaged.read_bytes())
    content[-3] ^= 0xFF
    damaged.write_bytes(content)
    again, restored = taken_up(tmp_path)
    assert restored == len(capture.parts(state))
    assert damaged.name in caplog.text
    reference = state_of()
    live(reference, 100)
    assert repr(live(again, 20, 100)) == repr(live(reference, 20, 100))


@pytest.mark.parametrize("seed", range(40))
def test_no_damage_whatever_is_more_than_a_damaged_checkpoint(tmp_path: Path, seed: int) -> None:
    state = state_of()
    live(state, 10)
    place = write(state, tmp_path)
    dice = random.Random(seed)
    victim = dice.choice(sorted(place.iterdir()))
    content = bytearray(victim.read_bytes())
    match dice.choice(["flip", "cut", "gone", "junk"]):
        case "flip":
            # mostly where the format's own words are
            content[dice.randrange(min(len(content), dice.choice([130, 10**9])))] ^= 1 << dice.randrange(8)
            victim.write_bytes(content)
        case "cut":
            victim.write_bytes(content[: dice.randrange(len(content))])
        case "gone":
            victim.unlink()
        case "junk":
            victim.write_bytes(dice.randbytes(len(content)))
    said = str(place)
    try:
        checkpoints.read(tmp_path, 1)
    except checkpoints.Damaged as why:
        said = str(why)
    assert str(place) in said
    fresh, _ = taken_up(tmp_path)
    live(fresh, 5)


@pytest.mark.parametrize(
    "manifest", ['{"format": 0}', "[]", "{}", "", '{"format": 2}', '{"format": 2, "sums": 3}', "\xff"]
)
def test_a_manifest_of_another_format_is_named_and_passed_over(
    tmp_path: Path, manifest: str, caplog: pytest.LogCaptureFixture
) -> None:
    place = write(state_of(), tmp_path)
    (place / "manifest.json").write_text(manifest)
    assert taken_up(tmp_path)[1] == 0
    assert str(place) in caplog.text


def test_an_index_of_another_version_is_no_reason_not_to_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = state_of()
    live(state, 10)
    arrays, facts = checkpoint.capture(state, [])
    arrays["index"] = {"capacity": np.zeros(3), "seen": np.zeros(3)}
    checkpoints.write(tmp_path, 1, arrays, facts)
    again, restored = taken_up(tmp_path)
    assert (restored, len(again.index)) == (0, 0)
    assert "not taken up" in caplog.text


def test_a_part_of_another_shape_starts_afresh_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = state_of()
    live(state, 100)
    arrays, facts = checkpoint.capture(state, [])
    arrays["anomalies"]["bits"] = np.zeros((64, 2), np.uint64)
    checkpoints.write(tmp_path, 1, arrays, facts)
    again, restored = taken_up(tmp_path)
    assert restored == len(capture.parts(state)) - 1
    assert "anomalies" in caplog.text
    live(again, 5)


# -- writing


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    for number in range(1, 6):
        write(state_of(), tmp_path, number)
    assert checkpoints.numbers(tmp_path) == [4, 5]


def test_what_a_crash_left_half_written_is_ignored_and_cleared(tmp_path: Path) -> None:
    write(state_of(), tmp_path, 1)
    half = tmp_path / "0000000002.writing"
    half.mkdir()
    (half / "x.npy").write_bytes(b"half")
    assert checkpoints.numbers(tmp_path) == [1]
    write(state_of(), tmp_path, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0000000001", "0000000002"]


def test_nothing_on_disk_is_pickled(tmp_path: Path) -> None:
    for file in write(state_of(), tmp_path).glob("*.npy"):
        np.load(file, allow_pickle=False)


async def test_a_full_disk_leaves_the_former_checkpoint_and_says_so(tiny_disk: Path, db: Database) -> None:
    made = Walk(db, config_of(limits=[LIMIT], detection=ADAPTIVE))
    for time, values in rows(50):
        await made.take(dict(zip(SERIES, values.tolist(), strict=True)), time)
    folder = tiny_disk / "checkpoints"
    checkpointer = Checkpointer(folder, made.pipeline, [], made.clock, made.metrics)
    await written(made, checkpointer)
    assert checkpointer.error == ""
    free = os.statvfs(tiny_disk)
    (tiny_disk / "ballast").write_bytes(b"x" * max(0, free.f_bavail * free.f_bsize - 60_000))
    await written(made, checkpointer)
    assert os.strerror(errno.ENOSPC) in checkpointer.error
    assert checkpoints.numbers(folder) == [1]
    assert taken_up(folder)[1] > 0
    (tiny_disk / "ballast").unlink()
    await written(made, checkpointer)
    assert checkpointer.error == ""
    assert checkpoints.numbers(folder)[-1] == 3


async def written(made: Walk, checkpointer: Checkpointer) -> None:
    """One checkpoint, taken in the pipeline's turn."""
    running = asyncio.create_task(made.pipeline.run())
    await checkpointer.write()
    await made.pipeline.queue.put(None)
    await running


async def test_cursors_and_positions_are_those_of_what_was_learnt(db: Database, tmp_path: Path) -> None:
    made = Walk(db, config_of())
    await made.hear(Pulled("prod", NOW, {"offset": 7}))
    connectors: Any = made.config.sources
    arrays, facts = checkpoint.capture(made.state, connectors)
    checkpoints.write(tmp_path, 1, arrays, facts)
    _, arrays, facts = checkpoint.load_index(tmp_path)
    again = Walk(db, config_of())
    checkpoint.take_up(again.state, arrays, facts)
    assert again.state.cursors == {"prod": NOW}
    assert again.state.positions == {"prod": {"offset": 7}}
