"""A key that several engines make at the same time on one folder is one key, and whole."""

import os
import secrets
import stat
from pathlib import Path
from typing import Any

import pytest

from aiops.store.kept_key import LENGTH, kept_key


def test_it_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "some.key"
    key = kept_key(path)
    assert len(key) == LENGTH
    assert kept_key(path) == path.read_bytes() == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("left", [b"", b"cut"])
def test_half_a_key_is_made_anew(tmp_path: Path, left: bytes) -> None:
    path = tmp_path / "some.key"
    path.write_bytes(left)
    assert len(kept_key(path)) == LENGTH
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["os.link", "secrets.token_hex"])
def test_who_is_second_takes_the_first_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path, made = tmp_path / "some.key", []
    plain: Any = {"os.link": os.link, "secrets.token_hex": secrets.token_hex}[step]

    def late(*args: Any) -> Any:
        monkeypatch.setattr(step, plain)
        made.append(kept_key(path))  # another engine, in this very moment
        return plain(*args)

    monkeypatch.setattr(step, late)
    assert [kept_key(path)] == made
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_system_without_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(source: Any, target: Any) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr("os.link", none)
    path = tmp_path / "some.key"
    assert kept_key(path) == path.read_bytes()
    assert list(tmp_path.iterdir()) == [path]
