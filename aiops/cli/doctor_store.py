"""What `forewarn doctor` sees of the store: whether it answers, its schema, its health, its clock."""

from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from aiops.cli import doctor_keys
from aiops.cli.doctor_there import skew
from aiops.cli.finding import Finding, fail, ok, warn
from aiops.config import Config
from aiops.engine.clock import SystemClock
from aiops.store import migrate
from aiops.store.database import Database, StoreError

LEAST_POSTGRESQL = 130000
_RESTORE = "stop Forewarn and `forewarn restore --replace` the newest backup"


def store(config: Config, now: float) -> list[Finding]:
    """Findings on the database; a SQLite file that is not there yet is not made."""
    file = Path(config.store.removeprefix("sqlite:///"))
    if config.store.startswith("sqlite:///") and not file.exists():
        return [ok("store", f"{file} is made at the first start")]
    try:
        db = Database(config.store)
    except (StoreError, OSError) as why:
        return [fail("store", str(why), "correct `store`")]
    try:
        return [*_asked(db), *doctor_keys.keys(db, config)]
    except SQLAlchemyError as why:
        said = str(getattr(why, "orig", None) or why).strip().splitlines()[0]
        damaged = "malformed" in said or "not a database" in said
        return [
            fail("store", said, _RESTORE if damaged else "is the server up, and are address and user right?")
        ]
    finally:
        db.close()


def _asked(db: Database) -> Iterator[Finding]:
    with db.read_only() as conn:
        if db.is_sqlite:
            found = [str(row[0]) for row in conn.exec_driver_sql("PRAGMA quick_check(3)")]
            if found == ["ok"]:
                yield ok("store", f"SQLite {_sqlite(conn)}, whole")
            else:
                yield fail("store", f"SQLite's file is damaged: {found[0]}", _RESTORE)
        else:
            yield _server(conn)
            theirs = float(conn.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
            yield skew("the store", theirs, SystemClock().now(), exact=0.05)
    yield _schema(db)


def _sqlite(conn: sa.Connection) -> str:
    return str(conn.exec_driver_sql("SELECT sqlite_version()").scalar_one())


def _server(conn: sa.Connection) -> Finding:
    number = int(conn.exec_driver_sql("SHOW server_version_num").scalar_one())
    said = f"PostgreSQL {number // 10000}.{number % 10000}"
    if number < LEAST_POSTGRESQL:
        return fail("store", said, "Forewarn needs PostgreSQL 13 or newer")
    if conn.exec_driver_sql("SELECT pg_is_in_recovery()").scalar_one():
        return fail("store", f"{said} is a standby: it takes no writes", "let `store` name the primary")
    return ok("store", said)


def _schema(db: Database) -> Finding:
    found, head = migrate.current(db), migrate.head()
    if found == head:
        return ok("schema", f"{found}, this version's")
    if found and found not in migrate.known():
        return fail(
            "schema",
            f"{found} is of a newer Forewarn than this ({head})",
            "install the newer one, docs/upgrade.md",
        )
    said = f"{found or 'none yet'}, and this version's is {head}"
    return warn("schema", said, "back up; the next start upgrades it, or `forewarn db upgrade`")
