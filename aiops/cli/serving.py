"""Puts engine and web together: the process behind ``forewarn run``."""

import asyncio
import shutil
import sys
import time
from pathlib import Path

from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from aiops.cli import logs
from aiops.cli.failure import Failure, load
from aiops.config.complaint import ConfigError
from aiops.config.discretion import Discretion
from aiops.config.read import find
from aiops.engine.clock import SystemClock
from aiops.engine.engine import Engine
from aiops.engine.lock import DAMAGED
from aiops.engine.main import serve as serve_engine
from aiops.store.database import StoreError
from aiops.web.app import create_app


def serve(config: Path | None, data: Path | None) -> int:
    """Run the engine until it is told to stop; returns the exit code. Raises `Failure` if it cannot start."""
    started = time.monotonic()
    out = Console(highlight=False)
    clean = Discretion()
    logs.begin(out, clean)
    settings = load(config, data)
    clean.follow(lambda: settings)
    logs.keep(settings.data, clean, SystemClock().now())

    def greet(engine: Engine, token: str) -> None:
        clean.follow(lambda: engine.config)
        sources = ", ".join(source.name for source in settings.sources)
        keep = "asked for when you change something; shown only now"
        lines = [
            f"\n  [bold]Forewarn[/] watches {sources}; ready after {time.monotonic() - started:.1f} s",
            f"  console  {settings.web.address}/",
            f"  token    {token}  ({keep})" if token else "",
            f"  try      {_command()} drill memory-leak  (in another terminal)",
            "  stop     Ctrl-C\n",
        ]
        out.print("\n".join(filter(None, lines)), soft_wrap=True)

    try:
        return asyncio.run(serve_engine(settings, find(config), create_app, greet))
    except (StoreError, ConfigError) as why:
        raise Failure(str(why)) from why
    except SQLAlchemyError as why:
        said = f"the store cannot be used: {str(why).splitlines()[0]}"
        raise Failure(
            f"{said}; {DAMAGED}" if "malformed" in said or "not a database" in said else said
        ) from why
    except OSError as why:
        raise Failure(f"cannot start: {why}") from why


def _command() -> str:
    """How this very program is called from here."""
    program = Path(sys.argv[0]).absolute()
    on_path = shutil.which("forewarn")
    if on_path and Path(on_path).absolute() == program:
        return "forewarn"
    return str(program.relative_to(Path.cwd())) if program.is_relative_to(Path.cwd()) else str(program)
