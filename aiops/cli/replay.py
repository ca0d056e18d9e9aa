"""``forewarn replay``: the same pipeline over recorded time."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from aiops.cli.failure import Failure, load
from aiops.cli.run import ConfigOption

if TYPE_CHECKING:
    from aiops.config import Config
    from aiops.engine.replay import ReplayReport
    from aiops.model.frame import Frame
    from aiops.model.problem import Problem
    from aiops.model.series import SeriesIndex
    from aiops.plugin import Connector

WINDOW = 3600.0
"""Seconds of a source that are asked for at once."""

Frames: TypeAlias = "Callable[[SeriesIndex], AsyncIterator[tuple[str, Frame]]]"


def register(app: typer.Typer) -> None:
    app.command(short_help="Run recorded time through the pipeline.")(replay)


def replay(
    config: ConfigOption = None,
    since: Annotated[str, typer.Option("--from", help="ISO 8601, epoch seconds, or an age such as 6h.")] = "",
    until: Annotated[str, typer.Option("--to", help="As --from; now when left out.")] = "",
    step: Annotated[str, typer.Option("--step", help="Between samples of a source, such as 15s.")] = "",
    source: Annotated[str, typer.Option("--source", help="A source of the config that keeps history.")] = "",
    csv: Annotated[Path | None, typer.Option("--csv", help="A CSV file, or a folder of them.")] = None,
    parquet: Annotated[Path | None, typer.Option("--parquet", help="A Parquet file, or a folder.")] = None,
) -> None:
    """Show what Forewarn would have said: run recorded time through the same pipeline.

    Nothing is stored, no ticket is sent and no playbook acts. Tables are wide (a time column, one column a
    series) or long (time, value, and series or label columns).

    Examples:

      forewarn replay --csv recordings/ --config forewarn.yaml

      forewarn replay --config forewarn.yaml --source prod --from 6h --step 15s

      forewarn replay --parquet day.parquet --from 2026-01-31T08:00:00Z --to 2026-01-31T10:00:00Z

    Exit codes: 0 no problem found, 1 problems found or it failed, 2 wrong usage.
    """
    import asyncio

    if sum(map(bool, (source, csv, parquet))) != 1:
        raise typer.BadParameter("give one of --source NAME, --csv FOLDER and --parquet FOLDER")
    if step and not source:
        raise typer.BadParameter("--step is for --source: a table has its own times")
    now = datetime.now(UTC).timestamp()
    start, end = _moment(since, now, "--from"), _moment(until, now, "--to")
    settings = load(config)
    if source:
        frames, span = _of_source(settings, source, start, now if end is None else end, step)
    else:
        frames, span = _of_tables(csv or parquet or Path(), "csv" if csv else "parquet", start, end)
    report = asyncio.run(_replayed(settings, frames, span))
    _print(report)
    raise typer.Exit(1 if report.problems else 0)


def _of_tables(
    folder: Path, suffix: str, start: float | None, end: float | None
) -> tuple[Frames, tuple[float, float]]:
    from aiops.engine.tables_read import TableError
    from aiops.engine.tables_source import Tables

    since, until = -float("inf") if start is None else start, float("inf") if end is None else end
    try:
        tables = Tables.of(folder, suffix)
        first, last = tables.span()
    except TableError as why:
        raise Failure(str(why)) from why

    async def frames(index: "SeriesIndex") -> AsyncIterator[tuple[str, "Frame"]]:
        for frame in tables.frames(index, since, until):
            yield suffix, frame

    return frames, (max(first, since), min(last, until))


def _of_source(
    config: "Config", name: str, start: float | None, end: float, step: str
) -> tuple[Frames, tuple[float, float]]:
    from aiops.model.frame import Frame
    from aiops.plugin import Connector

    if start is None:
        raise typer.BadParameter("--source needs --from, such as --from 6h")
    known = {one.name: one for one in config.sources if isinstance(one, Connector)}
    if name not in known:
        raise Failure(f"no source is named {name!r}; there are: {', '.join(sorted(known))}")
    connector = known[name]
    if step:
        for key in {"every", "step"} & type(connector).model_fields.keys():
            setattr(connector, key, _duration(step, "--step"))

    async def frames(index: "SeriesIndex") -> AsyncIterator[tuple[str, "Frame"]]:
        connector.open(index)
        _watch(config, connector)
        try:
            since = start
            while since < end:
                until = min(since + WINDOW, end)
                async for batch in connector.pull(since, until):
                    if isinstance(batch, Frame):
                        yield name, batch
                since = until
        finally:
            await connector.close()

    return frames, (start, end)


def _watch(config: "Config", connector: "Connector") -> None:
    from aiops.engine.rules import sli_labels

    for sli in config.slis:
        if sli.of.query and sli.of.source == connector.name:
            connector.watch(sli_labels(sli.name, sli.labels), sli.of.query)


async def _replayed(config: "Config", frames: Frames, span: tuple[float, float]) -> "ReplayReport":
    import logging

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from aiops.config.playbooks import load_playbooks
    from aiops.engine.replay import replay as walk
    from aiops.engine.tables_read import TableError
    from aiops.model.series import SeriesIndex
    from aiops.plugin import PluginError

    # Every transition is logged as it is in life; the report below says the same in fewer lines
    logging.getLogger("aiops").setLevel(logging.ERROR)
    index = SeriesIndex()
    bar = (TextColumn("replay"), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*bar, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=max(span[1] - span[0], 1.0))

        def show(report: "ReplayReport") -> None:
            told = f"{report.times_real:,.0f}x real time, {report.series:,} series"
            progress.update(task, completed=report.end - span[0], description=told)

        try:
            return await walk(config, load_playbooks(config.playbooks), index, frames(index), show)
        except (TableError, PluginError) as why:
            raise Failure(str(why)) from why


def _print(report: "ReplayReport") -> None:
    from aiops.plugin.params import format_duration

    for problem in report.problems:
        _print_problem(problem)
    if not report.rows:
        raise Failure("there is nothing in that time")
    length = format_duration(round(report.seconds))
    typer.echo(
        f"{len(report.problems)} problem(s) in {length} of {report.series:,} series "
        f"({report.samples:,} samples), from {_iso(report.start)} to {_iso(report.end)}"
    )
    typer.echo(f"{report.wall_seconds:.1f} s: {report.times_real:,.0f}x real time")


def _print_problem(problem: "Problem") -> None:
    from aiops.plugin.params import format_duration

    typer.echo(f"{_iso(problem.opened)}  {problem.severity:8}  {problem.title}")
    notes = [f"{len(problem.alerts)} alert(s)"]
    if problem.breached == problem.breached:
        lead = format_duration(round(max(0.0, problem.lead_seconds)))
        notes.append(f"SLI breached {_iso(problem.breached)}, lead time {lead}")
    elif problem.breach_expected == problem.breach_expected:
        ahead = format_duration(max(0, round(problem.breach_expected - problem.opened)))
        notes.append(f"breach forecast {ahead} after it opened")
    if problem.resolved == problem.resolved:
        notes.append(f"resolved {_iso(problem.resolved)}")
    typer.echo(f"{'':20}  {'':8}  {'; '.join(notes)}")


def _moment(text: str, now: float, option: str) -> float | None:
    """Epoch seconds from ISO 8601, epoch seconds or an age; None when left out."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return now - _duration(text, option)
    return number


def _duration(text: str, option: str) -> float:
    from aiops.plugin.params import parse_duration

    try:
        return float(parse_duration(text))
    except ValueError as why:
        raise typer.BadParameter(f"{option}: {why}") from why


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
