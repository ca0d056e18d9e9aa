"""``forewarn backup`` and ``forewarn restore``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.failure import Failure, load
from aiops.cli.run import ConfigOption, DataOption

if TYPE_CHECKING:
    from aiops.config import Config
    from aiops.store.backup import Contents
    from aiops.store.database import Database


def register(app: typer.Typer) -> None:
    app.command(short_help="Write the whole store into one file, while it runs.")(backup)
    app.command(short_help="Put a backup in place.")(restore)


def backup(
    out: Annotated[
        Path | None, typer.Argument(help="The file; forewarn-TIME.tar.gz when left out.", metavar="[FILE]")
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Write problems, tickets, runs, audit trail and learnt models into one file; the engine may run.

    The file holds what the database holds: keep it as safe. Secrets are in files and variables of your own
    and are no part of it; what Forewarn made for itself lies in the data folder (*.secret, session.key).

    Examples:

      forewarn backup

      forewarn backup /backup/forewarn-$(date +%F).tar.gz --config forewarn.yaml
    """
    import aiops
    from aiops.engine.clock import SystemClock
    from aiops.store import backup as backups

    now = SystemClock().now()
    with opened(load(config, data)) as (db, settings):
        target = out or Path(f"forewarn-{_stamp(now)}.tar.gz")
        found = backups.save(db, settings.data / "checkpoints", target, now, aiops.__version__)
    typer.echo(f"{target}: {_told(found)}")


def restore(
    archive: Annotated[Path, typer.Argument(help="What `forewarn backup` wrote.", metavar="FILE")],
    replace: Annotated[bool, typer.Option("--replace", help="Throw away what the store holds now.")] = False,
    look: Annotated[bool, typer.Option("--look", help="Only check the file and say what is in it.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Put a backup in place of the store that the config names: the same kind, or the other one.

    The engine must not run. The file is checked whole before anything is touched.

    Examples:

      forewarn restore forewarn-20260109T160000Z.tar.gz --look

      forewarn restore forewarn-20260109T160000Z.tar.gz --replace
    """
    from aiops.engine.lock import EngineLock
    from aiops.store import backup as backups

    with opened(load(config, data)) as (db, settings):
        if look:
            found = backups.look(archive)
            typer.echo(f"{archive} of {_stamp(found.at)}, Forewarn {found.version}: {_told(found)}")
            return
        with EngineLock(db, look=False):
            found = backups.load(db, settings.data / "checkpoints", archive, replace)
    typer.echo(f"restored as of {_stamp(found.at)}: {_told(found)}")


@contextmanager
def opened(settings: "Config") -> "Iterator[tuple[Database, Config]]":
    """The store of a config, closed at the end. Raises `Failure` in one line when it cannot be used."""
    from sqlalchemy.exc import SQLAlchemyError

    from aiops.store.database import Database, StoreError

    try:
        db = Database(settings.store)
        try:
            yield db, settings
        finally:
            db.close()
    except (StoreError, OSError) as why:
        raise Failure(str(why)) from why
    except SQLAlchemyError as why:
        raise Failure(f"the store cannot be used: {str(why).splitlines()[0]}") from why


def _told(found: "Contents") -> str:
    models = "with learnt models" if found.checkpoint else "without learnt models"
    rows = sum(found.rows.values())
    return f"{found.rows.get('problem', 0)} problems, {rows} rows of {len(found.rows)} tables, {models}"


def _stamp(at: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
