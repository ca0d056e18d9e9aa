"""``forewarn drill``: a real, harmless fault on this host, and what Forewarn makes of it."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from aiops.cli.api import Api
from aiops.cli.failure import Failure
from aiops.cli.live import UrlOption
from aiops.cli.run import ConfigOption

if TYPE_CHECKING:
    import subprocess

    from aiops.cli.drill_receiver import Receiver
    from aiops.cli.drill_story import Story

STEADY = 6.0
"""Seconds before the leak: a few samples of the healthy process."""
PATIENCE = 90.0
"""Seconds after which the drill gives up; it takes about 20."""
SETTLE = 120.0
"""Longest wait for the alert of a drill just before this one to end."""
POLL = 0.25

app = typer.Typer(
    help="Start a real, harmless fault on this host and watch it being repaired.", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    """Start a real, harmless fault on this host and watch it being repaired."""


@app.command("memory-leak", short_help="A process leaks; watch it being stopped.")
def memory_leak(url: UrlOption = "", config: ConfigOption = None) -> None:
    """A process of ours leaks up to 300 MiB; Forewarn sees it coming, opens a ticket, stops it and verifies.

    Needs a running engine (`forewarn run`) with the drill's limit, sink and playbook, as the settings that
    ship with Forewarn have them. Run it in the folder in which the engine runs.

    Example:

      forewarn drill memory-leak

    Exit codes: 0 the whole story happened, 1 something did not, 2 wrong usage.
    """
    from aiops.cli import drill_process
    from aiops.cli.drill_receiver import Receiver
    from aiops.cli.drill_story import Story

    api = Api.of(url, config)
    host, port, secret = _sink(api.get("/config"))
    if drill_process.living():
        raise Failure("a drill is running already; `forewarn drill stop` ends it")
    with Receiver(host, port, secret) as receiver:
        _settled(api)
        child = drill_process.start(STEADY)
        try:
            _wait_for_leak(child)
            story = Story(api, receiver, child, time.time())
            _follow(story)
        finally:
            child.kill()
            child.communicate()
    _judge(story, receiver)


@app.command("stop", short_help="End the drill's process.")
def stop() -> None:
    """End the process of a drill started in this folder. Safe at any time; the drill's playbook runs it.

    Example:

      forewarn drill stop

    Exit codes: 0 no drill process is left, 1 one could not be ended.
    """
    from aiops.cli import drill_process

    pids = drill_process.stop()
    if drill_process.living():
        raise Failure("a drill process could not be ended")
    typer.echo(f"ended {', '.join(f'pid {pid}' for pid in pids)}" if pids else "no drill is running")


@app.command("status", short_help="Whether a drill's process lives.")
def status() -> None:
    """Whether a drill started in this folder has a living process. The drill's playbook verifies with it.

    Example:

      forewarn drill status

    Exit codes: 0 none lives, 1 one does.
    """
    from aiops.cli import drill_process

    children = drill_process.living()
    typer.echo(f"drill process: {', '.join(f'pid {c.pid}' for c in children) or 'none'}")
    raise typer.Exit(1 if children else 0)


def _sink(config: dict[str, Any]) -> tuple[str, int, str]:
    """Host, port and secret of the running engine's sink for the drill. Raises `Failure`."""
    from urllib.parse import urlsplit

    sinks = [one for one in config["sinks"] if one.get("name") == "drill" and one.get("url")]
    if not sinks:
        raise Failure(
            "the running engine has no sink named `drill`: copy the drill's limit, sink, route and playbook "
            "from the settings that ship with Forewarn"
        )
    address = urlsplit(sinks[0]["url"])
    file = Path(sinks[0]["secret"]["file"] or "")
    try:
        secret = file.read_text().strip()
    except OSError as why:
        raise Failure(
            f"{file}: {why.strerror}; run the drill in the folder in which the engine runs"
        ) from why
    return address.hostname or "127.0.0.1", address.port or 80, secret


def _settled(api: Api) -> None:
    """Wait until the alert of the last drill has ended: the same one cannot fire twice."""
    from aiops.cli.drill_child import NAME
    from aiops.cli.drill_story import fired_drill

    until = time.monotonic() + SETTLE
    told = False
    while any(map(fired_drill, api.get("/alerts", text=NAME, state="firing")["items"])):
        if time.monotonic() > until:
            raise Failure("the last drill's alert still fires; see `forewarn problems`")
        if not told:
            typer.echo("waiting for the last drill's alert to end")
        told = True
        time.sleep(1)


def _wait_for_leak(child: "subprocess.Popen[str]") -> None:
    typer.echo(f"a process holds 40 MiB for {STEADY:.0f} s, then leaks (pid {child.pid})")
    if child.stdout is None or child.stdout.readline() != "leaking\n":
        raise Failure("the drill's process ended before it leaked")


def _follow(story: "Story") -> None:
    """Print each moment as it comes, until all have come or patience ends."""
    from rich.console import Console

    console = Console(highlight=False)
    _tell(console, story, list(story.moments.values()))
    until = time.monotonic() + PATIENCE
    with console.status("watching"):
        while not story.complete and time.monotonic() < until:
            _tell(console, story, story.look())
            time.sleep(POLL)


def _tell(console: Any, story: "Story", moments: list[Any]) -> None:
    from aiops.cli.drill_story import STEPS

    for moment in moments:
        seconds = max(0.0, moment.at - story.begun)
        line = f"[cyan]{seconds:6.1f} s[/]  [bold]{STEPS[moment.step]:24}[/]  {moment.detail}"
        console.print(line, soft_wrap=True)


def _judge(story: "Story", receiver: "Receiver") -> None:
    if story.complete:
        total = max(moment.at for moment in story.moments.values()) - story.begun
        typer.echo(f"from fault to told: {total:.1f} s")
        return
    lines = [f"after {PATIENCE:.0f} s this has not happened: {', '.join(story.missing)}"]
    if story.problem:
        lines.append(f"problem {story.problem['id']} is {story.problem['state']}: {story.problem['reason']}")
    if receiver.refused:
        lines.append(f"the receiver turned a message away: {receiver.refused[0]}")
    raise Failure("\n".join(lines))
