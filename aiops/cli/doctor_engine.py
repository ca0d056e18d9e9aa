"""What `forewarn doctor` hears from the engine, where one runs."""

import socket
from dataclasses import dataclass
from typing import Any

import aiops
from aiops.cli.api import Api, NotRunning, address
from aiops.cli.failure import Failure
from aiops.cli.finding import Finding, fail, ok, warn
from aiops.config import Config
from aiops.store import checkpoints


@dataclass(slots=True)
class Running:
    """An engine that answers. `sources`: None where it would not tell us."""

    url: str
    ready: bool
    said: str
    version: str = ""
    sources: list[dict[str, Any]] | None = None
    dead: int = 0


def ask(config: Config, url: str = "") -> Running | None:
    """The engine of this config, or None where none runs."""
    tls = config.web.tls
    api = Api(url or address(config.web.listen, bool(tls)), tls.cert if tls and not url else None)
    try:
        running = Running(api.url, True, api.text("/-/ready").strip())
    except NotRunning:
        return None
    except Failure as why:
        running = Running(api.url, False, str(why).partition("says: ")[2] or str(why))
    try:
        running.version = str(api.get("/openapi.json")["info"]["version"])
        running.sources = list(api.get("/sources")["items"])
        running.dead = len(api.get("/deliveries", state="dead", limit=500)["items"])
    except (Failure, KeyError, TypeError):
        pass  # reading needs a token here: it is asked for in `findings`
    return running


def findings(config: Config, running: Running | None, now: float) -> list[Finding]:
    """On the engine itself; `now`: epoch s."""
    if running is None:
        return [_address(config)]
    found = []
    if running.ready:
        found.append(ok("engine", f"{running.url} is {running.said}"))
    else:
        do = "its log says why; docs/runbook.md has a section for each alert"
        found.append(fail("engine", f"{running.url} says: {running.said}", do))
    if running.version and running.version != aiops.__version__:
        told = f"{running.version} runs, and this command is {aiops.__version__}"
        found.append(warn("engine", told, "restart it, to take up what was installed"))
    if running.sources is None:
        found.append(warn("engine", "it tells its sources only to those it knows", "set FOREWARN_TOKEN"))
    if running.dead:
        do = "put right what refuses them and replay them: console, Deliveries"
        found.append(fail("deliveries", f"{running.dead} are dead letters", do))
    return found + _checkpoint(config, now)


def _address(config: Config) -> Finding:
    family = socket.AF_INET6 if ":" in config.web.host else socket.AF_INET
    try:
        socket.create_server((config.web.host, config.web.port), family=family).close()
    except OSError as why:
        do = "choose another under `web: {listen: ...}`"
        return fail("engine", f"it does not run, and {config.web.listen}: {why.strerror or why}", do)
    return ok("engine", f"it does not run; {config.web.listen} is free")


def _checkpoint(config: Config, now: float) -> list[Finding]:
    """Whether learnt state reaches the disk."""
    place = config.data / "checkpoints"
    numbers = checkpoints.numbers(place) if place.exists() else []
    if not numbers:
        return []
    try:
        age = now - (place / f"{numbers[-1]:010d}").stat().st_mtime
    except OSError:
        return []  # a newer one took its place just now
    if age > max(300.0, 10 * config.checkpoint_every):
        do = "look for `aiops.checkpoint` in its log: is the disk full or read-only?"
        return [warn("checkpoint", f"the newest is {age:.0f} s old", do)]
    return [ok("checkpoint", f"the newest is {max(0.0, age):.0f} s old")]
