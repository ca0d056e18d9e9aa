"""``forewarn status`` and ``forewarn problems``: what the running engine says."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.api import Api, NotRunning
from aiops.cli.failure import Failure
from aiops.cli.run import ConfigOption

if TYPE_CHECKING:
    from rich.table import Table

UrlOption = Annotated[
    str, typer.Option("--url", envvar="FOREWARN_URL", help="Where the console is; else the config says.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]

OPEN = ("open", "remediating", "escalated")


def register(app: typer.Typer) -> None:
    app.command(short_help="How the running engine does.")(status)
    app.command(short_help="List problems, or tell one.")(problems)


def status(url: UrlOption = "", config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """How the running engine does: readiness, sources, open problems, undelivered messages.

    Examples:

      forewarn status

      forewarn status --url http://127.0.0.1:8750 --json

    Exit codes: 0 it is ready and every source answers, 1 it is not or does not run, 2 wrong usage.
    """
    api = Api.of(url, config)
    is_ready, ready = _ready(api)
    sources = api.get("/sources")["items"]
    found = api.get("/problems", state=OPEN, limit=500)["items"]
    dead = api.get("/deliveries", state="dead", limit=500)["items"]
    if as_json:
        told = {"ready": ready, "sources": sources, "problems": len(found), "dead_letters": len(dead)}
        typer.echo(json.dumps(told, indent=2))
    else:
        _print_status(api.url, ready, sources, found, dead)
    if not is_ready or any(one["error"] for one in sources):
        raise typer.Exit(1)


def problems(
    ident: Annotated[
        int | None, typer.Argument(help="One problem, with its whole story.", metavar="[ID]")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    url: UrlOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List problems, newest first, or tell one problem's story.

    Examples:

      forewarn problems

      forewarn problems --all

      forewarn problems 42

    Exit codes: 0 answered, 1 no such problem or no engine, 2 wrong usage.
    """
    api = Api.of(url, config)
    if ident is not None:
        found = api.get(f"/problems/{ident}")
        typer.echo(json.dumps(found, indent=2)) if as_json else _print_problem(found)
        return
    listed = api.get("/problems", state=None if everything else OPEN, limit=100)["items"]
    if as_json:
        typer.echo(json.dumps(listed, indent=2))
    elif not listed:
        typer.echo("no problem yet" if everything else "no open problem")
    else:
        _print_problems(listed)


def _ready(api: Api) -> tuple[bool, str]:
    """Whether it is, and its own words on that."""
    try:
        return True, api.text("/-/ready").strip()
    except NotRunning:
        raise
    except Failure as why:
        return False, str(why).partition("says: ")[2] or str(why)


def _print_status(url: str, ready: str, sources: list[Any], found: list[Any], dead: list[Any]) -> None:
    from rich.console import Console

    console = Console()
    console.print(f"Forewarn at {url}: {ready}")
    table = _table("source", "kind", "series", "newest", "state")
    for one in sources:
        lag = "never" if one["lag"] is None else f"{one['lag']:.0f} s ago"
        table.add_row(one["name"], one["kind"], str(one["series"]), lag, one["error"] or "well")
    console.print(table)
    console.print(f"open problems: {len(found)}   dead letters: {len(dead)}")


def _print_problems(listed: list[Any]) -> None:
    from rich.console import Console

    table = _table("id", "state", "severity", "opened", "what")
    for one in listed:
        state = f"{one['state']}, {one['stage']}" if one["state"] != "resolved" else "resolved"
        table.add_row(str(one["id"]), state, one["severity"], _ago(one["opened"]), one["title"])
    Console().print(table)


def _print_problem(one: Any) -> None:
    from rich.console import Console

    console = Console()
    console.print(f"[bold]problem {one['id']}[/bold]: {one['title']}", highlight=False, soft_wrap=True)
    console.print(
        f"{one['state']}, {one['stage']}, {one['severity']}: {one['reason']}", highlight=False, soft_wrap=True
    )
    if one["breach_expected"] and one["stage"] == "predicted" and one["state"] != "resolved":
        console.print(_breach(one), highlight=False, soft_wrap=True)
    table = _table("time", "what", "from", "to", "why")
    for entry in one["timeline"]:
        at = datetime.fromisoformat(entry["at"]).astimezone().strftime("%H:%M:%S")
        what = f"{entry['entity']} {entry['entity_id']}"
        table.add_row(at, what, entry["from_state"], entry["to_state"], entry["reason"])
    console.print(table)
    for ticket in one["tickets"]:
        console.print(
            f"ticket {ticket['ref']} at {ticket['sink']}: {ticket['state']}", highlight=False, soft_wrap=True
        )


def _breach(one: Any) -> str:
    """When a breach is expected, and how likely it is."""
    from aiops.core import words

    def local(moment: str | None) -> str:
        return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else "?"

    text = f"breach expected at {local(one['breach_expected'])}"
    if one["breach_earliest"] and one["breach_latest"]:
        text += f", between {local(one['breach_earliest'])} and {local(one['breach_latest'])}"
    if one.get("breach_chance") is not None and one.get("breach_within") is not None:
        text += (
            f"; {words.percent(one['breach_chance'])} likely within {words.duration(one['breach_within'])}"
        )
    return text


def _table(*heads: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    return table


def _ago(moment: str) -> str:
    from aiops.plugin.params import format_duration

    seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    whole = round(seconds / 60) * 60 if seconds >= 120 else round(seconds)
    return f"{format_duration(float(max(0, whole)))} ago"
