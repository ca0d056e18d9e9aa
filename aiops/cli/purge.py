"""``forewarn purge``: take away now what has outlived its retention."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.backup import opened
from aiops.cli.failure import load
from aiops.cli.live import JsonOption
from aiops.cli.run import ConfigOption, DataOption

if TYPE_CHECKING:
    from aiops.store.database import Database


def register(app: typer.Typer) -> None:
    app.command(short_help="Delete what has outlived its retention.")(purge)


def purge(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many rows would go.")] = False,
    compact: Annotated[
        bool, typer.Option("--compact", help="Give the space back to the disk: SQLite rewrites its file.")
    ] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete what has outlived `retention`, table by table. The engine, which does so by itself, may run.

    Examples:

      forewarn purge --dry-run

      forewarn purge --compact --config forewarn.yaml

    Exit codes: 0 done, 1 the store cannot be used, 2 wrong usage.
    """
    from aiops.engine.clock import SystemClock
    from aiops.plugin.params import format_duration
    from aiops.store import retention

    settings = load(config, data)
    keep = settings.retention.seconds()
    now = SystemClock().now()
    with opened(settings) as (db, _):
        if dry_run:
            with db.read_only() as conn:
                rows = retention.due(conn, keep, now)
        else:
            with db.begin() as conn:
                rows = retention.purge(conn, keep, now)
            if compact:
                _compact(db)
    if as_json:
        typer.echo(json.dumps({"dry_run": dry_run, "rows": rows}))
        return
    kept = {part.name: format_duration(keep[part.keep]) for part in retention.PARTS}
    for name, count in rows.items():
        typer.echo(f"{name:<14} kept {kept.get(name, '1d'):<6} {count} {'would go' if dry_run else 'gone'}")


def _compact(db: "Database") -> None:
    if db.is_sqlite:
        raw = db.engine.raw_connection()  # our own begin of every transaction would refuse it
        try:
            raw.cursor().execute("VACUUM")
        finally:
            raw.close()
        return
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.exec_driver_sql("VACUUM")
