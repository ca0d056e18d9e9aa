"""Between dataclasses and rows: NaN is NULL, label sets are JSON objects, and many rows are one statement."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.series import Labels, labels_of

BATCH = 1000
"""Rows of one statement: what a batch takes while it is under way is megabytes, not what a storm takes."""

T = TypeVar("T")


class Numbered(Protocol):
    """Whatever has a row of its own; 0: not yet."""

    id: int


def null(value: float) -> float | None:
    """What is not known is NULL in a table."""
    return value if math.isfinite(value) else None


def nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def labels_in(labels: Labels) -> dict[str, str]:
    return dict(labels)


def labels_out(stored: Mapping[str, str]) -> Labels:
    return labels_of(stored)


def as_json(value: Any) -> str:
    """Courses of thousands of series are written in a storm: the standard library takes ten times as long."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # integers beyond 64 bits, numbers of numpy, keys that are no text
        return json.dumps(value)


def spelled(value: Any) -> tuple[str, str]:
    """Every text that a column of JSON may hold `value` as: as we write it, and as was written before."""
    return as_json(value), json.dumps(value)


def batches(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """`rows` in their order, `BATCH` at a time."""
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def save(conn: Connection, table: sa.Table, rows: Sequence[tuple[Numbered, Mapping[str, Any]]]) -> None:
    """Update the rows of those that have one, then insert the others, which gives them their ids in order.

    Each comes with its columns: the same ones for all that have a row, and for all that have none.
    """
    known = [(one, values) for one, values in rows if one.id]
    new = [(one, values) for one, values in rows if not one.id]
    changed = table.update().where(table.c.id == sa.bindparam("own_id"))
    for batch in batches(known):
        conn.execute(changed, [{**values, "own_id": one.id} for one, values in batch])
    made = table.insert().returning(table.c.id, sort_by_parameter_order=True)
    for batch in batches(new):
        given = conn.execute(made, [values for _, values in batch]).scalars()
        for (one, _), ident in zip(batch, given, strict=True):
            one.id = ident
