"""The audit trail, as it is read: page by page, and as it grows."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.store.tables import audit


@dataclass(frozen=True, slots=True)
class TrailFilter:
    entity: str = ""
    actor: str = ""
    text: str = ""
    """Part of the reason, in any case."""

    def apply(self, query: sa.Select[Any]) -> sa.Select[Any]:
        if self.entity:
            query = query.where(audit.c.entity == self.entity)
        if self.actor:
            query = query.where(audit.c.actor == self.actor)
        if self.text:
            query = query.where(audit.c.reason.icontains(self.text, autoescape=True))
        return query


def page(conn: Connection, narrow: TrailFilter, before: int | None, limit: int) -> list[dict[str, Any]]:
    """One page of the audit trail, newest first."""
    query = narrow.apply(sa.select(audit))
    if before is not None:
        query = query.where(audit.c.id < before)
    return _rows(conn, query.order_by(audit.c.id.desc()).limit(limit))


def after(conn: Connection, ident: int, limit: int) -> list[dict[str, Any]]:
    """Rows of the audit trail with greater ids, oldest first."""
    return _rows(conn, sa.select(audit).where(audit.c.id > ident).order_by(audit.c.id).limit(limit))


def newest(conn: Connection) -> int:
    return conn.execute(sa.select(sa.func.max(audit.c.id))).scalar() or 0


def _rows(conn: Connection, query: sa.Select[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in conn.execute(query).mappings()]
