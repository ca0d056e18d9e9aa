"""Schema migrations by Alembic, run by the engine at start and by ``forewarn db upgrade``."""

from pathlib import Path

from alembic import command
from alembic.config import Config as Alembic
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from aiops.store.database import Database, StoreError

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


def upgrade(db: Database) -> tuple[str, str]:
    """Bring the schema to `head`; returns (from, to). Raises `StoreError` for a schema newer than us."""
    before, target = current(db), head()
    if before == target:
        return before, target
    known = {s.revision for s in ScriptDirectory.from_config(_alembic(db)).walk_revisions()}
    if before and before not in known:
        raise StoreError(
            f"the database is at schema {before}, which this version does not know: it was used by a newer "
            "Forewarn; upgrade Forewarn, or point `store` to another database"
        )
    command.upgrade(_alembic(db), "head")
    return before, target
