"""``forewarn support-bundle``: what somebody who helps needs to see, and no secret."""

import io
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.failure import Failure, load
from aiops.cli.live import UrlOption
from aiops.cli.run import ConfigOption, DataOption

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiops.config import Config

LINES = 5000
"""Log lines of each engine."""
ROWS = 1000
"""Rows of the audit trail."""
_SETTINGS = ("FOREWARN_LOG_FORMAT", "FOREWARN_LOG_LEVEL", "FOREWARN_URL", "TZ", "LANG")
"""Of the environment only these are told, and of other FOREWARN_ variables that they are set."""


def register(app: typer.Typer) -> None:
    app.command("support-bundle", short_help="Write one file for whoever helps, without secrets.")(bundle)


def bundle(
    out: Annotated[
        Path | None,
        typer.Argument(help="The file; forewarn-support-TIME.tar.gz when left out.", metavar="[FILE]"),
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    url: UrlOption = "",
) -> None:
    """Write config, versions, findings, schema, metrics, health, last log lines and audit rows into one file.

    Secrets are blanked: the very values that the config refers to, and whatever looks like one. Names of
    hosts, labels and titles of problems are in it: look at it (`tar xzf`) before you send it. The engine may
    run or not.

    Examples:

      forewarn support-bundle

      forewarn support-bundle /tmp/for-support.tar.gz --config forewarn.yaml

    Exit codes: 0 written, 1 it could not be, 2 wrong usage.
    """
    from datetime import UTC, datetime

    from aiops.engine.clock import SystemClock

    now = SystemClock().now()
    settings = load(config, data)
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    target = out or Path(f"forewarn-support-{stamp}.tar.gz")
    try:
        names = write(target, gather(settings, config, data, url, now), now)
    except OSError as why:
        raise Failure(f"{target} cannot be written: {why.strerror}") from why
    typer.echo(f"{target}: {', '.join(names)}")


def gather(settings: "Config", path: Path | None, data: Path | None, url: str, now: float) -> dict[str, str]:
    """File -> its text, without secrets. A part that cannot be had says why in its place."""
    import os

    from aiops.cli import support_parts as parts
    from aiops.config.discretion import Discretion

    token = os.environ.get("FOREWARN_TOKEN", "")
    clean = Discretion([token])
    clean.follow(lambda: settings)
    made: dict[str, Callable[[], Any]] = {
        "about.json": lambda: parts.about(now),
        "config.json": lambda: parts.config(settings),
        "doctor.json": lambda: parts.findings(path, data, url),
        "environment.json": lambda: parts.environment(_SETTINGS),
        "store.json": lambda: parts.store(settings),
        "audit.json": lambda: parts.audit_rows(settings, ROWS),
        "log.jsonl": lambda: parts.log_lines(settings, LINES),
        "metrics.txt": lambda: parts.metrics(settings, url),
        "health.json": lambda: parts.health(settings, url),
    }
    return {name: _text(name, work, clean) for name, work in made.items()}


def _text(name: str, work: "Callable[[], Any]", clean: "Callable[[str], str]") -> str:
    """A part; the bundle of an installation that is broken is the one that is needed."""
    from sqlalchemy.exc import SQLAlchemyError

    from aiops.store.database import StoreError

    try:
        found = work()
    except (Failure, SQLAlchemyError, StoreError, OSError, ValueError, LookupError) as why:
        found = f"not to be had: {type(why).__name__}: {str(why).splitlines()[0] if str(why) else ''}"
    if isinstance(found, str):
        return clean(found)
    # cleaned by line: in JSON a quote or backslash of a secret would be written in another way
    text = json.dumps(_cleaned(found, clean), indent=1, ensure_ascii=False, default=str)
    return text + "\n"


def _cleaned(value: Any, clean: "Callable[[str], str]") -> Any:
    if isinstance(value, dict):
        return {clean(str(name)): _cleaned(one, clean) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(one, clean) for one in value]
    return clean(value) if isinstance(value, str) else value


def write(out: Path, files: dict[str, str], at: float) -> list[str]:
    """A tar of `files`, for its owner only; the names in it. Raises OSError."""
    aside = out.with_name(out.name + ".writing")
    try:
        aside.touch(0o600)
        with tarfile.open(aside, "w:gz") as tar:
            for name, text in files.items():
                content = text.encode()
                entry = tarfile.TarInfo(f"forewarn-support/{name}")
                entry.size, entry.mtime, entry.mode = len(content), int(at), 0o600
                tar.addfile(entry, io.BytesIO(content))
        aside.replace(out)
    finally:
        aside.unlink(missing_ok=True)
    return list(files)
