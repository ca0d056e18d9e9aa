"""Files that checkpoints share: nothing unchanged is written twice, no damage reaches both that are kept."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aiops.store import checkpoint_files, checkpoints

Array = NDArray[Any]
STEP = 16


def write(folder: Path, number: int, hot: Array, cold: Array, flat: Array) -> Path:
    """`cold` lies with its rows last, the others with theirs first; all come in parts."""
    with checkpoints.writing(folder, number) as writer:
        for at in range(0, len(hot), STEP):
            writer.put("one.hot", hot[at : at + STEP], 0, at)
            writer.put("one.cold", cold[:, at : at + STEP], -1, at, len(hot))
        writer.put("one.flat", flat)
        return writer.finish({"number": number})


def arrays(rows: int, seed: int = 0) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.random((rows, 3)), rng.random((5, rows)).astype(np.float32), rng.random(1)


def same(folder: Path, number: int, wanted: tuple[Array, Array, Array]) -> bool:
    found, facts = checkpoints.read(folder, number)
    loaded = {"hot": wanted[0], "cold": wanted[1], "flat": wanted[2]}
    assert facts == {"number": number}
    return all(np.array_equal(found["one"][name], array) for name, array in loaded.items())


def shared(one: Path, other: Path) -> set[str]:
    return {path.name for path in one.glob("*.npy") if path.samefile(other / path.name)}


def test_what_has_not_changed_is_linked_to_the_last_but_one(tmp_path: Path) -> None:
    hot, cold, flat = arrays(64)
    first, second = (write(tmp_path, number, hot, cold, flat) for number in (1, 2))
    inodes = {path.name: path.stat().st_ino for path in first.glob("*.npy")}
    assert shared(first, second) == set()
    third = write(tmp_path, 3, hot + 1, cold, flat)
    linked = {path.name for path in third.glob("*.npy") if path.stat().st_ino == inodes[path.name]}
    assert linked == {"one.cold.npy", "one.flat.npy"}
    assert shared(second, third) == set()
    assert same(tmp_path, 3, (hot + 1, cold, flat))


def test_damage_to_the_newest_leaves_the_one_before_though_nothing_had_changed(tmp_path: Path) -> None:
    wanted = arrays(64)
    for number in range(1, 6):
        newest = write(tmp_path, number, *wanted)
    for file in newest.glob("*.npy"):
        file.write_bytes(b"junk")
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert found[1] == {"number": 4}
    assert same(tmp_path, 4, wanted)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_changes_and_grows_is_read_as_it_was_put(tmp_path: Path, seed: int) -> None:
    dice = np.random.default_rng(seed)
    rows, flat = 16 * int(dice.integers(1, 6)), np.zeros(1)
    hot, cold, _ = before = arrays(rows, seed)
    for number in range(1, 9):
        if dice.random() < 0.3:
            more = arrays(16 * int(dice.integers(1, 3)), number)
            hot, cold = np.concatenate([hot, more[0]]), np.concatenate([cold, more[1]], axis=1)
        for array in (hot, cold):
            if dice.random() < 0.5:
                array[tuple(dice.integers(array.shape))] = dice.random()
        write(tmp_path, number, hot, cold, flat)
        assert same(tmp_path, number, (hot, cold, flat))
        assert checkpoints.numbers(tmp_path) == list(range(max(1, number - 1), number + 1))
        assert number == 1 or same(tmp_path, number - 1, before)
        before = hot.copy(), cold.copy(), flat


@pytest.mark.parametrize("name", ["hot", "cold", "flat"])
def test_files_longer_than_one_reading_are_whole_and_a_wrong_bit_anywhere_is_told(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_files, "READ", 100)
    wanted = arrays(48)
    path = write(tmp_path, 1, *wanted) / f"one.{name}.npy"
    assert same(tmp_path, 1, wanted)
    right = path.read_bytes()
    for place in range(checkpoint_files.HEADER, len(right), 7):
        path.write_bytes(right[:place] + bytes([right[place] ^ 16]) + right[place + 1 :])
        with pytest.raises(checkpoints.Damaged, match=f"{name}.npy: its checksum does not match"):
            checkpoints.read(tmp_path, 1)


def test_where_there_are_no_links_the_files_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refused)
    wanted = arrays(64)
    places = [write(tmp_path, number, *wanted) for number in (1, 2, 3)]
    assert same(tmp_path, 3, wanted)
    assert shared(places[1], places[2]) == set()


def test_a_file_that_was_cut_off_is_not_shared(tmp_path: Path) -> None:
    wanted = arrays(64)
    places = [write(tmp_path, number, *wanted) for number in (1, 2)]
    cut = places[0] / "one.cold.npy"
    cut.write_bytes(cut.read_bytes()[:-1])
    write(tmp_path, 3, *wanted)
    assert same(tmp_path, 3, wanted)


def test_another_type_with_the_same_bytes_is_not_taken_for_the_same(tmp_path: Path) -> None:
    hot, cold, flat = (np.zeros_like(array) for array in arrays(32))
    for number, kind in ((1, np.float64), (2, np.float64), (3, np.int64)):
        write(tmp_path, number, hot.astype(kind), cold, flat)
    assert checkpoints.read(tmp_path, 3)[0]["one"]["hot"].dtype == np.int64
