"""``forewarn audit``: prove that nothing was changed in the trail, and hand it out."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.failure import Failure, load
from aiops.cli.run import ConfigOption, DataOption

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

audit = typer.Typer(help="The audit trail of everything, as a hash chain.", no_args_is_help=True)


@audit.command(short_help="Prove that nothing was changed.")
def verify(
    chain: Annotated[
        str, typer.Option("--chain", help="A chain value that was printed earlier: it must be among them.")
    ] = "",
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Follow the hash chain over the whole trail and compare every row with its seal.

    Keep the printed chain value outside of this machine: it finds out even a chain that was made anew.

    Examples:

      forewarn audit verify

      forewarn audit verify --chain 9f2c...

    Exit codes: 0 intact, 1 changed, 2 wrong usage.
    """
    from aiops.store import seals

    with _store(config, data) as conn:
        seals.close(conn, whole=True)
        found = seals.verify(conn)
        known = not chain or seals.knows(conn, chain)
    for number in found.changed:
        typer.echo(f"audit row {number} is not what was sealed")
    for number in found.broken:
        typer.echo(f"the seal of audit row {number} does not follow the one before")
    if not known:
        typer.echo(f"{chain} is not among the seals: some were removed, or the chain was made anew")
    gone = f", {found.purged} of them taken away by retention" if found.purged else ""
    typer.echo(f"{found.sealed} rows sealed{gone}; chain {found.chain}")
    if not (found.intact and known):
        raise typer.Exit(1)
    typer.echo("intact")


@audit.command(short_help="Write the trail as JSON lines.")
def export(config: ConfigOption = None, data: DataOption = None) -> None:
    """Write every row with its seal as JSON lines, in the chain's order.

    Each line's `digest` is the SHA-256 of its `row` as JSON with sorted keys and no blanks; each `chain` is
    the SHA-256 of the `chain` before (64 zeros at first) followed by the `digest`.

    Example:

      forewarn audit export > audit.jsonl
    """
    from aiops.store import seals

    with _store(config, data) as conn:
        seals.close(conn, whole=True)
        for line in seals.export(conn):
            typer.echo(json.dumps(line, ensure_ascii=False))


@contextmanager
def _store(config: Path | None, data: Path | None) -> "Iterator[Connection]":
    from sqlalchemy.exc import SQLAlchemyError

    from aiops.store.database import Database, StoreError

    settings = load(config, data)
    try:
        db = Database(settings.store)
        try:
            with db.begin() as conn:
                yield conn
        finally:
            db.close()
    except (StoreError, OSError) as why:
        raise Failure(str(why)) from why
    except SQLAlchemyError as why:
        raise Failure(f"the store cannot be read: {str(why).splitlines()[0]}") from why
