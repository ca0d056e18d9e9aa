"""``forewarn ledger``: how early problems were told."""

import json
from typing import Annotated, Any

import typer

from aiops.cli.api import Api
from aiops.cli.live import JsonOption, UrlOption
from aiops.cli.run import ConfigOption


def register(app: typer.Typer) -> None:
    app.command(short_help="How early problems were told.")(ledger)


def ledger(
    within: Annotated[str, typer.Option("--within", help="How far back.")] = "30d",
    url: UrlOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """How early problems were told: lead times, breaches without warning, forecasts that came to nothing.

    Examples:

      forewarn ledger

      forewarn ledger --within 90d --json

    Exit codes: 0 answered, 1 no engine, 2 wrong usage.
    """
    from aiops.cli.approve import uplift_line

    api = Api.of(url, config)
    told = api.get("/ledger", within=within)
    helped = [one for one in api.get("/uplift", within=within) if not one["service"]]
    if as_json:
        typer.echo(json.dumps(told | {"uplift": helped}, indent=2))
        return
    typer.echo("\n".join([*lines(told), *map(uplift_line, helped)]))


def lines(told: dict[str, Any]) -> list[str]:
    """The ledger for a terminal."""
    from aiops.core import words  # numpy: help is to be quick

    if told["p50"] is None:
        out = ["no SLI was breached"]
    else:
        p10, p50, p90 = (words.duration(told[name]) for name in ("p10", "p50", "p90"))
        out = [f"lead time before a breach: half at least {p50}, nine in ten {p10}, one in ten {p90}"]
    out.append(", ".join(f"{count} {name}" for name, count in told["outcomes"].items()))
    for one in told["items"]:
        lead = "" if one["lead"] is None else words.duration(one["lead"])
        out.append(f"{one['key']:<12} {one['opened'][:16]}  {one['outcome']:<9} {lead:<12} {one['title']}")
    return out
