"""Log templates, to be looked up by the names in alerts. Plain functions; the caller owns the transaction."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.store.lists import LOOKED
from aiops.store.rows import spelled
from aiops.store.tables import alert, log_template, problem

_AT_ONCE = 500


def save(conn: Connection, rows: Sequence[Mapping[str, Any]], team: str = "default") -> None:
    """Insert or update by name: ``{name, text, level, lines, first_seen, last_seen}``; the first stays."""
    known = _known(conn, [row["name"] for row in rows], team)
    new = [{**row, "team": team} for row in rows if row["name"] not in known]
    if new:
        conn.execute(log_template.insert(), new)
    old = [
        {f"new_{key}": value for key, value in row.items() if key != "first_seen"}
        for row in rows
        if row["name"] in known
    ]
    if old:
        changed: dict[str, Any] = {
            key: sa.bindparam(f"new_{key}") for key in ("text", "level", "lines", "last_seen")
        }
        mine = (log_template.c.name == sa.bindparam("new_name")) & (log_template.c.team == team)
        conn.execute(log_template.update().where(mine).values(**changed, merged_into=None), old)


def merge(conn: Connection, merged: Iterable[tuple[str, str]], team: str = "default") -> None:
    """(name that is gone, name it went into): also for those that went into it before."""
    for gone, into in merged:
        mine = log_template.c.name.in_([gone]) | (log_template.c.merged_into == gone)
        conn.execute(
            log_template.update().where(mine & (log_template.c.team == team)).values(merged_into=into)
        )


def find(conn: Connection, name: str, team: str = "default") -> dict[str, Any] | None:
    """One template by name."""
    query = sa.select(log_template).where(log_template.c.name == name, log_template.c.team == team)
    row = conn.execute(query).mappings().first()
    return dict(row) if row else None


def alerts_of(conn: Connection, name: str, text: str, limit: int) -> list[dict[str, Any]]:
    """Alerts about the template, or that show lines of it, the latest first, among the `LOOKED` newest.

    Each with its problem's ``title`` (None where it became no problem).
    """
    newest = sa.select(alert).order_by(alert.c.id.desc()).limit(LOOKED).subquery()
    labels, examples = sa.cast(newest.c.labels, sa.Text), sa.cast(newest.c.examples, sa.Text)
    about = [labels.contains(part[1:-1], autoescape=True) for part in spelled({"template": name})]
    shows = [examples.startswith(part[:-1], autoescape=True) for part in spelled([text])]
    query = sa.select(newest, problem.c.title).outerjoin(problem, problem.c.id == newest.c.problem_id)
    rows = conn.execute(query.where(sa.or_(*about, *shows)).order_by(newest.c.id.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]


ORDERS = {
    "lines": (log_template.c.lines.desc(), log_template.c.id),
    "newest": (log_template.c.first_seen.desc(), log_template.c.id),
    "latest": (log_template.c.last_seen.desc(), log_template.c.id),
}


def listed(
    conn: Connection, text: str, order: str, skip: int, limit: int, team: str = "default"
) -> list[dict[str, Any]]:
    """Templates that hold `text`, those that went into others left out; `order` is one of `ORDERS`."""
    query = sa.select(log_template).where(log_template.c.team == team, log_template.c.merged_into.is_(None))
    if text:
        hit = log_template.c.text.icontains(text, autoescape=True)
        query = query.where(hit | (log_template.c.name == text))
    query = query.order_by(*ORDERS[order]).offset(skip).limit(limit)
    return [dict(row) for row in conn.execute(query).mappings()]


def purge(conn: Connection, before: float) -> int:
    """Delete what was last seen before then (epoch s); returns how many."""
    return conn.execute(log_template.delete().where(log_template.c.last_seen < before)).rowcount


def _known(conn: Connection, names: Sequence[str], team: str) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(names), _AT_ONCE):
        part = log_template.c.name.in_(names[start : start + _AT_ONCE])
        found |= set(conn.scalars(sa.select(log_template.c.name).where(part, log_template.c.team == team)))
    return found
