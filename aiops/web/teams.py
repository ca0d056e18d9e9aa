"""What somebody of some teams gets of the engine: their own, by one rule for every route."""

from collections.abc import Sequence
from typing import Any

from fastapi import HTTPException

from aiops.engine.messages import Handling, Message, concerned
from aiops.store import views
from aiops.store.scope import ScopedDatabase
from aiops.store.tables import problem
from aiops.web.errors import not_found
from aiops.web.ports import Engine
from aiops.web.series import Finder, Found

INSTALLATION = (
    "/api/v1/accounts",
    "/api/v1/autonomy",
    "/api/v1/config",
    "/api/v1/holds",
    "/api/v1/ledger/pages",
    "/api/v1/patterns",
    "/api/v1/slis",
    "/api/v1/tokens",
    "/api/v1/topology",
    "/api/v1/uplift",
    "/-/reload",
    "/access/accounts",
    "/access/tokens",
    "/patterns",
    "/settings",
    "/topology",
    "/uplift",
)
"""Paths of what is everybody's: who is of some teams only does not get there."""
OWN = ("/access", "/access/password", "/sign-in", "/sign-out")
"""Where people do what is about themselves."""
THROUGH = frozenset(
    ("clock", "config", "leads", "metrics", "outbox_wake", "playbooks", "ready", "runs_wake", "team_of")
)
"""What the engine says that tells nothing of any team; `index`, `recent` and `ready_slots` are asked about
series that were found in the team's rows, or by `Finder`."""
SERIES = frozenset(("index", "recent", "ready_slots"))


class TeamView:
    """An engine, as `teams` see it: their rows of the store, their sources, and nothing of everybody's."""

    def __init__(self, engine: Engine, teams: frozenset[str]) -> None:
        self._engine, self.teams = engine, teams
        self.db = ScopedDatabase(engine.db, teams)

    def __getattr__(self, name: str) -> Any:
        if name in THROUGH or name in SERIES:
            return getattr(self._engine, name)
        raise HTTPException(403, "this is not for the people of one team")

    def sources(self) -> Sequence[Any]:
        """Those of the teams."""
        config = self._engine.config
        teams = {source.name: source.team or config.team for source in config.sources}
        return [one for one in self._engine.sources() if teams.get(one.name) in self.teams]

    async def tell(self, message: Message) -> None:
        """Raises 404 for a message about another team's problem."""
        about = concerned(message) if isinstance(message, Handling) else (getattr(message, "problem_id", 0),)
        for ident in about:
            if await self.db.read(views.get, problem, ident) is None:
                raise not_found("problem", ident)
        await self._engine.tell(message)


def refuse(path: str) -> None:
    """Raises 403 where `path`, a route's, is everybody's."""
    if any(path == each or path.startswith(f"{each}/") for each in INSTALLATION):
        raise HTTPException(403, "this is everybody's, and not for the people of one team")


def teams_of(engine: Any) -> frozenset[str]:
    """Whose view `engine` is; none: everybody's."""
    return engine.teams if isinstance(engine, TeamView) else frozenset()


class TeamFinder:
    """As `Finder`, for the series of `teams`."""

    def __init__(self, finder: Finder, engine: Engine, teams: frozenset[str]) -> None:
        self._finder, self._engine, self._teams = finder, engine, teams

    def search(self, query: str, after: int, limit: int) -> tuple[list[Found], int | None]:
        """Raises `SelectorError`."""
        found: list[Found] = []
        more: int | None = after
        while more is not None and len(found) <= limit:
            some, more = self._finder.search(query, more, limit)
            found += [one for one in some if self._ours(one)]
        if len(found) <= limit:
            return found, None
        return found[:limit], found[limit].slot

    async def get(self, ident: str) -> Found | None:
        """The series that the fingerprint names, if it is theirs."""
        found = await self._finder.get(ident)
        return found if found and self._ours(found) else None

    def _ours(self, one: Found) -> bool:
        return (dict(one.labels).get("team") or self._engine.team_of(one.slot)) in self._teams
