"""The outbox: messages to sinks, committed with their cause, sent at least once, in order.

A *stream* is the messages of one problem to one sink, numbered by ``seq`` from 1. A message can be claimed
when every earlier one of its stream is sent. A dead first message holds back the rest of its stream, for
there is no ticket that they could speak to; a later dead one is stepped over, for each body is the whole
ticket and the next one makes up for it (so a resolve is never lost behind a refused update). `replay` revives
a dead message.

A claim is a lease: its owner alone may settle the message until ``lease_until``; after that anybody may claim
it again, which is all there is to recovery from a crash. Times are seconds since the epoch.
"""

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model import lifecycle
from aiops.model.lifecycle import DeliveryState
from aiops.model.problem import NotifyReason
from aiops.plugin import TicketRef
from aiops.store import audit
from aiops.store.settling import Claimed, log_attempt, record_ticket, settle
from aiops.store.tables import delivery, problem, ticket

log = logging.getLogger("aiops.outbox")

DUE, SENT, DEAD = DeliveryState.DUE, DeliveryState.SENT, DeliveryState.DEAD


class Overtaken(Exception):
    """The dead message may not be replayed: later news of its stream has been sent."""


def enqueue(
    conn: Connection,
    problem_id: int,
    sink: str,
    reason: NotifyReason,
    body: Mapping[str, Any],
    message_id: str = "",
    at: float = 0.0,
    team: str = "default",
) -> int:
    """Put a message at the end of its stream, in the caller's transaction; returns the delivery's id.

    `message_id` must be unique and is made when left out; `at` is when it is said, and from when it is due.
    """
    stream = (delivery.c.problem_id == problem_id) & (delivery.c.sink == sink)
    last = conn.execute(sa.select(sa.func.max(delivery.c.seq)).where(stream)).scalar() or 0
    made = conn.execute(
        delivery.insert().values(
            problem_id=problem_id,
            sink=sink,
            seq=last + 1,
            reason=reason.value,
            body=dict(body),
            message_id=message_id or f"msg_{uuid.uuid4().hex}",
            state=DUE.value,
            said=at,
            due=at,
            team=team,
        )
    )
    ident = int((made.inserted_primary_key or (0,))[0])
    log.info(lifecycle.sentence("delivery", ident, "new", DUE, f"{reason} of problem {problem_id} to {sink}"))
    return ident


def waiting(conn: Connection, now: float, sink: str) -> bool:
    """Whether `claim` would find anything; needs no write transaction."""
    return conn.execute(_claimable(now, sink).limit(1)).first() is not None


def claim(
    conn: Connection, now: float, owner: str, lease_seconds: float, limit: int, sink: str
) -> list[Claimed]:
    """Lease up to `limit` due messages of `sink` to `owner`, the longest due first; each counts an attempt.

    Several owners may claim at once: PostgreSQL skips rows that another is claiming, SQLite has one writer.
    """
    query = _claimable(now, sink).limit(limit).with_for_update(skip_locked=True, of=delivery)
    ids = list(conn.execute(query).scalars())
    if not ids:
        return []
    lease = {"lease_until": now + lease_seconds, "lease_owner": owner, "attempts": delivery.c.attempts + 1}
    conn.execute(delivery.update().where(delivery.c.id.in_(ids)).values(lease))
    opened = (ticket.c.problem_id == delivery.c.problem_id) & (ticket.c.sink == delivery.c.sink)
    rows = conn.execute(
        sa.select(delivery, problem.c.key, ticket.c.ref)
        .join(problem, problem.c.id == delivery.c.problem_id)
        .outerjoin(ticket, opened)
        .where(delivery.c.id.in_(ids))
        .order_by(delivery.c.due, delivery.c.id)
    )
    return [_claimed(row) for row in rows.mappings()]


def succeed(
    conn: Connection, claimed: Claimed, owner: str, at: float, seconds: float, got: TicketRef
) -> bool:
    """The sink took it: sent, and its ticket recorded. False, changing nothing, when the lease was lost."""
    lifecycle.check(DUE, SENT)
    if not settle(conn, claimed, owner, state=SENT.value, sent=at, error=""):
        return False
    log_attempt(conn, claimed, at, seconds, "")
    record_ticket(conn, claimed, got, at)
    words = f"{claimed.sink} took {claimed.reason!s} as {got.ref}, attempt {claimed.attempts}"
    _note(conn, claimed.id, claimed.problem_id, DUE, SENT, words, at, claimed.team)
    return True


def retry(
    conn: Connection,
    claimed: Claimed,
    owner: str,
    at: float,
    seconds: float,
    error: str,
    due: float,
    counted: bool = True,
) -> bool:
    """The attempt failed; it is due again at `due`. False, changing nothing, when the lease was lost.

    `counted` is false when the sink could not be reached at all: that says nothing against the message.
    """
    kept = claimed.attempts if counted else claimed.attempts - 1
    if not settle(conn, claimed, owner, due=due, error=error, attempts=kept):
        return False
    log_attempt(conn, claimed, at, seconds, error)
    return True


def bury(conn: Connection, claimed: Claimed, owner: str, at: float, seconds: float, error: str) -> bool:
    """It will not be sent until a person replays it. False, changing nothing, when the lease was lost."""
    lifecycle.check(DUE, DEAD)
    if not settle(conn, claimed, owner, state=DEAD.value, error=error):
        return False
    log_attempt(conn, claimed, at, seconds, error)
    words = f"attempt {claimed.attempts} to {claimed.sink} failed: {error}"
    _note(conn, claimed.id, claimed.problem_id, DUE, DEAD, words, at, claimed.team)
    return True


def replay(conn: Connection, delivery_id: int, at: float, actor: str = audit.ACTOR) -> None:
    """Revive a dead message, due at once.

    Raises LookupError (no such delivery), IllegalTransition (not dead) or `Overtaken`.
    """
    row = conn.execute(sa.select(delivery).where(delivery.c.id == delivery_id)).mappings().first()
    if row is None:
        raise LookupError(f"there is no delivery {delivery_id}")
    lifecycle.check(DeliveryState(row["state"]), DUE)
    stream = (delivery.c.problem_id == row["problem_id"]) & (delivery.c.sink == row["sink"])
    later = stream & (delivery.c.seq > row["seq"]) & (delivery.c.state == SENT)
    if overtaken := conn.execute(sa.select(sa.func.max(delivery.c.seq)).where(later)).scalar():
        raise Overtaken(
            f"delivery {delivery_id} is message {row['seq']} of its problem to {row['sink']}; message "
            f"{overtaken}, which tells the whole ticket anew, is sent already: repeating it is old news"
        )
    # an attempt may have arrived before it died: one stays counted, so that the next searches first
    revived = {"state": DUE.value, "due": at, "attempts": min(1, row["attempts"])}
    conn.execute(delivery.update().where(delivery.c.id == delivery_id).values(revived))
    _note(conn, delivery_id, row["problem_id"], DEAD, DUE, f"replayed by {actor}", at, row["team"], actor)


def replay_all(conn: Connection, sink: str, at: float, actor: str = audit.ACTOR) -> int:
    """Revive every dead message of `sink` that is not overtaken; returns how many."""
    revived, last = 0, 0
    while some := replay_some(conn, sink, last, at, actor):
        revived, last = revived + some.revived, some.last
    return revived


@dataclass(frozen=True, slots=True)
class Replayed:
    """Of one lot of dead messages: how many were revived, how many were old news, and the last one's id."""

    revived: int
    overtaken: int
    last: int


def replay_some(
    conn: Connection, sink: str, after: int, at: float, actor: str = audit.ACTOR, limit: int = 200
) -> Replayed | None:
    """Revive the next `limit` dead messages with an id above `after`; None when there are none.

    `sink` empty: of every sink. Many are revived in several lots, so that others write in between.
    """
    query = sa.select(delivery.c.id).where(delivery.c.state == DEAD, delivery.c.id > after)
    if sink:
        query = query.where(delivery.c.sink == sink)
    ids = list(conn.execute(query.order_by(delivery.c.id).limit(limit)).scalars())
    overtaken = 0
    for ident in ids:
        try:
            replay(conn, ident, at, actor)
        except Overtaken as why:
            overtaken += 1
            log.info("not replayed: %s", why)
    return Replayed(len(ids) - overtaken, overtaken, ids[-1]) if ids else None


def dead_by_sink(conn: Connection) -> dict[str, int]:
    """Sink -> how many dead messages it has; those without any are left out."""
    query = sa.select(delivery.c.sink, sa.func.count()).where(delivery.c.state == DEAD)
    return {str(sink): int(count) for sink, count in conn.execute(query.group_by(delivery.c.sink)).all()}


def owners(conn: Connection) -> set[str]:
    """Who holds leases, or held them when they died."""
    held = (delivery.c.state == DUE.value) & (delivery.c.lease_until > 0)
    return set(conn.execute(sa.select(delivery.c.lease_owner).where(held).distinct()).scalars())


def release_all(conn: Connection, due: float = 0.0, owner: str = "") -> int:
    """Free every lease, for the one engine of a store at its start: whoever held them is dead.

    With `owner` only those of that one. They are due at `due`: what was asked a moment before that death has
    to take effect first.
    """
    held = (delivery.c.state == DUE.value) & (delivery.c.lease_until > 0)
    if owner:
        held &= delivery.c.lease_owner == owner
    later = sa.case((delivery.c.due < due, due), else_=delivery.c.due)
    return conn.execute(delivery.update().where(held).values(lease_until=0.0, due=later)).rowcount


def _claimable(now: float, sink: str) -> sa.Select[tuple[int]]:
    """Due messages that head their stream.

    The head is a scalar subquery because PostgreSQL makes a join over the whole backlog of ``NOT EXISTS``.
    """
    other = delivery.alias("other")
    same_stream = (other.c.problem_id == delivery.c.problem_id) & (other.c.sink == delivery.c.sink)
    in_the_way = (other.c.state == DUE) | ((other.c.state == DEAD) & (other.c.seq == 1))
    head = sa.select(sa.func.min(other.c.seq)).where(same_stream, in_the_way).scalar_subquery()
    return (
        sa.select(delivery.c.id)
        .where(delivery.c.sink == sink, delivery.c.state == DUE, delivery.c.due <= now)
        .where(delivery.c.lease_until <= now, delivery.c.seq == head)
        .order_by(delivery.c.due)
    )


def _note(
    conn: Connection,
    ident: int,
    problem_id: int,
    current: DeliveryState,
    to: DeliveryState,
    reason: str,
    at: float,
    team: str,
    actor: str = audit.ACTOR,
) -> None:
    level = logging.WARNING if to is DEAD else logging.INFO
    log.log(level, lifecycle.sentence("delivery", ident, current, to, reason))
    audit.note(
        conn,
        at=at,
        entity="delivery",
        entity_id=ident,
        current=current,
        to=to,
        reason=reason,
        problem_id=problem_id,
        actor=actor,
        team=team,
    )


def _claimed(row: sa.RowMapping) -> Claimed:
    same = ("id", "problem_id", "key", "sink", "seq", "body", "message_id", "attempts", "said", "team")
    return Claimed(
        **{name: row[name] for name in same}, reason=NotifyReason(row["reason"]), ref=row["ref"] or ""
    )
