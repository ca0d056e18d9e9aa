"""What came in from ticket systems: whose problem a ticket is, and what has been heard already.

What was heard is kept in the audit trail, as ``entity`` ticket with the change's own id: so people see it in
the timeline, and it is not heard twice, whether by webhook, by polling or after a restart.
"""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.plugin import SinkChange
from aiops.store import audit as trail
from aiops.store.tables import audit, ticket

LONGEST_ID = 64


@dataclass(frozen=True, slots=True)
class Known:
    """A ticket of ours."""

    problem_id: int
    ref: str
    heard: frozenset[str]
    """Ids of changes."""


def known(conn: Connection, sink: str, ref: str) -> Known | None:
    """The ticket `ref` of `sink`; None where it is none of ours."""
    query = sa.select(ticket.c.problem_id).where(ticket.c.sink == sink, ticket.c.ref == ref)
    problem_id = conn.execute(query).scalar()
    if problem_id is None:
        return None
    rows = sa.select(audit.c.entity_id).where(audit.c.problem_id == problem_id, audit.c.entity == "ticket")
    return Known(problem_id, ref, frozenset(conn.execute(rows).scalars()))


def note(conn: Connection, problem_id: int, sink: str, change: SinkChange, now: float) -> None:
    """It has been heard."""
    said = f": {change.text}" if change.text else ""
    trail.note(
        conn,
        at=now,
        entity="ticket",
        entity_id=change.id[:LONGEST_ID],
        current="open" if change.kind != "reopened" else "closed",
        to=change.kind,
        reason=f"{sink} {change.ref} {change.kind} by {change.by or 'somebody'}{said}",
        problem_id=problem_id,
        actor=(change.by or sink)[:128],
    )
