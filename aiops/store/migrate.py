"""Schema migrations by Alembic, run by the engine at start and by ``forewarn db upgrade``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as Alembic
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from aiops.store.database import Database, StoreError

_LOCK = 0x5C4E3A
"""PostgreSQL advisory lock: one migrates at a time."""
FOLDER = Path(__file__).parent / "migrations"


def _alembic(db: Database) -> Alembic:
    config = Alembic()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["engine"] = db.engine
    return config


def head() -> str:
    """The newest revision that this version knows."""
    config = Alembic()
    config.set_main_option("script_location", str(FOLDER))
    return ScriptDirectory.from_config(config).get_current_head() or ""


def current(db: Database) -> str:
    """The database's revision; empty when it has none yet."""
    with db.engine.connect() as conn:
        return MigrationContext.configure(conn).get_current_revision() or ""


def known() -> set[str]:
    """Every revision that this version knows."""
    config = Alembic()
    config.set_main_option("script_location", str(FOLDER))
    return {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}


def upgrade(db: Database, target: str = "") -> tuple[str, str]:
    """Bring the schema to `target`, or to `head`; returns (from, to).

    Engines that start together take turns. Raises `StoreError` for a schema newer than us.
    """
    with _alone(db):
        return _upgrade(db, target or head())


@contextmanager
def _alone(db: Database) -> Iterator[None]:
    """PostgreSQL: nobody else migrates meanwhile. On SQLite the engine's own lock does it."""
    if db.is_sqlite:
        yield
        return
    # no transaction: one that waits while a large table gets its index would be ended as frozen
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(sa.select(sa.func.pg_advisory_lock(_LOCK)))
        try:
            yield
        finally:
            conn.execute(sa.select(sa.func.pg_advisory_unlock(_LOCK)))


def _upgrade(db: Database, target: str) -> tuple[str, str]:
    before = current(db)
    if before == target:
        return before, target
    if before and before not in known():
        raise StoreError(
            f"the database is at schema {before}, which this version does not know: it was used by a newer "
            "Forewarn; upgrade Forewarn, or point `store` to another database"
        )
    command.upgrade(_alembic(db), target)
    return before, target
