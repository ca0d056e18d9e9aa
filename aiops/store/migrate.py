"""Schema migrations by Alembic, run by the engine at start and by ``forewarn db upgrade``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from aiops.store.database import Database, StoreError

_LOCK = 0x5C4E3A
"""PostgreSQL advisory lock: one migrates at a time."""
FOLDER = Path(__file__).parent / "migrations"


def head() -> str:
    """The newest revision that this version knows."""
    return max(known())


def current(db: Database) -> str:
    """The database's revision; empty when it has none yet."""
    with db.engine.connect() as conn:
        if not sa.inspect(conn).has_table("alembic_version"):
            return ""
        return (
            conn.execute(
                sa.select(sa.column("version_num")).select_from(sa.table("alembic_version"))
            ).scalar()
            or ""
        )


def known() -> set[str]:
    """Every revision that this version knows: the chain is linear, and files bear their revisions' names."""
    return {file.name.partition("_")[0] for file in (FOLDER / "versions").glob("[0-9]*_*.py")}


def upgrade(db: Database, target: str = "") -> tuple[str, str]:
    """Bring the schema to `target`, or to `head`; returns (from, to).

    Engines that start together take turns. Raises `StoreError` for a schema newer than us.
    """
    target = target or head()
    if current(db) == target:
        return target, target
    with _alone(db):
        return _upgrade(db, target)


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
    # hardly ever needed at a start, and takes a sixth of a start's processor time to load
    from alembic import command
    from alembic.config import Config as Alembic

    config = Alembic()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["engine"] = db.engine
    command.upgrade(config, target)
    return before, target
