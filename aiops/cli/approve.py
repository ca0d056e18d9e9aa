"""``forewarn approve``, ``refuse`` and ``autonomy``: what playbooks may do, from a terminal."""

import json
from typing import Annotated, Any

import typer

from aiops.cli.api import Api
from aiops.cli.live import JsonOption, UrlOption
from aiops.cli.run import ConfigOption

Ident = Annotated[int | None, typer.Argument(help="The run's number.", metavar="RUN")]


def register(app: typer.Typer) -> None:
    app.command(short_help="Approve a run of a playbook, or list what waits.")(approve)
    app.command(short_help="Refuse a run of a playbook.")(refuse)
    app.command(short_help="What playbooks may do by themselves, and whether they help.")(autonomy)


def approve(ident: Ident = None, url: UrlOption = "", config: ConfigOption = None) -> None:
    """Approve a run that waits; without its number, list those that do, with what each would do.

    Needs FOREWARN_TOKEN to approve. It begins with the last approval that it needs, if all that was so when
    it was asked for is still so. Who asked for a run may not approve it.

    Examples:

      forewarn approve          what waits

      forewarn approve 17

    Exit codes: 0 done, 1 the engine refused or does not run, 2 wrong usage.
    """
    api = Api.of(url, config)
    if ident is not None:
        made = api.post(f"/runs/{ident}/approve", {})
        given, needs = len(made["given"]), made["needs"]
        more = f"; {given} of {needs} are given" if made["state"] == "awaiting_approval" else ""
        typer.echo(f"approved: run {ident} of {made['playbook']} on {made['target']}{more}")
        return
    waiting = api.get("/runs", state="awaiting_approval")["items"]
    for one in waiting:
        until = f", until {one['expires'][:16]}" if one["expires"] else ""
        typer.echo(f"{one['id']}  {one['playbook']} on {one['target']}, needs {one['needs']}{until}")
        for step in one["plan"] or []:
            typer.echo(f"      {step}")
    if not waiting:
        typer.echo("nothing waits for approval")


def refuse(
    ident: Annotated[int, typer.Argument(help="The run's number.", metavar="RUN")],
    note: Annotated[str, typer.Option("--note", "-m", help="Why.")] = "",
    url: UrlOption = "",
    config: ConfigOption = None,
) -> None:
    """Refuse a run that waits: it ends, and its problem is a person's. Needs FOREWARN_TOKEN.

    Example:

      forewarn refuse 17 -m "not during the migration"

    Exit codes: 0 done, 1 the engine refused or does not run, 2 wrong usage.
    """
    made = Api.of(url, config).post(f"/runs/{ident}/refuse", {"note": note})
    typer.echo(f"refused: run {ident} of {made['playbook']} on {made['target']}")


def autonomy(
    playbook: Annotated[str, typer.Argument(help="One playbook; all when left out.")] = "",
    service: Annotated[str, typer.Argument(help="The service to pin it for.")] = "",
    pin: Annotated[str, typer.Option("--pin", help="Fix the level: observe, suggest, approve, auto.")] = "",
    unpin: Annotated[bool, typer.Option("--unpin", help="Let evidence move the level again.")] = False,
    note: Annotated[str, typer.Option("--note", "-m", help="Why.")] = "",
    within: Annotated[str, typer.Option("--within", help="How far back uplift looks.")] = "90d",
    url: UrlOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """How far playbooks may go by themselves, what they have earned, and whether they help.

    Pinning needs FOREWARN_TOKEN.

    Examples:

      forewarn autonomy

      forewarn autonomy restart-service checkout --pin approve -m "until the migration is over"

      forewarn autonomy restart-service checkout --unpin

    Exit codes: 0 done, 1 the engine refused or does not run, 2 wrong usage.
    """
    api = Api.of(url, config)
    if pin or unpin:
        if not (playbook and service) or (pin and unpin):
            raise typer.BadParameter("give a playbook, a service, and one of --pin and --unpin")
        which = {"playbook": playbook, "service": service}
        act = "pin" if pin else "unpin"
        made = api.post(f"/autonomy/{act}", which | ({"level": pin, "note": note} if pin else {}))
        typer.echo(_standing(made))
        return
    standings = [one for one in api.get("/autonomy") if playbook in ("", one["playbook"])]
    helped = [one for one in api.get("/uplift", within=within) if playbook in ("", one["playbook"])]
    if as_json:
        typer.echo(json.dumps({"autonomy": standings, "uplift": helped}, indent=2))
        return
    for line in [*map(_standing, standings), *map(uplift_line, helped)]:
        typer.echo(line)


def _standing(one: dict[str, Any]) -> str:
    where = f" for {one['service']}" if one["service"] else ""
    fixed = f", fixed by {one['pinned_by']}" if one["pinned_by"] else ""
    row = f", {one['streak']} of {one['needed']} in a row" if one["service"] and not fixed else ""
    return f"{one['playbook']}{where}: {one['level']} (at most {one['ceiling']}{row}{fixed})"


def uplift_line(one: dict[str, Any]) -> str:
    """Whether a playbook helps, in a line."""
    where = f" for {one['service']}" if one["service"] else ""
    drawn = one["randomised"]
    said = [_difference("by history", one["history"])]
    if drawn:
        said.append(_difference(f"drawn at random, after {one['delay']:g} s", drawn))
    return f"{one['playbook']}{where} heals {'; '.join(said)}"


def _difference(how: str, one: dict[str, Any]) -> str:
    acted, left = one["acted"], one["left"]
    counts = f"{acted['healed']} of {acted['of']}, {left['healed']} of {left['of']} without it"
    if one["difference"] is None:
        return f"{counts} ({how})"
    ends = f"{one['low']:+.0%} to {one['high']:+.0%}"
    return f"{counts}: uplift {one['difference']:+.0%}, {ends} ({how})"
