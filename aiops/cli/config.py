"""``forewarn check`` and ``forewarn reference``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from aiops.cli.dashboards import dashboards
from aiops.cli.routes import routes


def register(app: typer.Typer) -> None:
    app.command(short_help="Find every fault in a config file.")(check)
    app.command(short_help="Print the reference of all keys.")(reference)
    app.command(short_help="Print alert rules and a dashboard on itself.")(dashboards)
    app.command(short_help="Say where a problem would go.")(routes)


def check(
    config: Annotated[Path, typer.Argument(help="The file to check.", metavar="CONFIG")],
) -> None:
    """Say everything that is wrong with a config file: line, key, and what to write instead.

    Examples:

      forewarn check forewarn.yaml

      forewarn check forewarn.yaml && curl -X POST http://127.0.0.1:8750/-/reload

    Exit codes: 0 the file is good, 1 it is not, 2 wrong usage.
    """
    from aiops.config.complaint import ConfigError, render
    from aiops.config.read import check as checked
    from aiops.config.read import load_text

    try:
        text = load_text(config)
    except ConfigError as why:
        sys.stderr.write(f"{why}\n")
        raise typer.Exit(1) from why
    found, complaints = checked(text, str(config))
    if found is None:
        count = len(complaints)
        sys.stderr.write(f"{render(complaints, text)}\n\n")
        sys.stderr.write(f"{config} has {count} faults\n" if count > 1 else f"{config} has one fault\n")
        raise typer.Exit(1)
    parts = [
        _count(len(found.sources), "source"),
        _count(len(found.slis), "SLI"),
        _count(len(found.limits), "limit"),
        _count(len(found.sinks), "sink"),
        _count(len(found.playbooks), "playbook"),
    ]
    typer.echo(f"{config} is good: {', '.join(parts)}")
    if found.routes:
        from aiops.core.routing_words import of_route
        from aiops.engine.tell import router_of

        for number, route in enumerate(router_of(found).routes.routes, 1):
            typer.echo(f"route {number}: {of_route(route)}")


def reference(
    folder: Annotated[
        Path | None, typer.Argument(help="Write the pages there instead.", metavar="[FOLDER]")
    ] = None,
) -> None:
    """Print the reference of every config key, kind and metric of this installation, as Markdown.

    Plug-ins that other packages bring are part of it.

    Examples:

      forewarn reference | less

      forewarn reference docs/reference
    """
    from aiops.cli.reference import pages

    for name, text in pages().items():
        if folder is None:
            typer.echo(text)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, "utf-8")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number != 1 else "")
