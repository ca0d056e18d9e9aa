"""Loki's answers: of ``/loki/api/v1/query_range``, result type ``streams``, and of ``/loki/api/v1/tail``."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. ``time`` in nanoseconds since the epoch, as Loki keeps it."""

    time: int
    line: str
    metadata: tuple[tuple[str, str], ...] = ()
    """Structured metadata, sorted."""


@dataclass(frozen=True, slots=True)
class Stream:
    labels: tuple[tuple[str, str], ...]
    entries: list[Entry]


def decode(body: bytes) -> list[Stream]:
    """The streams of an answer, each oldest line first. Raises ValueError that says what is wrong."""
    try:
        answer = json.loads(body)
        if answer.get("status") != "success":
            raise ValueError(f"status is {answer.get('status')!r}: {answer.get('error', '')}")
        data = answer["data"]
        if data["resultType"] != "streams":
            raise ValueError(f"the query gives {data['resultType']}, not lines; leave rate() and count() out")
        return [_stream(one) for one in data["result"]]
    except (KeyError, TypeError, AttributeError, IndexError) as why:
        raise ValueError(f"not an answer of Loki: {why!r}") from why


def decode_tail(message: bytes) -> tuple[list[Stream], int]:
    """(streams, how many entries Loki had to drop) of one message. Raises ValueError."""
    try:
        found = json.loads(message)
        streams = [_stream(one) for one in found.get("streams") or ()]
        return streams, len(found.get("dropped_entries") or ())
    except (KeyError, TypeError, AttributeError, IndexError) as why:
        raise ValueError(f"not a message of Loki's tail: {why!r}") from why


def _stream(one: dict[str, Any]) -> Stream:
    labels = tuple(sorted((str(k), str(v)) for k, v in one["stream"].items()))
    entries = [
        Entry(int(value[0]), str(value[1]), _metadata(value[2]) if len(value) > 2 else ())
        for value in one["values"]
    ]
    return Stream(labels, sorted(entries, key=lambda entry: entry.time))


def _metadata(extra: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Plain since 2.9; in groups, with what the query parsed, where categorized labels were asked for."""
    groups = [extra[name] for name in ("structuredMetadata", "parsed") if isinstance(extra.get(name), dict)]
    found = {k: v for group in groups or [extra] for k, v in group.items()}
    return tuple(sorted((str(k), str(v)) for k, v in found.items() if isinstance(v, str)))
