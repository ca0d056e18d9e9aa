"""Playbooks of the library, set to a scenario's own addresses as their users do: copied and edited."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

LIBRARY = Path(__file__).parents[3] / "playbooks" / "library"
WITHIN = "12s"
"""In which a repair has to be proven here; the library gives it a minute."""


def library(
    folder: Path,
    name: str,
    words: Mapping[str, str] | None = None,
    supervisor: str = "",
    programs: Mapping[str, str] | None = None,
    **top: Any,
) -> Path:
    """The file in `folder` of the library's playbook `name`, that may act by itself and soon gives up.

    `words` are replaced in all texts, `programs` where an argument list begins with them; `supervisor` is
    the address of who runs the services in systemd's place, and `top` are keys of the playbook itself.
    Raises AssertionError when a word is not in there.
    """
    text = (LIBRARY / f"{name}.yaml").read_text()
    assert not [word for word in words or {} if word not in text], words
    adapted = _adapted(yaml.safe_load(text), words or {}, programs or {}, supervisor)
    adapted["verify"]["within"] = WITHIN
    return written(folder, adapted | {"autonomy": "auto"} | top)


def written(folder: Path, playbook: dict[str, Any]) -> Path:
    """Its file in `folder`."""
    path = folder / f"{playbook['playbook']}.yaml"
    path.write_text(json.dumps(playbook, indent=1))
    return path


def steps_of(name: str) -> list[dict[str, Any]]:
    """The steps as they stand in the library."""
    found: list[dict[str, Any]] = yaml.safe_load((LIBRARY / f"{name}.yaml").read_text())["steps"]
    return found


def _adapted(node: Any, words: Mapping[str, str], programs: Mapping[str, str], supervisor: str) -> Any:
    if isinstance(node, dict):
        own = {key: _adapted(value, words, programs, supervisor) for key, value in node.items()}
        return own | {"manager": "supervisor", "url": supervisor} if supervisor and "verb" in node else own
    if isinstance(node, list):
        first, *rest = [_adapted(value, words, programs, supervisor) for value in node]
        return [programs.get(first, first) if isinstance(first, str) else first, *rest]
    if isinstance(node, str):
        for old, new in words.items():
            node = node.replace(old, new)
    return node
