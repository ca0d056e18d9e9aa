"""All that was learnt, copied a part at a time, so that no sample waits for more than one part."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from aiops.engine.scale.build import name_of
from aiops.engine.state import State
from aiops.plugin import LANES, Columns, Connector

PART = 1 << 22
"""Bytes of a part: a copy of 1 ms."""
DENSE = ("experts-rows", "ramps", "drift-rows")
"""Parts that have a row for some series only."""
SERIES = 1 << 14
"""Series of a part of the index."""
TEXTS = 1 << 12
"""Pairs of a part of the labels' texts: 2 ms."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A copy of one part of one array: its place `at` along `axis`, which `of` are long altogether."""

    name: str
    array: NDArray[Any]
    axis: int = 0
    at: int = 0
    of: int | None = None


class Capture:
    """One pass over a state that goes on learning between the pieces.

    A piece holds whole rows, so each series is consistent in itself; one that is copied late has learnt
    samples beyond the cursors, which detectors drop as late when they come again. What several rows share
    must stand still meanwhile: `holds` tells whether it did.
    """

    def __init__(self, state: State, connectors: list[Connector]) -> None:
        state.welcome()  # slots given since the last row would not be announced again after a restart
        self._state = state
        self._parts = parts(state)
        slots = -(-state.index.capacity // LANES) * LANES
        self._rows = {
            name: columns.capacity if name.startswith(DENSE) else min(columns.capacity, slots)
            for name, columns in self._parts.items()
        }
        self._series = state.index.capacity
        self._shared = self._standing()
        self.facts: dict[str, Any] = {
            "cursors": dict(state.cursors),
            "spooled": state.spooled,
            "identities": identities(state),
            "connectors": {
                c.name: state.positions[c.name] for c in connectors if state.positions.get(c.name)
            },
            "logs": state.logs.snapshot(),
            "grouping": state.problems.correlator.snapshot(),
            "telemetry": state.telemetry.snapshot(),
            "pages": {team: pages.snapshot() for team, pages in state.pages.items()},
        }

    def pieces(self) -> Iterator[list[Piece]]:
        """Between two of them the state may go on learning, in the same thread."""
        for name, columns in self._parts.items():
            if columns.pointed:  # where rows point there, all of it at once
                yield [Piece(f"{name}.{column}", array) for column, array in columns.snapshot().items()]
        # before what is known of them: no row of a slot's former series is then taken for that of its next
        yield from self._labels()
        yield from self._shards()
        for name, columns in self._parts.items():
            if not columns.pointed:
                yield from self._columns(name, columns)

    def holds(self, state: State) -> bool:
        """Whether the pieces taken so far make one whole with what `state` is now."""
        return state is self._state and self._shared == self._standing()

    def _standing(self) -> list[Any]:
        """Changes when pieces of before and after do not fit together."""
        found: list[Any] = [self._state.index.evictions]
        for columns in self._parts.values():
            if not columns.pointed:
                shared = {name: array.tobytes() for name, array in columns.rowless().items()}
                found.append((columns.generation, shared, set(columns.part(0, 0))))
        return found

    def _labels(self) -> Iterator[list[Piece]]:
        index, ids = self._state.index, 0
        for start in range(0, max(1, self._series), SERIES):
            part = index.part(start, min(start + SERIES, self._series))
            yield [
                Piece(f"index.{name}", array, at=ids if name == "ids" else start)
                for name, array in part.items()
            ]
            ids += len(part["ids"])
        yield from self._texts()

    def _shards(self) -> Iterator[list[Piece]]:
        """Each as a whole, as its worker tells it."""
        if self._state.detection.parted:
            self._state.welcome()
        for number, blob in self._state.detection.dumps():
            yield [Piece(name_of(number), blob)]
            self._state.welcome()

    def _texts(self) -> Iterator[list[Piece]]:
        """Of the pairs there are by now; the rows that were copied before know no others."""
        pairs, at = self._state.index.pairs, 0
        many = len(pairs)
        for start in range(0, max(1, many), TEXTS):
            part = pairs.part(start, min(start + TEXTS, many))
            yield [
                Piece("index.text", part["text"], at=at),
                Piece("index.ends", part["ends"] + at, at=2 * start),
                Piece("index.hashes", part["hashes"], at=start),
            ]
            at += len(part["text"])

    def _columns(self, name: str, columns: Columns) -> Iterator[list[Piece]]:
        rows = self._rows[name]
        row = max(1, columns.nbytes // max(1, columns.capacity))
        step = max(1, PART // row // LANES) * LANES
        for start in range(0, max(1, rows), step):
            self._state.welcome()
            stop = min(start + step, rows)
            yield [
                Piece(f"{name}.{column}", view.copy(), spec.axis, spec.place(start), spec.place(rows))
                for column, view in columns.part(start, stop).items()
                for spec in [columns.spec[column]]
            ]
        yield [Piece(f"{name}.{column}", array) for column, array in columns.rowless().items()]


def parts(state: State) -> dict[str, Columns]:
    """Every columnar state by a name that changes when its meaning does: another setting starts afresh."""
    found = {"anomalies": state.anomalies.columns}
    for place, detector in state.detection.here():
        found[f"detector-{place}-{detector.kind}"] = detector.columns
    for place, watch in enumerate(state.rules):
        found |= {f"{part}-{place}": columns for part, columns in watch.parts().items()}
    return found | {"drift": state.drift.dense.slots, "drift-rows": state.drift.dense.rows}


def identities(state: State) -> dict[str, str]:
    """What each part was made from; a part whose identity has changed is not restored."""
    made = {"anomalies": "2"} | dict.fromkeys(("drift", "drift-rows"), repr(state.detection.detectors))
    for place, detector in state.detection.here():
        made[f"detector-{place}-{detector.kind}"] = detector.model_dump_json()
    for place, watch in enumerate(state.rules):
        made |= {f"{part}-{place}": repr(watch.rule) for part in watch.parts()}
    return made
