"""``forewarn run``, ``prepare``, ``db upgrade`` and ``version``."""

import gc
from pathlib import Path
from typing import Annotated

import typer

from aiops.cli.failure import Failure, load

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The config file; ./forewarn.yaml, else the one that ships."),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder for learnt models and the SQLite file, instead of `data`."),
]

database = typer.Typer(help="The store: SQLite or PostgreSQL.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.command(short_help="Start the engine and the console.")(run)
    app.command()(prepare)
    app.command()(version)
    database.command()(upgrade)
    database.callback()(_group)


def run(config: ConfigOption = None, data: DataOption = None) -> None:
    """Start the engine and the console; Ctrl-C drains and stops.

    Examples:

      forewarn run                         watch this host

      forewarn run --config forewarn.yaml

    Exit codes: 0 stopped cleanly, 1 could not start or failed, 2 wrong usage.
    """
    gc.disable()  # to look for garbage while all is loaded and built takes a fifth of a start
    try:
        from aiops.cli.serving import serve

        raise typer.Exit(serve(config, data))
    finally:
        gc.enable()


def upgrade(config: ConfigOption = None, data: DataOption = None) -> None:
    """Bring the database to the schema of this version. `run` does so by itself.

    Example:

      forewarn db upgrade --config forewarn.yaml
    """
    settings = load(config, data)
    from sqlalchemy.exc import SQLAlchemyError

    from aiops.store.database import Database, StoreError
    from aiops.store.migrate import upgrade as migrate

    try:
        db = Database(settings.store)
        try:
            before, after = migrate(db)
        finally:
            db.close()
    except (StoreError, OSError) as why:
        raise Failure(str(why)) from why
    except SQLAlchemyError as why:
        raise Failure(f"the store cannot be reached: {str(why).splitlines()[0]}") from why
    same = before == after
    typer.echo(f"schema {after}: nothing to do" if same else f"schema {before or 'empty'} => {after}")


def prepare(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Compile what this file's detectors use.")
    ] = None,
) -> None:
    """Compile what is compiled on first use, so that the first start is as quick as the second.

    Without a file, what the default detectors use; `run` compiles the others when they are configured.

    Examples:

      forewarn prepare                     once, after installing; `make run` does so by itself

      forewarn prepare --config forewarn.yaml
    """
    from aiops.engine.warm import compile_here, kinds_of

    compile_here(kinds_of(load(config, None).detection.detectors) if config else None)
    typer.echo("compiled")


def version() -> None:
    """Print the version."""
    from aiops import __version__

    typer.echo(f"forewarn {__version__}")


def _group() -> None:
    """The store: SQLite or PostgreSQL."""
