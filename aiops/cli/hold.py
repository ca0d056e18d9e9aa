"""``forewarn hold`` and ``forewarn lift``: stop playbooks from acting, and let them again."""

from typing import Annotated

import typer

from aiops.cli.api import Api
from aiops.cli.live import UrlOption
from aiops.cli.run import ConfigOption


def register(app: typer.Typer) -> None:
    app.command(short_help="Stop playbooks from acting: all, or one.")(hold)
    app.command(short_help="Let playbooks act again.")(lift)


def hold(
    playbook: Annotated[str, typer.Argument(help="One playbook; all when left out.")] = "",
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why; shown wherever a run is refused.")] = "",
    url: UrlOption = "",
    config: ConfigOption = None,
) -> None:
    """Stop playbooks from acting. Nothing new begins, and a run under way stops before its next step.

    Needs FOREWARN_TOKEN. Without a reason it lists what is on hold.

    Examples:

      forewarn hold -m "failing over by hand"

      forewarn hold restart-service -m "it restarts the wrong one"

      forewarn hold                              what is on hold

    Exit codes: 0 done, 1 the engine refused or does not run, 2 wrong usage.
    """
    api = Api.of(url, config)
    if not reason:
        found = api.get("/holds")["items"]
        for one in found:
            what = one["playbook"] or "all playbooks"
            typer.echo(f"{one['id']}  {what} since {one['made'][:16]} by {one['made_by']}: {one['reason']}")
        if not found:
            typer.echo("nothing is on hold")
        return
    made = api.post("/holds", {"playbook": playbook, "reason": reason})
    typer.echo(f"{made['playbook'] or 'all remediation'} is on hold; `forewarn lift {made['id']}` ends it")


def lift(
    ident: Annotated[int, typer.Argument(help="The hold's number, as `forewarn hold` shows.", metavar="ID")],
    url: UrlOption = "",
    config: ConfigOption = None,
) -> None:
    """Let playbooks act again. Needs FOREWARN_TOKEN.

    Example:

      forewarn lift 3

    Exit codes: 0 done, 1 the engine refused or does not run, 2 wrong usage.
    """
    made = Api.of(url, config).post(f"/holds/{ident}/lift", {})
    typer.echo(f"{made['playbook'] or 'all remediation'} may act again")
