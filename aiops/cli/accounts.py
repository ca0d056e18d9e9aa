"""``forewarn accounts`` and ``forewarn tokens``: who may come in, written into the store itself.

For whoever holds the machine: it works while no engine runs, and when the last admin's password is lost.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.failure import Failure, load
from aiops.cli.run import ConfigOption, DataOption
from aiops.model.role import Role

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

accounts = typer.Typer(help="Accounts of people who sign in with a password.", no_args_is_help=True)
tokens = typer.Typer(help="Tokens of the API.", no_args_is_help=True)

BY = "command line"
NameArgument = Annotated[str, typer.Argument(help="The account's name.")]
RoleOption = Annotated[Role, typer.Option("--role", help="What it may do.")]


@accounts.command("list", short_help="All of them, closed ones too.")
def list_accounts(config: ConfigOption = None, data: DataOption = None) -> None:
    """Name, role, when it last signed in, and whether it was closed or an OpenID provider vouches for it.

    Example:

      forewarn accounts list --config forewarn.yaml
    """
    from aiops.store import accounts as rows

    with _store(config, data) as conn:
        for one in rows.listed(conn):
            last = f"last in {_day(one['last_in'])}" if one["last_in"] else "never in"
            more = f", by {one['issuer']}" if one["issuer"] else ""
            gone = f", closed {_day(one['closed'])}" if one["closed"] else ""
            typer.echo(f"{one['name']}  {one['role']}, {last}{more}{gone}")


@accounts.command(short_help="Make one.")
def add(
    name: NameArgument,
    role: RoleOption = Role.VIEWER,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Make an account. The password is asked for, or read from standard input when that is no terminal.

    Examples:

      forewarn accounts add ana --role responder

      pass show forewarn/ana | forewarn accounts add ana --role responder

    Exit codes: 0 made, 1 the name is taken or the password will not do, 2 wrong usage.
    """
    from pydantic import TypeAdapter, ValidationError

    from aiops.store import accounts as rows
    from aiops.web.api.access import Name

    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as why:
        rule = "letters and digits, and . _ @ + - behind the first; 100 at most"
        raise Failure(f"{name!r} is no name: {rule}") from why
    stored = _hashed(name)
    with _store(config, data) as conn:
        try:
            rows.create(conn, name, role, stored, _now(), BY)
        except rows.NameTaken as why:
            raise Failure(str(why)) from why
    typer.echo(f"{name} may sign in as {role.value}")


@accounts.command("role", short_help="Change what it may do.")
def change_role(
    name: NameArgument,
    role: Annotated[Role, typer.Argument(help="What it may do from its next request on.")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Change an account's role. What an OpenID provider vouches for gets its own again when it signs in.

    Example:

      forewarn accounts role ana admin

    Exit codes: 0 done, 1 there is no such account, 2 wrong usage.
    """
    from aiops.store import accounts as rows

    with _store(config, data) as conn:
        rows.set_role(conn, _known(conn, name)["id"], role, _now(), BY)
    typer.echo(f"{name} is {role.value}")


@accounts.command(short_help="Give it another password.")
def password(name: NameArgument, config: ConfigOption = None, data: DataOption = None) -> None:
    """Set a password, which is asked for or read as by `add`. All sessions of the account end.

    Examples:

      forewarn accounts password ana

      pass show forewarn/ana | forewarn accounts password ana

    Exit codes: 0 done, 1 there is no such local account or the password will not do, 2 wrong usage.
    """
    from aiops.store import accounts as rows

    stored = _hashed(name)
    with _store(config, data) as conn:
        if not rows.set_password(conn, _known(conn, name)["id"], stored, _now(), BY):
            raise Failure(f"{name} signs in elsewhere: there is no password of it here")
    typer.echo(f"{name} has another password, and is signed out everywhere")


@accounts.command(short_help="Close it; what it did stays in the audit trail.")
def disable(name: NameArgument, config: ConfigOption = None, data: DataOption = None) -> None:
    """Close an account for good. Its sessions end at once.

    Example:

      forewarn accounts disable ana

    Exit codes: 0 done, 1 there is no such open account, 2 wrong usage.
    """
    from aiops.store import accounts as rows

    with _store(config, data) as conn:
        if not rows.close(conn, _known(conn, name)["id"], _now(), BY):
            raise Failure(f"{name} was closed already")
    typer.echo(f"{name} is closed")


@tokens.command("list", short_help="All of them, without what opens a door.")
def list_tokens(config: ConfigOption = None, data: DataOption = None) -> None:
    """Number, name, role, the rooms it is limited to, when it ends, and when it was last used.

    Example:

      forewarn tokens list --config forewarn.yaml
    """
    from aiops.store import tokens as rows

    with _store(config, data) as conn:
        for one in rows.listed(conn):
            only = f", only {' '.join(one['scopes'])}" if one["scopes"] else ""
            ends = f", until {_day(one['expires'])}" if one["expires"] else ""
            used = f"last used {_day(one['last_used'])}" if one["last_used"] else "never used"
            typer.echo(f"{one['id']}  {one['name']}  {one['role']}{only}{ends}, {used}")


@tokens.command(short_help="Make one; it is shown once.")
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    role: RoleOption = Role.RESPONDER,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="A room of the API it is limited to; may be repeated.")
    ] = None,
    lasts: Annotated[str, typer.Option("--for", help="How long it is good, as in 30d; else for good.")] = "",
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Make a token and print it; only its digest is stored.

    Examples:

      forewarn tokens create "deploy job" --scope silences --for 90d

      FOREWARN_TOKEN=$(forewarn tokens create mine --role admin --for 1h) forewarn hold -m "by hand"

    Exit codes: 0 made, 1 the scope or the time makes no sense, 2 wrong usage.
    """
    from pydantic import TypeAdapter, ValidationError

    from aiops.plugin.params import Duration
    from aiops.store import tokens as rows
    from aiops.web.api.access import LONGEST, SCOPES

    if strange := set(scope or ()) - set(SCOPES):
        raise Failure(f"no such scope: {', '.join(sorted(strange))}; there are: {', '.join(SCOPES)}")
    try:
        seconds: float | None = TypeAdapter(Duration).validate_python(lasts) if lasts else None
    except ValidationError as why:
        raise Failure(f"--for {lasts}: {why.errors()[0]['msg']}") from why
    if seconds is not None and not 0 < seconds <= LONGEST:
        raise Failure("a token is good for a while ahead, ten years at most")
    now = _now()
    with _store(config, data) as conn:
        ends = now + seconds if seconds else None
        typer.echo(rows.create(conn, name, now, BY, role, scope or (), ends))


@tokens.command(short_help="End one, with the sessions that it opened.")
def revoke(
    ident: Annotated[int, typer.Argument(help="Its number, as `tokens list` shows.", metavar="ID")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """End a token, with the sessions that it opened.

    Example:

      forewarn tokens revoke 7

    Exit codes: 0 done, 1 there is no such token, 2 wrong usage.
    """
    from aiops.store import tokens as rows

    with _store(config, data) as conn:
        if not rows.revoke(conn, ident, _now(), BY):
            raise Failure(f"there is no token {ident}")
    typer.echo(f"token {ident} opens nothing any more")


def _known(conn: "Connection", name: str) -> dict[str, Any]:
    from aiops.store import accounts as rows

    for one in rows.listed(conn):
        if one["name"] == name:
            return one
    raise Failure(f"there is no account {name!r}")


def _hashed(name: str) -> str:
    import asyncio

    from aiops.web.passwords import Passwords

    if sys.stdin.isatty():
        plain = typer.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True)
    else:
        plain = sys.stdin.readline().rstrip("\n")
    try:
        return asyncio.run(Passwords().hashed(plain))
    except ValueError as why:
        raise Failure(str(why)) from why


def _now() -> float:
    from aiops.engine.clock import SystemClock

    return SystemClock().now()


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


@contextmanager
def _store(config: Path | None, data: Path | None) -> "Iterator[Connection]":
    from sqlalchemy.exc import SQLAlchemyError

    from aiops.store.database import Database, StoreError
    from aiops.store.migrate import current, upgrade

    settings = load(config, data)
    try:
        db = Database(settings.store)
        try:
            if not current(db):
                upgrade(db)
            with db.begin() as conn:
                yield conn
        finally:
            db.close()
    except (StoreError, OSError) as why:
        raise Failure(str(why)) from why
    except SQLAlchemyError as why:
        raise Failure(f"the store cannot be used: {str(why).splitlines()[0]}") from why
