"""`file_prune` deletes what it was told to, oldest first, and nothing else whatever lies in the folder."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from aiops.plugin import Action, Fatal, Outcome
from tests.acting import action


def prune(folder: Path, **values: Any) -> Action:
    return action("file_prune", **{"under": str(folder), "files": ["*.log.*"], "keep": 0, **values})


def made(folder: Path, name: str, age: float = 0.0, size: int = 8192) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    changed = time.time() - age
    os.utime(path, (changed, changed))
    return path


async def done(one: Action) -> Outcome:
    return await one.run("1:prune")


async def test_the_newest_stay_and_the_oldest_go_first(tmp_path: Path) -> None:
    files = [made(tmp_path, f"app.log.{n}", age=n * 60) for n in range(5)]
    current = made(tmp_path, "app.log")
    outcome = await done(prune(tmp_path, keep=2, at_most=2 * 8192))
    assert outcome.ok
    assert [f.exists() for f in files] == [True, True, True, False, False]
    assert current.exists()
    assert outcome.data["deleted"] == 2
    assert outcome.data["matched"] == 3
    assert outcome.data["freed"] == 2 * 8192


async def test_only_what_is_old_enough(tmp_path: Path) -> None:
    old, young = made(tmp_path, "a.log.1", age=90), made(tmp_path, "b.log.1", age=30)
    await done(prune(tmp_path, older="1m"))
    assert (old.exists(), young.exists()) == (False, True)


async def test_a_star_stays_in_its_folder_and_two_go_down(tmp_path: Path) -> None:
    top, deep = made(tmp_path, "a.log.1"), made(tmp_path, "sub/deeper/a.log.1")
    await done(prune(tmp_path))
    assert (top.exists(), deep.exists()) == (False, True)
    await done(prune(tmp_path, files=["**/*.log.*"]))
    assert not deep.exists()


async def test_links_lead_nowhere(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "logs"
    kept = made(outside, "precious.log.1")
    folder.mkdir()
    (folder / "link.log.1").symlink_to(kept)
    (folder / "sub").symlink_to(outside)
    outcome = await done(prune(folder, files=["**/*.log.*", "sub/*.log.*"]))
    assert kept.exists()
    assert (folder / "link.log.1").is_symlink()
    assert outcome.data["matched"] == 0
    with pytest.raises(Fatal, match="cannot be pruned"):
        await done(prune(folder / "sub"))


async def test_enough_is_enough(tmp_path: Path) -> None:
    path = made(tmp_path, "a.log.1")
    outcome = await done(prune(tmp_path, until_free=0.000001))
    assert path.exists()
    assert outcome.ok, "there was nothing to do"


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="No such file"):
        await done(prune(tmp_path / "none"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"under": "logs"}, "whole path"),
        ({"under": "/var/log/../lib"}, "without"),
        ({"under": "/etc"}, "too wide"),
        ({"under": "/var/./lib/"}, "too wide"),
        ({"files": ["../x"]}, "below the folder"),
        ({"files": ["/x"]}, "below the folder"),
        ({"files": [""]}, "below the folder"),
        ({"files": []}, "at least 1"),
        ({"at_most": 0}, "greater than 0"),
    ],
)
def test_what_is_refused_when_read(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        action("file_prune", **{"under": "/var/log/app", "files": ["*"], **values})
