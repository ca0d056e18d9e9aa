"""The audit trail, as it is read: page by page, and as it grows."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.store.lists import TrailFilter
from aiops.store.lists import trail as page
from aiops.store.tables import audit

__all__ = ["TrailFilter", "after", "newest", "page"]


def after(conn: Connection, ident: int, limit: int) -> list[dict[str, Any]]:
    """Rows of the audit trail with greater ids, oldest first."""
    return _rows(conn, sa.select(audit).where(audit.c.id > ident).order_by(audit.c.id).limit(limit))


def newest(conn: Connection) -> int:
    return conn.execute(sa.select(sa.func.max(audit.c.id))).scalar() or 0


def _rows(conn: Connection, query: sa.Select[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in conn.execute(query).mappings()]
