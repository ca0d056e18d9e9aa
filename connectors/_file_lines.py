"""What is told of lines at once, many of them: their times, and how many speak of an error."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

ERRORS = (
    r"\b(?:ERROR|FATAL|CRITICAL|PANIC|SEVERE|EMERG)\b"
    r"|\[(?:error|crit|alert|emerg)\]"
    r'|\b(?:level|severity)"?[=:]\s*"?(?:error|fatal|panic|crit|err\b)'
    r"|^Traceback "
    r'|" 5\d\d '
)
_HINTS = (
    *("ERROR", "FATAL", "CRITICAL", "PANIC", "SEVERE", "EMERG", "[alert]", "[emerg]"),
    *("err", "fatal", "panic", "crit", "Traceback ", '" 5'),
)
"""Every line that `ERRORS` finds holds one of these."""
_STAMP = re.compile(r"\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?(?:Z|[+-]\d\d:?\d\d)?)")


class ErrorCount:
    """Counts the lines in which a pattern is found."""

    def __init__(self, pattern: str) -> None:
        self._search = re.compile(pattern).search
        self._hints = _HINTS if pattern == ERRORS else ()

    def of(self, lines: list[str]) -> int:
        if not self._hints:
            return sum(map(bool, map(self._search, lines)))
        return sum(bool(self._search(lines[place])) for place in self._suspects(lines))

    def _suspects(self, lines: list[str]) -> set[int]:
        """The places of lines with a hint: to look for words costs a twentieth of looking for the pattern."""
        text = "\n".join(lines)
        begins: list[int] = []
        found = set()
        for hint in self._hints:
            at = text.find(hint)
            while at >= 0:
                begins = begins or list(accumulate((len(line) + 1 for line in lines), initial=0))
                place = bisect_right(begins, at) - 1
                found.add(place)
                at = text.find(hint, begins[place + 1])
        return found


def times_of(lines: list[str], since: float, until: float) -> NDArray[np.float64]:
    """The time that each begins with (local where it names no zone), if within the pull; else `until`."""
    return np.fromiter(_times(lines, since, until), float, len(lines))


def _times(lines: list[str], since: float, until: float) -> Iterator[float]:
    known: dict[str, float] = {}
    for stamp in map(_STAMP.match, lines):
        if stamp is None:
            yield until
            continue
        text = stamp[1]
        time = known.get(text)
        if time is None:
            time = known[text] = _time(text)
        yield time if since < time <= until else until


def _time(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return float("-inf")
