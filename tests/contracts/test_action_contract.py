"""What every action keeps to, found by its file: plans touch nothing, timeouts hold, the key is passed on."""

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aiops.plugin import Action, Outcome, PluginError
from aiops.plugin.load import kinds, load
from tests.acting import ENDLESS, ENDS, HARMLESS, KEYLESS, KEYS, action

KINDS = sorted(kinds("playbooks.actions"))


def examples(kind: str) -> list[dict[str, Any]]:
    schema = load("playbooks.actions", kind, Action).model_json_schema()  # type: ignore[type-abstract]
    found: list[dict[str, Any]] = schema.get("examples", [])
    return found


TOUCHES = ("open", "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.remove")
_touched: list[str] | None = None


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _touched is not None and event.startswith(TOUCHES):
        _touched.append(f"{event} {arguments!r}")


sys.addaudithook(_hook)


@contextmanager
def watched() -> Iterator[list[str]]:
    """What the interpreter opens, connects to or starts meanwhile."""
    global _touched
    found: list[str] = []
    _touched = found
    try:
        yield found
    finally:
        _touched = None


def test_the_watch_sees(tmp_path: Path) -> None:
    with watched() as touched:
        socket.socket().close()
        (tmp_path / "x").touch()
        (tmp_path / "x").read_text()
    assert any(t.startswith("socket.") for t in touched)
    assert any(t.startswith("open") for t in touched)


def test_every_kind_is_in_the_suite() -> None:
    assert set(KINDS) == set(ENDLESS) | set(ENDS), "give the kind an endless act"
    assert set(KINDS) == set(HARMLESS), "give the kind a harmless act"
    assert set(KINDS) == set(KEYS) | set(KEYLESS), "give the kind an act that shows its key"


@pytest.mark.parametrize("kind", KINDS)
def test_is_documented_with_examples(kind: str) -> None:
    found = load("playbooks.actions", kind, Action)  # type: ignore[type-abstract]
    assert found.__doc__
    assert "`expect` sees" in found.__doc__, "what may a playbook's `expect` speak of?"
    assert len(examples(kind)) >= 2
    missing = [name for name, field in found.model_fields.items() if not field.description]
    assert not missing


@pytest.mark.parametrize("kind", KINDS)
def test_plan_is_one_line_stable_and_touches_nothing(kind: str) -> None:
    for example in examples(kind):
        made = action(kind, **example)
        with watched() as touched:
            plan, target = made.plan(), made.target
        assert not touched
        assert plan
        assert plan.isprintable()
        again = action(kind, **example)
        assert (again.plan(), again.target) == (plan, target)
        assert 0 < len(target) <= 512


@pytest.mark.parametrize("kind", KINDS)
def test_refuses_what_it_does_not_know(kind: str) -> None:
    for wrong in ({"nonsense": 1}, {"timeout": 0}, {"idempotent": True, "never_retry": True}):
        with pytest.raises(ValueError, match=r"nonsense|timeout|exclude"):
            action(kind, **{**examples(kind)[0], **wrong})


@pytest.mark.parametrize("kind", sorted(ENDLESS))
async def test_an_act_without_end_is_cut_off_at_its_timeout(kind: str, tmp_path: Path) -> None:
    async with ENDLESS[kind](tmp_path) as values:
        made = action(kind, **values, timeout="300ms")
        begun = time.monotonic()
        with pytest.raises(PluginError) as stopped:
            await made.run("1:act")
        assert 0.25 < time.monotonic() - begun < 2.5
        assert getattr(stopped.value, "ambiguous", False), "it may have acted: say so"
        assert "0.3 s" in str(stopped.value)


@pytest.mark.parametrize("kind", sorted(KEYS))
async def test_the_key_reaches_the_other_side(kind: str, tmp_path: Path) -> None:
    assert await KEYS[kind](tmp_path, "42:restart") == "42:restart"


@pytest.mark.parametrize("kind", KINDS)
async def test_what_it_answers_can_be_asked_about(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data is plain JSON, under the names that the documentation gives `expect`."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    async with HARMLESS[kind](tmp_path) as values:
        outcome = await action(kind, **values).run("1:act")
    assert isinstance(outcome, Outcome)
    assert json.loads(json.dumps(outcome.data)) == outcome.data
    words = load("playbooks.actions", kind, Action).__doc__ or ""  # type: ignore[type-abstract]
    assert outcome.data
    assert all(f"``{name}``" in words for name in outcome.data)
