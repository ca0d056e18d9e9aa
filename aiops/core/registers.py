"""What a step found, kept under a name for later steps: bounded, since another system wrote it."""

import math
from typing import Any

from aiops.core.templates import MAX_VALUE
from aiops.plugin import Outcome

MAX_ITEMS = 5000
"""Values in one answer, of all depths."""
MAX_DEPTH = 12


def registered(outcome: Outcome | None) -> dict[str, Any]:
    """What ``register`` keeps: the action's own data with ``done``, ``ok``, ``output`` and ``cut``.

    None: the step was left out. JSON-able; texts longer than a template may see, and what is too much or too
    deep, are cut, which ``cut`` tells.
    """
    if outcome is None:
        return {"done": False, "ok": False, "output": "", "cut": False}
    keeper = _Keeper()
    data = keeper.kept(outcome.data, 0)
    output = keeper.kept(outcome.output, 0)
    return {**data, "done": True, "ok": outcome.ok, "output": output, "cut": keeper.cut}


class _Keeper:
    def __init__(self) -> None:
        self.cut = False
        self._left = MAX_ITEMS

    def kept(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if isinstance(value, str):
            return self._text(value)
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, dict | list | tuple) and depth >= MAX_DEPTH:
            self.cut = True
            return None
        if isinstance(value, dict):
            pairs = [(self._text(str(k)), v) for k, v in value.items()]
            return {key: self.kept(inner, depth + 1) for key, inner in pairs if self._room()}
        if isinstance(value, list | tuple):
            return [self.kept(inner, depth + 1) for inner in value if self._room()]
        return self._text(str(value))

    def _room(self) -> bool:
        self.cut = self.cut or self._left <= 0
        return self._left > 0

    def _text(self, text: str) -> str:
        self.cut = self.cut or len(text) > MAX_VALUE
        return text[:MAX_VALUE].replace("\x00", "\ufffd")
