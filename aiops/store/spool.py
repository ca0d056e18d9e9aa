"""Requests of senders that were acknowledged, kept until a checkpoint covers what came of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.store.tables_duty import spool

_READ = 64
"""Entries read at once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One request. ``path`` is that of its route, after the source's name; ``headers`` hold no secrets."""

    number: int
    source: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def append(conn: Connection, entries: Sequence[Entry]) -> None:
    """All of them or none."""
    rows = [
        {"number": e.number, "source": e.source, "path": e.path, "headers": dict(e.headers), "body": e.body}
        for e in entries
    ]
    conn.execute(spool.insert(), rows)


def sizes(conn: Connection) -> list[tuple[int, int]]:
    """(number, bytes of the body) of all entries, the oldest first."""
    query = sa.select(spool.c.number, sa.func.length(spool.c.body)).order_by(spool.c.number)
    return [(int(number), int(size)) for number, size in conn.execute(query)]


def some_after(conn: Connection, number: int) -> list[Entry]:
    """The next entries after `number`, not too many at once; none at the end."""
    query = sa.select(spool).where(spool.c.number > number).order_by(spool.c.number).limit(_READ)
    return list(_entries(conn, query))


def drop(conn: Connection, number: int) -> int:
    """Those up to `number`; returns how many there were."""
    return conn.execute(spool.delete().where(spool.c.number <= number)).rowcount


def _entries(conn: Connection, query: sa.Select[tuple[object, ...]]) -> Iterator[Entry]:
    for row in conn.execute(query).mappings():
        yield Entry(row["number"], row["source"], row["path"], row["headers"], bytes(row["body"]))
