"""The audit trail's seals: a hash chain over its rows, so that a change of what is past shows.

Rows are sealed soon after they were written, in the order of sealing: writers of the trail never wait for
each other. Each seal holds the SHA-256 of its row, and of the seal before it together with that; whoever
keeps the newest chain value elsewhere (``forewarn audit verify`` prints it) can prove the whole past with it.
A row that retention took away leaves its seal, so that the chain still closes.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.store.tables import audit, seal

START = "0" * 64
"""What the first seal follows."""

_LOCK = 0x5EA15
"""PostgreSQL advisory lock: one engine seals at a time."""

_BATCH = 2000

_LATE = 10_000
"""Rows behind the newest sealed one among which one may still turn up: its writer committed late."""


@dataclass(slots=True)
class Verdict:
    """What a look at the whole chain found. Numbers are those of audit rows."""

    sealed: int = 0
    chain: str = START
    """The newest seal's chain value."""
    unsealed: int = 0
    """Rows that are too new to be sealed yet."""
    purged: int = 0
    """Rows that are gone: by retention, unless they are younger than that."""
    changed: list[int] = field(default_factory=list)
    """Rows that are not what was sealed."""
    broken: list[int] = field(default_factory=list)
    """Rows whose seal does not follow the one before."""

    @property
    def intact(self) -> bool:
        return not (self.changed or self.broken)


def wanting(conn: Connection) -> bool:
    """Whether there are rows to seal."""
    return conn.execute(_unsealed(conn, whole=False).limit(1)).first() is not None


def close(conn: Connection, whole: bool = False) -> int:
    """Seal the rows that are not yet, oldest first; how many were. `whole`: all, not just those of late."""
    if conn.dialect.name == "postgresql":
        conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    last = conn.execute(sa.select(seal.c.chain).order_by(seal.c.id.desc()).limit(1)).scalar_one_or_none()
    missing = _unsealed(conn, whole)
    made, chain = [], last or START
    for row in conn.execute(missing if whole else missing.limit(_BATCH)).mappings():
        digest = digest_of(row)
        chain = following(chain, digest)
        made.append({"audit_id": row["id"], "digest": digest, "chain": chain, "team": row["team"]})
    if made:
        conn.execute(seal.insert(), made)
    return len(made)


def verify(conn: Connection) -> Verdict:
    """Follow the chain from its start and compare each row with its seal."""
    found, chain = Verdict(), START
    for row in _sealed(conn):
        found.sealed += 1
        chain = following(chain, row["digest"])
        if chain != row["chain"]:
            found.broken.append(row["audit_id"])
            chain = row["chain"]
        if row["id"] is None:
            found.purged += 1
        elif digest_of(row) != row["digest"]:
            found.changed.append(row["audit_id"])
    found.chain = chain
    unsealed = sa.select(sa.func.count()).select_from(_unsealed(conn, whole=True).subquery())
    found.unsealed = int(conn.execute(unsealed).scalar_one())
    return found


def knows(conn: Connection, chain: str) -> bool:
    """Whether a chain value that was noted earlier is one of the seals'."""
    return conn.execute(sa.select(seal.c.id).where(seal.c.chain == chain).limit(1)).first() is not None


def export(conn: Connection) -> Iterator[dict[str, Any]]:
    """Every sealed row with its seal, in the chain's order: what another party needs to verify by itself."""
    for row in _sealed(conn):
        content = None if row["id"] is None else _content(row)
        yield {
            "audit_id": row["audit_id"],
            "row": content,
            "digest": row["digest"],
            "chain": row["chain"],
        }


def digest_of(row: Any) -> str:
    """SHA-256 of a row, as hex: of its columns as JSON with sorted keys and no blanks."""
    text = json.dumps(_content(row), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def following(chain: str, digest: str) -> str:
    """The chain value after `chain` for a row of `digest`."""
    return hashlib.sha256(f"{chain}{digest}".encode()).hexdigest()


def _content(row: Any) -> dict[str, Any]:
    return {column.name: row[column.name] for column in audit.columns}


def _unsealed(conn: Connection, whole: bool) -> sa.Select[Any]:
    query = sa.select(audit).where(~sa.exists().where(seal.c.audit_id == audit.c.id)).order_by(audit.c.id)
    newest = conn.execute(sa.select(sa.func.max(seal.c.audit_id))).scalar_one_or_none()
    return query if whole or newest is None else query.where(audit.c.id > newest - _LATE)


def _sealed(conn: Connection) -> Iterator[Any]:
    """Seals in the chain's order, each with its row where that is still there; read in batches."""
    columns = [seal.c.id.label("seal"), seal.c.audit_id, seal.c.digest, seal.c.chain, *audit.columns]
    joined = seal.outerjoin(audit, audit.c.id == seal.c.audit_id)
    after = 0
    while True:
        query = sa.select(*columns).select_from(joined).where(seal.c.id > after).order_by(seal.c.id)
        batch = conn.execute(query.limit(_BATCH)).mappings().all()
        yield from batch
        if not batch:
            return
        after = batch[-1]["seal"]
