"""Up to when the samples of a source have been acted on."""

import logging

from aiops.core.words import duration
from aiops.engine.state import State

log = logging.getLogger("aiops.pipeline")

AHEAD = 60.0
"""Seconds by which samples may be ahead of our clock."""


def acted_until(state: State, source: str, now: float) -> float:
    """What is acted on is later than this (epoch s). Of a clock that was put back it is not believed."""
    found = state.acted_until.get(source, 0.0)
    if found > now + AHEAD:
        text = "source %s: acted on up to %s from now: a clock was put back; going on from now"
        log.warning(text, source, duration(found - now))
        found = state.acted_until[source] = now
    return found
