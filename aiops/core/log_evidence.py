"""How much several alerts on logs prove together."""

from collections.abc import Iterable

from aiops.model.series import NAME, Labels
from aiops.model.signal import Alert

METRICS = frozenset(
    f"log_{what}"
    for what in (
        "pattern_lines_per_second",
        "lines_per_second",
        "error_lines_per_second",
        "odd_sessions_per_second",
        "session_lines",
    )
)
"""Series that are made of a stream of lines."""


def stream_of(labels: Labels) -> Labels:
    """The stream that a series of `METRICS` is made of."""
    return tuple(pair for pair in labels if pair[0] not in (NAME, "template", "session"))


def witnesses(alerts: Iterable[Alert]) -> int:
    """How many alerts there are, those of one stream of log lines counted once.

    A stream's lines, errors and patterns rise and fall together: three of them are no three reasons.
    """
    streams, others = set(), 0
    for alert in alerts:
        if alert.metric in METRICS:
            streams.add((alert.source, stream_of(alert.labels)))
        else:
            others += 1
    return others + len(streams)
