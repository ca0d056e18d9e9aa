"""Loki's answers: of ``/loki/api/v1/query_range``, result type ``streams``, and of ``/loki/api/v1/tail``."""

import json
from dataclasses import dataclass
from typing import Any

from aiops.wire import WireError
from aiops.wire._json_place import place


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
    """The streams of an answer, each oldest line first. Raises `WireError` that says what is wrong where."""
    answer = _json(body)
    if answer.get("status") != "success":
        text = f"status is {answer.get('status')!r}: {answer.get('error', '')}"
        raise WireError(text, place(body, ["status"]))
    path = ["data", "resultType"]
    try:
        data = answer["data"]
        if data["resultType"] != "streams":
            text = f"the query gives {data['resultType']}, not lines; leave rate() and count() out"
            raise WireError(text, place(body, path))
        return _streams(body, data["result"], "data", "result")
    except (KeyError, TypeError) as why:
        raise WireError(f"not an answer of Loki: {why!r}", place(body, path)) from why


def decode_tail(message: bytes) -> tuple[list[Stream], int]:
    """(streams, how many entries Loki had to drop) of one message. Raises `WireError`."""
    found = _json(message)
    dropped = found.get("dropped_entries") or []
    if not isinstance(dropped, list):
        raise WireError("dropped_entries is no list", place(message, ["dropped_entries"]))
    return _streams(message, found.get("streams") or [], "streams"), len(dropped)


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except UnicodeDecodeError as bad:
        raise WireError("no UTF-8", bad.start) from None
    except json.JSONDecodeError as bad:
        raise WireError(
            f"not JSON: {bad.msg}", len(bad.doc[: bad.pos].encode(errors="surrogatepass"))
        ) from None
    except (RecursionError, ValueError) as bad:  # ValueError: a number of more than 4300 digits
        raise WireError(f"not JSON that can be read: {bad}", 0) from None
    if not isinstance(found, dict):
        raise WireError("not a JSON object", 0)
    return found


def _streams(body: bytes, found: Any, *path: str) -> list[Stream]:
    if not isinstance(found, list):
        raise WireError(f"{path[-1]} is no list", place(body, path))
    streams = []
    for number, one in enumerate(found):
        try:
            streams.append(_stream(one))
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as why:
            raise WireError(f"no stream of Loki: {why!r}", place(body, [*path, number])) from why
    return streams


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
