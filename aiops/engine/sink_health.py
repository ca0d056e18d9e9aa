"""What a lane tells of its sink, and what it is told by its owner."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(slots=True)
class SinkHealth:
    """Times are seconds since the epoch; 0 = never."""

    name: str
    last_ok: float = 0.0
    last_failure: float = 0.0
    failures: int = 0
    """In a row."""
    paused_until: float = 0.0
    error: str = ""
    """Of the last failure; empty after a success."""


Observe: TypeAlias = Callable[[str, str, float], None]
"""``(sink, outcome, seconds)`` of each attempt; outcome is sent, retried or dead."""

Jitter: TypeAlias = Callable[[float, float], float]
"""A random number between two."""


Finish: TypeAlias = Callable[[str, dict[str, Any]], dict[str, Any]]
"""``(sink, body)`` -> the body as it is sent."""


def unobserved(_sink: str, _outcome: str, _seconds: float) -> None:
    """Looks away."""


def as_it_is(_sink: str, body: dict[str, Any]) -> dict[str, Any]:
    return body
