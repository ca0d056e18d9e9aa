"""``forewarn routes``."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from aiops.cli.failure import Failure


def routes(
    config: Annotated[Path, typer.Argument(help="The file with the routes.", metavar="CONFIG")],
    label: Annotated[
        list[str] | None, typer.Option(help="A label of the problem, as NAME=VALUE; as often as needed.")
    ] = None,
    severity: Annotated[str, typer.Option(help="info, minor, major or critical.")] = "major",
    stage: Annotated[str, typer.Option(help="predicted or active.")] = "active",
    team: Annotated[str, typer.Option(help="Whose problem it is.")] = "default",
    at: Annotated[str, typer.Option(help="When it opens, such as 2026-01-31T03:00; now when left out.")] = "",
) -> None:
    """Say where a problem would go: which routes take it, which not and why, and who is asked when.

    Examples:

      forewarn routes forewarn.yaml

      forewarn routes forewarn.yaml --label service=checkout --severity critical

      forewarn routes forewarn.yaml --at 2026-01-31T03:00+01:00

    Exit codes: 0 somebody would be told, 1 nobody would, or the file is not good, 2 wrong usage.
    """
    from aiops.config.complaint import ConfigError
    from aiops.config.read import read
    from aiops.core.routing_words import explain
    from aiops.engine.clock import SystemClock
    from aiops.engine.tell import router_of
    from aiops.model.lifecycle import Stage
    from aiops.model.problem import Problem
    from aiops.model.series import labels_of
    from aiops.model.signal import Severity

    try:
        found = read(config)
        when = _moment(at) if at else SystemClock().now()
        problem = Problem("fw-example", when, "an example", stage=Stage(stage), severity=Severity(severity))
        problem.labels = labels_of(dict(_pair(one) for one in label or ()))
    except ConfigError as why:
        raise Failure(str(why)) from why
    except ValueError as why:
        raise typer.BadParameter(str(why)) from why
    problem.team = team
    lines = explain(router_of(found).routes, problem, when)
    typer.echo("\n".join(lines))
    if not any(line.strip() == "taken" for line in lines):
        raise typer.Exit(1)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name):
        raise ValueError(f"--label {text}: write NAME=VALUE")
    return name, value


def _moment(text: str) -> float:
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
