"""Who leads the engines on one store: a row whose epoch counts the leaders. Times are epoch seconds."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.store.tables_duty import leadership

_ONLY = 1


class Deposed(Exception):
    """Another engine has led since; what was to be written is not."""


@dataclass(frozen=True, slots=True)
class Leader:
    """``url`` is where its web server is reached by other engines."""

    epoch: int
    owner: str
    url: str
    since: float


def current(conn: Connection) -> Leader | None:
    """The last one that began to lead, which may be dead by now."""
    row = conn.execute(sa.select(leadership).where(leadership.c.id == _ONLY)).mappings().first()
    return Leader(row["epoch"], row["owner"], row["url"], row["since"]) if row else None


def begin(conn: Connection, owner: str, url: str, at: float) -> int:
    """`owner` leads from now on; returns its epoch. The caller holds the lock of the leader.

    Waits for what an earlier leader is about to commit; nothing that it tries later goes through.
    """
    mine = {"owner": owner, "url": url, "since": at}
    change = leadership.update().where(leadership.c.id == _ONLY)
    grown = change.values(epoch=leadership.c.epoch + 1, **mine).returning(leadership.c.epoch)
    epoch = conn.execute(grown).scalar_one_or_none()
    if epoch is None:
        conn.execute(leadership.insert().values(id=_ONLY, epoch=1, **mine))
        return 1
    return int(epoch)


def hold(conn: Connection, epoch: int) -> None:
    """Until this transaction ends nobody else begins to lead. Raises `Deposed` when somebody has."""
    query = sa.select(leadership.c.epoch).where(leadership.c.id == _ONLY).with_for_update(read=True)
    found = conn.execute(query).scalar_one_or_none()
    if found != epoch:
        raise Deposed(f"leader {found} has taken over from leader {epoch}, which this engine was")
