"""Leases of runs: who carries one out, until when, and as the how-manieth.

A run that was begun belongs to the owner of its lease. The owner renews it while it lives; once it has run
out, any other may take the run, under the next epoch. Whatever is written about a run under a lease is
written `within` it, in one transaction with the check of the epoch, so that an owner which was only slow, or
frozen, learns that it was taken over from before it can act on.

Leases are kept by the clock of the store: the clocks of several machines need not agree.
"""

import logging
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import RunState
from aiops.model.problem import Run
from aiops.store import audit
from aiops.store.tables import run
from aiops.store.tables_duty import lease

log = logging.getLogger("aiops.run")

P = ParamSpec("P")
T = TypeVar("T")

HOLDING = (RunState.RUNNING, RunState.VERIFYING)
"""States in which a run holds its target, and has an owner."""

_JULIAN_EPOCH = 2440587.5


class RunChanged(Exception):
    """The run is not in the state that the caller saw; nothing was changed."""


class LeaseLost(RunChanged):
    """Another has taken the run over; nothing was changed."""


def grant(conn: Connection, run_id: int, owner: str, seconds: float) -> int:
    """The first lease of a run that begins, in the transaction in which it does; returns its epoch."""
    until = _now(conn) + seconds
    conn.execute(lease.insert().values(run_id=run_id, owner=owner, epoch=1, until=until))
    return 1


def take(conn: Connection, one: Run, owner: str, seconds: float, at: float) -> int:
    """Take over a run whose lease has run out, or is one's own; returns the epoch. Raises `LeaseLost`.

    `at` (epoch s) is for the audit trail.
    """
    query = sa.select(lease).where(lease.c.run_id == one.id).with_for_update()
    held = conn.execute(query).mappings().first()
    alive = sa.select(run.c.id).where(run.c.id == one.id, run.c.state.in_(HOLDING)).with_for_update()
    if conn.execute(alive).first() is None:
        raise LeaseLost(f"run {one.id} has ended")
    if held is None:
        return grant(conn, one.id, owner, seconds)
    free = (lease.c.owner == owner) | (lease.c.until <= _now(conn))
    change = lease.update().where(lease.c.run_id == one.id, lease.c.epoch == held["epoch"], free)
    values = {"owner": owner, "epoch": held["epoch"] + 1, "until": _now(conn) + seconds}
    if conn.execute(change.values(values)).rowcount != 1:
        raise LeaseLost(f"run {one.id} is carried out by {held['owner']}")
    if held["owner"] != owner:
        reason = f"taken over by {owner} from {held['owner']}, of which nothing was heard"
        log.info("run %s: %s", one.id, reason)
        audit.note_run(conn, one, at, reason=reason)
    return int(held["epoch"]) + 1


def within(
    conn: Connection,
    run_id: int,
    epoch: int,
    seconds: float,
    work: Callable[Concatenate[Connection, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """``work(conn, ...)`` if the lease is still that of `epoch`, which is renewed. Raises `LeaseLost`."""
    mine = lease.update().where(lease.c.run_id == run_id, lease.c.epoch == epoch)
    if conn.execute(mine.values(until=_now(conn) + seconds)).rowcount != 1:
        raise LeaseLost(f"run {run_id} was taken over by another, or has ended")
    return work(conn, *args, **kwargs)


def renew(conn: Connection, owner: str, seconds: float) -> dict[int, int]:
    """Renew all leases of `owner`; the epoch of each by run."""
    change = lease.update().where(lease.c.owner == owner).values(until=_now(conn) + seconds)
    return {row.run_id: row.epoch for row in conn.execute(change.returning(lease.c.run_id, lease.c.epoch))}


def free(conn: Connection, owner: str) -> set[int]:
    """Runs that were begun and that `owner` may take: nobody's, its own, and those whose lease ran out."""
    mine = lease.c.run_id.is_(None) | (lease.c.owner == owner) | (lease.c.until <= _now(conn))
    query = sa.select(run.c.id).outerjoin(lease, lease.c.run_id == run.c.id)
    return set(conn.execute(query.where(run.c.state.in_(HOLDING), mine)).scalars())


def end(conn: Connection, run_id: int) -> None:
    """With the run."""
    conn.execute(lease.delete().where(lease.c.run_id == run_id))


def let_go(conn: Connection, owner: str) -> int:
    """All leases of `owner`, who stops: others need not wait for them. Returns how many."""
    return conn.execute(lease.update().where(lease.c.owner == owner).values(until=0.0)).rowcount


def owners(conn: Connection) -> set[str]:
    """Who holds leases, or held them when they died."""
    held = sa.select(lease.c.owner).where(lease.c.until > 0).distinct()
    return set(conn.execute(held).scalars())


def connected(conn: Connection) -> set[str]:
    """PostgreSQL: the names of all who are connected to this database (`Database.name`)."""
    asked = "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database()"
    return {str(name) for name in conn.execute(sa.text(asked)).scalars()}


def let_all_go(conn: Connection) -> int:
    """Every lease, for the only engine of a store at its start: whoever held them is dead."""
    return conn.execute(lease.update().where(lease.c.until > 0).values(until=0.0)).rowcount


def _now(conn: Connection) -> sa.ColumnElement[float]:
    """Seconds since the epoch, by the store's own clock."""
    if conn.dialect.name == "postgresql":
        return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)
    return (sa.func.julianday("now") - _JULIAN_EPOCH) * 86400.0
