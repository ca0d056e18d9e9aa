"""``forewarn problem ...``: what people do to a problem, from a terminal."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from aiops.cli.api import Api
from aiops.cli.live import UrlOption
from aiops.cli.run import ConfigOption

app = typer.Typer(help="Do something about one problem. Needs FOREWARN_TOKEN.", no_args_is_help=True)
F = TypeVar("F", bound=Callable[..., None])

Ident = Annotated[int, typer.Argument(help="The problem's number.", metavar="ID")]
NoteOption = Annotated[str, typer.Option("--note", "-m", help="Why.")]


def _command(example: str) -> Callable[[F], F]:
    """A command named after its function, whose help ends with an example and the exit codes."""

    def made(function: F) -> F:
        name, about = function.__name__, function.__doc__ or ""
        text = f"{about}\n\nExample:\n\n  forewarn problem {name} {example}\n\n{_CODES}"
        return app.command(name, help=text, short_help=about)(function)

    return made


_CODES = "Exit codes: 0 the engine was told, 1 it refused or does not run, 2 wrong usage."


def _do(url: str, config: Any, ident: int, act: str, **body: Any) -> None:
    given = {name: value for name, value in body.items() if value not in (None, "")}
    told = Api.of(url, config).post(f"/problems/{ident}/{act}", given)
    typer.echo(f"told: {told['told']} problem {ident}: {told['problem']['title']}")


@_command("42")
def ack(ident: Ident, url: UrlOption = "", config: ConfigOption = None) -> None:
    """Say that you look at it."""
    _do(url, config, ident, "acknowledge")


@_command("42 ana")
def assign(
    ident: Ident,
    to: Annotated[str, typer.Argument(help="Whose it is; nobody's when left out.")] = "",
    url: UrlOption = "",
    config: ConfigOption = None,
) -> None:
    """Give it to somebody."""
    told = Api.of(url, config).post(f"/problems/{ident}/assign", {"to": to})
    typer.echo(f"told: assign problem {ident} to {to or 'nobody'}: {told['problem']['title']}")


@_command('42 2h -m "the nightly import"')
def snooze(
    ident: Ident,
    duration: Annotated[str, typer.Argument(help="For how long: 30m, 2h, 1d.")],
    note: NoteOption = "",
    url: UrlOption = "",
    config: ConfigOption = None,
) -> None:
    """Hear nothing of it for a while, unless it grows worse."""
    _do(url, config, ident, "snooze", duration=duration, note=note)


@_command("42")
def wake(ident: Ident, url: UrlOption = "", config: ConfigOption = None) -> None:
    """End its snooze."""
    _do(url, config, ident, "wake")


@_command('42 "looking at it"')
def comment(ident: Ident, text: str, url: UrlOption = "", config: ConfigOption = None) -> None:
    """Add a comment, which its tickets are told."""
    _do(url, config, ident, "comment", text=text)


@_command("42 41")
def link(
    ident: Ident, other: int, note: NoteOption = "", url: UrlOption = "", config: ConfigOption = None
) -> None:
    """Say that two problems belong together."""
    _do(url, config, ident, "link", other=other, note=note)


@_command("42 41")
def merge(
    ident: Ident,
    into: Annotated[int, typer.Argument(help="The problem that is kept.")],
    note: NoteOption = "",
    url: UrlOption = "",
    config: ConfigOption = None,
) -> None:
    """Say that it is the same as another, into which it goes."""
    _do(url, config, ident, "merge", into=into, note=note)


@_command("42 107 109")
def split(
    ident: Ident,
    alerts: Annotated[list[int], typer.Argument(help="Alerts that are another problem's.")],
    note: NoteOption = "",
    url: UrlOption = "",
    config: ConfigOption = None,
) -> None:
    """Say that some of its alerts are another problem's."""
    _do(url, config, ident, "split", alerts=alerts, note=note)


@_command('42 false -m "a test rig"')
def mark(
    ident: Ident,
    verdict: Annotated[str, typer.Argument(help="true, false or duplicate.")],
    of: Annotated[int | None, typer.Option("--of", help="Of a duplicate: what it goes into.")] = None,
    note: NoteOption = "",
    url: UrlOption = "",
    config: ConfigOption = None,
) -> None:
    """Say what it was: kept, with its evidence, to learn from."""
    _do(url, config, ident, "mark", verdict=verdict, duplicate_of=of, note=note)


@_command("42 restart-service")
def remediate(
    ident: Ident,
    playbook: Annotated[str, typer.Argument(help="The playbook to run.")],
    url: UrlOption = "",
    config: ConfigOption = None,
) -> None:
    """Ask for a run of a playbook, which another has to approve unless it may act by itself."""
    _do(url, config, ident, "remediate", playbook=playbook)


@_command('42 -m "needs a DBA"')
def escalate(ident: Ident, note: NoteOption = "", url: UrlOption = "", config: ConfigOption = None) -> None:
    """Hand it to people."""
    _do(url, config, ident, "escalate", note=note)


@_command('42 -m "disk replaced"')
def resolve(ident: Ident, note: NoteOption = "", url: UrlOption = "", config: ConfigOption = None) -> None:
    """Resolve it by hand."""
    _do(url, config, ident, "resolve", note=note)


@_command("42")
def reopen(ident: Ident, note: NoteOption = "", url: UrlOption = "", config: ConfigOption = None) -> None:
    """Say that it is not over."""
    _do(url, config, ident, "reopen", note=note)
