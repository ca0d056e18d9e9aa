"""Lists for API and console, newest first: a page costs the same however long the list is.

The ids of a page are found first, within an index (`tables_lists`), and its rows only then. What no index
knows (words, labels) is looked for among the `LOOKED` newest rows that fit otherwise; such a page tells how
far was looked, and the next one goes on from there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.lifecycle import AlertState, DeliveryState
from aiops.store.audit import ACTOR
from aiops.store.tables import alert, audit, delivery, problem, run

Row: TypeAlias = dict[str, Any]
Query: TypeAlias = sa.Select[tuple[Any, ...]]
Where: TypeAlias = sa.ColumnElement[bool]
Columns: TypeAlias = sa.ColumnCollection[str, Any]

LOOKED = 20_000
"""Rows that one page looks through for words: 30 ms of them."""
_ALL: Where = sa.true()


class Looked(list[Row]):
    """The rows that were found; ``until``: the id down to which was looked, None: to the very end."""

    until: int | None = None


@dataclass(frozen=True, slots=True)
class ProblemFilter:
    """What a list of problems is narrowed to; empty = no narrowing."""

    states: tuple[str, ...] = ()
    stage: str = ""
    severity: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    text: str = ""
    """Part of the title or of the key, in any case."""

    @property
    def ways(self) -> list[Where]:
        c = problem.c
        known = _equal((c.stage, self.stage), (c.severity, self.severity))
        return [known & (c.state == state) for state in self.states] or [known]

    def hit(self, c: Columns) -> Where:
        hit = _ALL
        for name, value in self.labels:
            hit &= c.labels[name].as_string() == value
        if self.text:
            title = c.title.icontains(self.text, autoescape=True)
            hit = hit & (title | c.key.icontains(self.text, autoescape=True))
        return hit


def problems(conn: Connection, narrow: ProblemFilter, before: int | None, limit: int) -> Looked:
    """One page; ``before``: the last id of the page before."""
    return _page(conn, sa.select(problem), problem, narrow.ways, narrow.hit, before, limit)


@dataclass(frozen=True, slots=True)
class AlertFilter:
    states: tuple[str, ...] = ()
    kind: str = ""
    problem_id: int | None = None
    text: str = ""
    """Part of the labels or of the reason, in any case."""

    @property
    def ways(self) -> list[Where]:
        c = alert.c
        if self.problem_id is not None:
            states = c.state.in_(self.states) if self.states else _ALL
            return [(c.problem_id == self.problem_id) & states & _equal((c.kind, self.kind))]
        states_ = self.states or (tuple(AlertState) if self.kind else ())
        return [(c.state == state) & _equal((c.kind, self.kind)) for state in states_] or [_ALL]

    def hit(self, c: Columns) -> Where:
        if not self.text:
            return _ALL
        labels = sa.cast(c.labels, sa.Text).icontains(self.text, autoescape=True)
        hit: Where = labels | c.reason.icontains(self.text, autoescape=True)
        return hit


def alerts(conn: Connection, narrow: AlertFilter, before: int | None, limit: int) -> Looked:
    """One page; ``before``: the last id of the page before."""
    return _page(conn, sa.select(alert), alert, narrow.ways, narrow.hit, before, limit)


@dataclass(frozen=True, slots=True)
class RunFilter:
    states: tuple[str, ...] = ()
    problem_id: int | None = None
    playbook: str = ""

    @property
    def ways(self) -> list[Where]:
        known = _equal((run.c.problem_id, self.problem_id), (run.c.playbook, self.playbook))
        return [known & (run.c.state == state) for state in self.states] or [known]


def runs(conn: Connection, narrow: RunFilter, before: int | None, limit: int) -> Looked:
    """One page; each with its problem's title."""
    query = sa.select(run, problem.c.title).join(problem, problem.c.id == run.c.problem_id)
    return _page(conn, query, run, narrow.ways, _any, before, limit)


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    state: str = ""
    sink: str = ""
    problem_id: int | None = None

    @property
    def ways(self) -> list[Where]:
        c = delivery.c
        known = _equal((c.problem_id, self.problem_id), (c.sink, self.sink))
        every = tuple(DeliveryState) if self.sink and self.problem_id is None else ()
        states = (self.state,) if self.state else every
        return [known & (c.state == state) for state in states] or [known]


def deliveries(conn: Connection, narrow: DeliveryFilter, before: int | None, limit: int) -> Looked:
    """One page; each with its problem's title."""
    query = sa.select(delivery, problem.c.title).join(problem, problem.c.id == delivery.c.problem_id)
    return _page(conn, query, delivery, narrow.ways, _any, before, limit)


@dataclass(frozen=True, slots=True)
class TrailFilter:
    entity: str = ""
    actor: str = ""
    text: str = ""
    """Part of the reason, in any case."""
    problem_id: int | None = None

    @property
    def ways(self) -> list[Where]:
        """By one index: the problem's, a person's, the entity's."""
        if self.problem_id is not None:
            return [audit.c.problem_id == self.problem_id]
        if self._person:
            return [audit.c.actor == self.actor]
        return [_equal((audit.c.entity, self.entity))]

    @property
    def _person(self) -> bool:
        # most of what is done the engine does
        return bool(self.actor) and (self.actor != ACTOR or not self.entity)

    def hit(self, c: Columns) -> Where:
        hit = _ALL
        if self.entity and (self._person or self.problem_id is not None):
            hit &= c.entity == self.entity
        if self.actor and (not self._person or self.problem_id is not None):
            hit &= c.actor == self.actor
        return hit & c.reason.icontains(self.text, autoescape=True) if self.text else hit


def trail(conn: Connection, narrow: TrailFilter, before: int | None, limit: int) -> Looked:
    """One page of the audit trail."""
    return _page(conn, sa.select(audit), audit, narrow.ways, narrow.hit, before, limit)


def _equal(*pairs: tuple[sa.Column[Any], Any]) -> Where:
    """Of those that are given."""
    return sa.and_(_ALL, *(column == value for column, value in pairs if value not in ("", None)))


def _page(
    conn: Connection,
    query: Query,
    table: sa.Table,
    ways: Sequence[Where],
    hit: Callable[[Columns], Where],
    before: int | None,
    limit: int,
) -> Looked:
    if hit(table.c) is not _ALL:
        return _searched(conn, table, ways, hit, before, limit)
    ids = _newest([table.c.id], ways, before, limit)
    rows = query.join(ids, ids.c.id == table.c.id).order_by(ids.c.id.desc()).limit(limit)
    return Looked(dict(row) for row in conn.execute(rows).mappings())


def _searched(
    conn: Connection,
    table: sa.Table,
    ways: Sequence[Where],
    hit: Callable[[Columns], Where],
    before: int | None,
    limit: int,
) -> Looked:
    # the limit within keeps PostgreSQL from looking for the words first, in all rows
    rows = _newest(list(table.c), ways, before, LOOKED)
    query = sa.select(rows).where(hit(rows.c)).order_by(rows.c.id.desc()).limit(limit)
    found = Looked(dict(row) for row in conn.execute(query).mappings())
    if len(found) < limit:
        ids = _newest([table.c.id], ways, before, LOOKED)
        count, last = conn.execute(sa.select(sa.func.count(), sa.func.min(ids.c.id))).one()
        found.until = last if count == LOOKED else None
    return found


def _any(_: Columns) -> Where:
    return _ALL


def _newest(
    columns: list[sa.Column[Any]], ways: Sequence[Where], before: int | None, limit: int
) -> sa.Subquery:
    """Of the rows below the id `before` that fit one of the `ways`, which exclude each other, the newest."""
    ident = columns[0].table.c.id
    earlier = _ALL if before is None else ident < before
    each = [sa.select(*columns).where(way, earlier).order_by(ident.desc()).limit(limit) for way in ways]
    if len(each) == 1:
        return each[0].subquery("newest")
    # by itself each is the head of an index; of all of them together some would be sorted whole
    together = sa.union_all(*(sa.select(one.subquery()) for one in each)).subquery()
    return sa.select(together).order_by(together.c.id.desc()).limit(limit).subquery("newest")
