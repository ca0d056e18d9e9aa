"""What is written of one attempt: the message itself, the attempt's log, and its ticket."""

import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import DeliveryState
from aiops.model.problem import NotifyReason
from aiops.plugin import TicketRef
from aiops.store.tables import attempt, delivery, ticket

log = logging.getLogger("aiops.outbox")

DUE = DeliveryState.DUE


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message under lease, with all that an attempt needs."""

    id: int
    problem_id: int
    key: str
    """The problem's correlation key."""
    sink: str
    seq: int
    reason: NotifyReason
    body: dict[str, Any]
    message_id: str
    attempts: int
    """Counts this one: 1 on the first."""
    said: float
    team: str
    ref: str
    """The ticket's reference; empty when there is no ticket yet."""

    @property
    def title(self) -> str:
        """For logs: ``delivery 7 (opened of problem 42 to itsm)``."""
        return f"delivery {self.id} ({self.reason} of problem {self.problem_id} to {self.sink})"


def settle(conn: Connection, claimed: Claimed, owner: str, **changed: Any) -> bool:
    """Change the row and give the lease back, if `owner` still has it; whether it did."""
    # a later claim by the same process counts one attempt more
    mine = {"b_id": claimed.id, "b_owner": owner, "b_attempts": claimed.attempts}
    news = {f"new_{name}": value for name, value in changed.items()}
    if conn.execute(_settling(tuple(changed)), mine | news).rowcount:
        return True
    log.warning("%s: the lease ran out before the attempt ended; its new holder decides", claimed.title)
    return False


@lru_cache(maxsize=16)
def _settling(names: tuple[str, ...]) -> sa.Update:
    """Made once: to build a statement takes SQLAlchemy longer than SQLite takes to run it."""
    c, bound = delivery.c, sa.bindparam
    mine = (c.id == bound("b_id")) & (c.lease_owner == bound("b_owner"))
    held = mine & (c.attempts == bound("b_attempts")) & (c.state == DUE)
    news: dict[str, Any] = {name: bound(f"new_{name}") for name in names}
    return delivery.update().where(held).values(lease_until=0.0, lease_owner="", **news)


@lru_cache(maxsize=4)
def _ticketing(names: tuple[str, ...]) -> sa.Update:
    stream = (ticket.c.problem_id == sa.bindparam("b_problem")) & (ticket.c.sink == sa.bindparam("b_sink"))
    return ticket.update().where(stream).values({name: sa.bindparam(f"new_{name}") for name in names})


_ATTEMPT, _TICKET = attempt.insert(), ticket.insert()


def log_attempt(conn: Connection, claimed: Claimed, at: float, seconds: float, error: str) -> None:
    row = {"delivery_id": claimed.id, "at": at, "seconds": seconds, "ok": not error, "error": error}
    conn.execute(_ATTEMPT, row | {"team": claimed.team})


def record_ticket(conn: Connection, claimed: Claimed, got: TicketRef, at: float) -> None:
    values: dict[str, Any] = {
        "ref": got.ref,
        "state": "resolved" if claimed.reason is NotifyReason.RESOLVED else "open",
        "updated": at,
    }
    if got.url:
        values["url"] = got.url
    news: dict[str, Any] = {f"new_{name}": value for name, value in values.items()}
    stream = {"b_problem": claimed.problem_id, "b_sink": claimed.sink}
    if not conn.execute(_ticketing(tuple(values)), news | stream).rowcount:
        values |= {"problem_id": claimed.problem_id, "sink": claimed.sink, "created": at}
        conn.execute(_TICKET, values | {"team": claimed.team})
