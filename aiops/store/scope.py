"""Whose rows a connection sees and changes: those of some teams, whatever is asked of it.

Every table has its `team`. A statement on a narrowed connection gets the condition on it in every part that
reads or changes a table, subqueries too; what is inserted is the team's. So a query that was written without
a thought of teams is narrowed as well, and text that cannot be narrowed is refused.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.sql import visitors
from sqlalchemy.sql.dml import UpdateBase

if TYPE_CHECKING:
    from aiops.store.database import Database

P = ParamSpec("P")
T = TypeVar("T")

OPTION = "forewarn_teams"
BELONGS = frozenset(("evidence", "step", "playbook_revision"))
"""Tables that are only asked for what belongs to a row which was found: whose it is was decided there."""


class Unscoped(Exception):
    """The statement cannot be narrowed to a team, and was not carried out."""


class ScopedDatabase:
    """As `Database`, for `teams` only."""

    def __init__(self, db: "Database", teams: frozenset[str]) -> None:
        """Raises ValueError without a team."""
        if not teams:
            raise ValueError("a scope needs a team")
        if not event.contains(db.engine, "before_execute", _before):  # who has no teams pays nothing
            event.listen(db.engine, "before_execute", _before, retval=True)
        self._db, self._teams = db, teams

    async def run(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._db.run(self._inside(work), *args, **kwargs)

    async def read(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._db.read(self._inside(work), *args, **kwargs)

    def _inside(
        self, work: Callable[Concatenate[Connection, P], T]
    ) -> Callable[Concatenate[Connection, P], T]:
        def narrowed(conn: Connection, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return work(conn.execution_options(**{OPTION: self._teams}), *args, **kwargs)

        return narrowed


def _before(conn: Connection, clause: Any, multi: Any, single: Any, options: Any) -> tuple[Any, Any, Any]:
    teams = options.get(OPTION)
    if not teams:
        return clause, multi, single
    if isinstance(clause, sa.Insert):
        return _owned(clause, teams), [_owned_row(row, teams) for row in multi], _owned_row(single, teams)
    if not isinstance(clause, sa.Select | sa.CompoundSelect | sa.Update | sa.Delete):
        raise Unscoped(f"not for some teams: {str(clause)[:200]}")

    def narrow(part: Any) -> None:
        froms = [part.table] if isinstance(part, UpdateBase) else part.get_final_froms()
        for table, outer in {
            id(one): (one, outer) for each in froms for one, outer in _tables(each)
        }.values():
            mine = table.c.team.in_(sorted(teams))
            part._where_criteria += (mine | table.c.team.is_(None) if outer else mine,)

    narrowed = visitors.cloned_traverse(clause, {}, dict.fromkeys(("select", "update", "delete"), narrow))
    return narrowed, multi, single


def _tables(source: Any, outer: bool = False) -> Iterator[tuple[Any, bool]]:
    """Tables, and aliases of tables, that `source` reads from directly, and whether they may have no row."""
    if isinstance(source, sa.Join):
        yield from _tables(source.left, outer or source.full)
        yield from _tables(source.right, outer or source.full or source.isouter)
        return
    table = source if isinstance(source, sa.Table) else getattr(source, "element", None)
    if isinstance(table, sa.Table) and table.name not in BELONGS:
        yield source, outer


def _owned(clause: sa.Insert, teams: frozenset[str]) -> sa.Insert:
    values = getattr(clause, "_values", None)
    if not values:
        return clause
    given = values.get("team", values.get(clause.table.c.team))
    return clause if getattr(given, "value", None) in teams else clause.values(team=min(teams))


def _owned_row(row: Any, teams: frozenset[str]) -> Any:
    return {**row, "team": min(teams)} if row and row.get("team") not in teams else row
