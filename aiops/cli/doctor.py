"""``forewarn doctor``: looks at everything that a good run needs, and says what to do."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.live import JsonOption, UrlOption
from aiops.cli.run import ConfigOption, DataOption

if TYPE_CHECKING:
    from aiops.cli.finding import Finding


def register(app: typer.Typer) -> None:
    app.command(short_help="Look for what is wrong, and say what to do.")(doctor)


def doctor(
    config: ConfigOption = None,
    data: DataOption = None,
    url: UrlOption = "",
    here: Annotated[bool, typer.Option("--here", help="Ask no source and no sink.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look at config, secrets, versions, store, disk, clocks, limits, sources and sinks; say what to do.

    Nothing is changed: sources are asked for their last minute, sinks are searched, no ticket is written.
    Where the engine runs, it is asked how its sources do.

    Examples:

      forewarn doctor

      forewarn doctor --config forewarn.yaml --json

    Exit codes: 0 nothing is wrong (there may be warnings), 1 something is, 2 wrong usage.
    """
    from aiops.cli.finding import Health, count

    findings = look(config, data, url, here)
    found = count(findings)
    if as_json:
        listed = [
            {"what": one.what, "health": one.health.value, "said": one.said, "do": one.do} for one in findings
        ]
        totals = {health.value: many for health, many in found.items()}
        typer.echo(json.dumps({"findings": listed, **totals}, indent=1))
    else:
        for one in findings:
            typer.echo(one.line)
        typer.echo(f"\n{found[Health.OK]} well, {found[Health.WARN]} to look at, {found[Health.FAIL]} wrong")
    if found[Health.FAIL]:
        raise typer.Exit(1)


def look(path: Path | None, data: Path | None, url: str = "", here: bool = False) -> "list[Finding]":
    """Every finding, in the order in which they are best read. Reads the clock; changes nothing."""
    import asyncio

    from aiops.cli import doctor_engine, doctor_here, doctor_store, doctor_there
    from aiops.config.complaint import ConfigError
    from aiops.config.read import PACKAGED, find, read
    from aiops.engine.clock import SystemClock

    findings = [doctor_here.python(), *doctor_here.packages(), doctor_here.files()]
    where = find(path)
    try:
        config = read(where, data)
    except ConfigError as why:
        return [*findings, *doctor_here.complaints(where, why)]
    now = SystemClock().now()
    running = doctor_engine.ask(config, url)
    findings += [
        *doctor_here.config_file(where, config),
        *doctor_here.secrets(config),
        *doctor_here.folder(config),
        *doctor_here.space(config),
        *doctor_here.memory(),
        *doctor_store.store(config, now),
        *doctor_engine.findings(config, running, now),
    ]
    if not here:
        findings += asyncio.run(
            doctor_there.outside(config, running, now, "drill" if where == PACKAGED else "")
        )
    return findings
