"""Which values of the store are sealed, under which key; and sealing anew when keys change."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.types import TypeDecorator

from aiops.store import vault
from aiops.store.database import Database
from aiops.store.tables import metadata
from aiops.store.vault import SealedBytes, SealedJson, SealedText

PLAIN, LOCKED = None, -1
"""As `vault.opener` tells: not sealed; opened by none of the keys."""

_BATCH = 100

Row = tuple[Any, Any]
"""Its primary key, and the value as it lies there."""


def columns() -> list[sa.Column[Any]]:
    """Those that are sealed while there is a key."""
    kinds = SealedBytes, SealedJson, SealedText
    return [c for table in metadata.sorted_tables for c in table.c if isinstance(c.type, kinds)]


def survey(conn: Connection, keys: Sequence[str], most: int) -> dict[str, Counter[int | None]]:
    """By ``TABLE.COLUMN``, how many values each key opens, by its place; of the `most` oldest of a column."""
    found = {}
    for column in columns():
        kept = Counter[int | None]()
        for rows in _batches(conn, column):
            kept.update(vault.opener(value, keys) for _, value in rows if value is not None)
            if kept.total() >= most:
                break
        found[str(column)] = kept
    return found


def seal_anew(db: Database, keys: Sequence[str]) -> Counter[int | None]:
    """Seal under the first of `keys` whatever is not: how many were, by what they were under before.

    A batch is a transaction; engines may run, if they have these keys already. What none of the keys opens
    stays as it is. The keys must be in `vault.use`.
    """
    done = Counter[int | None]()
    for column in columns():
        after: Any = None
        while True:
            with db.begin() as conn:
                rows = _rows(conn, column, after, lock=True)
                done.update(_sealed(conn, column, rows, keys))
            if not rows:
                break
            after = rows[-1][0]
    return done


def _sealed(
    conn: Connection, column: sa.Column[Any], rows: Sequence[Row], keys: Sequence[str]
) -> Iterator[Any]:
    table, kind = column.table, column.type
    assert isinstance(table, sa.Table)
    assert isinstance(kind, TypeDecorator)
    for ident, value in rows:
        if value is None:  # JSON's
            continue
        place = vault.opener(value, keys)
        if place not in (0, LOCKED):
            plain = kind.process_result_value(value, conn.dialect)
            conn.execute(table.update().where(_key(column) == ident).values({column.name: plain}))
        if place != 0:
            yield place


def _batches(conn: Connection, column: sa.Column[Any]) -> Iterator[Sequence[Row]]:
    after: Any = None
    while rows := _rows(conn, column, after):
        yield rows
        after = rows[-1][0]


def _rows(conn: Connection, column: sa.Column[Any], after: Any, lock: bool = False) -> Sequence[Row]:
    kind = column.type
    assert isinstance(kind, TypeDecorator)
    key = _key(column)
    query = sa.select(key, sa.type_coerce(column, kind.impl)).where(column.is_not(None)).order_by(key)
    query = query if after is None else query.where(key > after)
    rows = conn.execute((query.with_for_update() if lock else query).limit(_BATCH))
    return [(ident, value) for ident, value in rows]


def _key(column: sa.Column[Any]) -> sa.Column[Any]:
    (key,) = column.table.primary_key
    return key
