"""What an engine does for itself: it follows its files, and tells outsiders that it is well."""

from collections.abc import Coroutine
from typing import Any, Protocol

from aiops.engine import follow, watchdog


class Engine(follow.Engine, watchdog.Engine, Protocol):
    """What is needed of the engine."""


def upkeep(engine: Engine) -> dict[str, Coroutine[Any, Any, None]]:
    """Tasks by name; each runs until it is cancelled."""
    return {"follow": follow.Follower(engine).run(), "watchdogs": watchdog.Watchdogs(engine).run()}
