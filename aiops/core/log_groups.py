"""Several lines that are one event: stack traces, wrapped and indented messages."""

import re
from collections.abc import Sequence

_CONTINUES = re.compile(
    r"[ \t]+\S|\s*\Z|Caused by: |Suppressed: |\.\.\. \d+ more|[})\]]+[;,]?\Z|goroutine \d+ \["
    r"|The above exception|During handling"
)
_BLANKS = frozenset(("", " ", "\t", "}", ")", "]"))
_WORDS = {
    "C": "Caused by: ",
    "S": "Suppressed: ",
    "g": "goroutine ",
    ".": "... ",
    "T": "The above ",
    "D": "During ",
}
_PYTHON = "Traceback (most recent call last):"
_CAUSES = ("Caused by: ",)
MOST = 200
"""Lines of one event; after that the next begins."""


def rest_of_event(text: Sequence[str], in_trace: bool) -> int:
    """How many lines at the beginning go on with the event before them, whose other lines came earlier.

    `in_trace`: whether that event is a Python trace of which the error has not come yet.
    """
    count = 0
    for line in text[:MOST]:
        if not in_trace and _CONTINUES.match(line) is None:
            break
        count += 1
        in_trace = in_trace and line[:1] in (" ", "\t", "")
    return count


def ends_in_trace(text: Sequence[str], in_trace: bool) -> bool:
    """Whether the last of these lines is of a Python trace that goes on; `in_trace`: whether the first is."""
    for place in range(len(text) - 1, -1, -1):
        line = text[place]
        if _PYTHON in line:
            return True
        if line[:1] not in (" ", "\t", ""):
            return False
    return in_trace


def grouped(text: Sequence[str]) -> tuple[list[int], list[str], list[str]]:
    """(place of the first line of each event, what to mine of it, all of it).

    An event is mined by its first line and, of a stack trace, the line that names the error: traces of one
    error differ in depth.
    """
    if _are_alone(text):
        return list(range(len(text))), list(text), list(text)
    starts: list[int] = []
    events: list[list[str]] = []
    open_trace = False
    for place, line in enumerate(text):
        goes_on = (
            bool(events) and len(events[-1]) < MOST and (_CONTINUES.match(line) is not None or open_trace)
        )
        if goes_on:
            events[-1].append(line)
            # a Python trace ends with the first line that is not indented: the error itself
            open_trace = open_trace and line[:1] in (" ", "\t", "")
        else:
            starts.append(place)
            events.append([line])
        open_trace = open_trace or _PYTHON in line
    return starts, [_gist(event) for event in events], ["\n".join(event) for event in events]


def _are_alone(text: Sequence[str]) -> bool:
    """Whether no line goes on with another. Most batches are so; this is six times as fast."""
    firsts = {line[:1] for line in text}
    if firsts & _BLANKS:
        return False
    joined = "\n".join(text)
    return (
        joined.count("\n") == len(text) - 1
        and _PYTHON not in joined
        and not any(f"\n{_WORDS[first]}" in joined for first in firsts & _WORDS.keys())
    )


def _gist(event: list[str]) -> str:
    head = event[0].replace("\n", " ")
    if len(event) == 1:
        return head
    if any(_PYTHON in line for line in event[:2]):
        named = [line for line in event[1:] if line[:1] not in (" ", "\t", "") and _PYTHON not in line]
    else:
        named = [line for line in event[1:] if line.startswith(_CAUSES)]
    return f"{head} | {named[-1]}".replace("\n", " ") if named else head
