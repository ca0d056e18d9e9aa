"""``forewarn db seal``: what `store_keys` seals, sealed under the first of them."""

import json

import typer

from aiops.cli.backup import opened
from aiops.cli.failure import Failure, load
from aiops.cli.live import JsonOption
from aiops.cli.run import ConfigOption, DataOption


def register(database: typer.Typer) -> None:
    database.command()(seal)


def seal(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Seal what the first of `store_keys` has not: what is older than the keys, or under an old one.

    To change the key: put the new one first, keep the old one behind it, restart all engines, run this, and
    take the old one out once `forewarn doctor` says that it is not needed. Engines may run.

    Example:

      forewarn db seal --config forewarn.yaml

    Exit codes: 0 all is sealed under the first key, 1 some could not be opened, or the store cannot be used.
    """
    from aiops.store import sealing, vault

    settings = load(config, data)
    if not settings.store_keys:
        raise Failure("there is no key: write one under `store_keys` first")
    try:
        keys = [one.read().get_secret_value() for one in settings.store_keys]
    except ValueError as why:
        raise Failure(f"store_keys: {why}") from why
    vault.use(keys)
    with opened(settings) as (db, _):
        done = sealing.seal_anew(db, keys)
    plain, locked = done.pop(sealing.PLAIN, 0), done.pop(sealing.LOCKED, 0)
    if as_json:
        typer.echo(json.dumps({"sealed": plain, "under_another_key": done.total(), "locked": locked}))
    else:
        typer.echo(
            f"{plain} values sealed, {done.total()} that were under another key; {locked} cannot be opened"
        )
    if locked:
        raise typer.Exit(1)
