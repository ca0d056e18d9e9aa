"""Puts engine and web together: the process behind ``forewarn run``."""

import asyncio
import logging
import os
import shutil
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler
from sqlalchemy.exc import SQLAlchemyError

from aiops.cli.failure import Failure, load
from aiops.cli.json_lines import JsonLines
from aiops.config.complaint import ConfigError
from aiops.config.read import find
from aiops.engine.engine import Engine
from aiops.engine.main import serve as serve_engine
from aiops.store.database import StoreError
from aiops.web.app import create_app


def serve(config: Path | None, data: Path | None) -> int:
    """Run the engine until it is told to stop; returns the exit code. Raises `Failure` if it cannot start."""
    started = time.monotonic()
    out = Console(highlight=False)
    _logging(out)
    settings = load(config, data)

    def greet(engine: Engine, token: str) -> None:
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
        raise Failure(f"the store cannot be used: {str(why).splitlines()[0]}") from why
    except OSError as why:
        raise Failure(f"cannot start: {why}") from why


def _command() -> str:
    """How this very program is called from here."""
    program = Path(sys.argv[0]).absolute()
    on_path = shutil.which("forewarn")
    if on_path and Path(on_path).absolute() == program:
        return "forewarn"
    return str(program.relative_to(Path.cwd())) if program.is_relative_to(Path.cwd()) else str(program)


def _logging(out: Console) -> None:
    """``FOREWARN_LOG_FORMAT``: json or console; ``FOREWARN_LOG_LEVEL``: debug, info, warning or error."""
    handler: logging.Handler
    if os.environ.get("FOREWARN_LOG_FORMAT", "") == "json":
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
    elif out.is_terminal:
        handler = RichHandler(console=out, show_path=False, markup=False, log_time_format="%H:%M:%S")
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
    level = os.environ.get("FOREWARN_LOG_LEVEL", "info").upper()
    logging.basicConfig(
        level=level if level in logging.getLevelNamesMapping() else "INFO", handlers=[handler]
    )
    for noisy in ("httpx", "httpcore", "uvicorn", "alembic", "asyncio", "numba"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
