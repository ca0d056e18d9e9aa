"""Where log records go: to the terminal or the supervisor, and the last of them into the data folder."""

import logging
import os
import socket
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler

from aiops.cli.json_lines import JsonLines
from aiops.engine.trace import Traced

KEPT = 5_000_000
"""Bytes of a file, of which there are two: some 30,000 lines."""
OLD = 7 * 86400.0
"""Seconds after which the file of an engine that is no more is deleted."""
_NOISY = ("httpx", "httpcore", "uvicorn", "alembic", "asyncio", "numba")


class Discreet(logging.Formatter):
    """Another formatter's lines without secrets, whoever wrote them."""

    def __init__(self, inner: logging.Formatter, clean: Callable[[str], str]) -> None:
        super().__init__()
        self._inner, self._clean = inner, clean

    def format(self, record: logging.LogRecord) -> str:
        return self._clean(self._inner.format(record))


class Kept(RotatingFileHandler):
    """The last lines in the data folder, for `forewarn support-bundle`. What cannot be written is let go."""

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk is told by those whose work it stops, and not once more by each line about it."""


def begin(out: Console, clean: Callable[[str], str]) -> None:
    """``FOREWARN_LOG_FORMAT``: json or console; ``FOREWARN_LOG_LEVEL``: debug, info, warning or error."""
    handler: logging.Handler
    form: logging.Formatter
    if os.environ.get("FOREWARN_LOG_FORMAT", "") == "json":
        handler, form = logging.StreamHandler(), JsonLines()
    elif out.is_terminal:
        handler = RichHandler(console=out, show_path=False, markup=False, log_time_format="%H:%M:%S")
        form = logging.Formatter("%(message)s")
    else:
        handler = logging.StreamHandler()
        form = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s %(message)s%(trace)s")
    handler.addFilter(Traced())
    handler.setFormatter(Discreet(form, clean))
    level = os.environ.get("FOREWARN_LOG_LEVEL", "info").upper()
    logging.basicConfig(
        level=level if level in logging.getLevelNamesMapping() else "INFO", handlers=[handler]
    )
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)


def keep(data: Path, clean: Callable[[str], str], now: float) -> None:
    """From now on (epoch s) the last lines are in the data folder too, if that can be written."""
    folder = data / "log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.log*"):
            if old.stat().st_mtime < now - OLD:
                old.unlink()
        name = "".join(c if c.isalnum() or c in "-." else "-" for c in socket.gethostname()) or "forewarn"
        handler = Kept(folder / f"{name}.log", maxBytes=KEPT, backupCount=1, encoding="utf-8")
    except OSError as why:
        logging.getLogger("aiops").warning("no log is kept in %s: %s", folder, why.strerror)
        return
    handler.addFilter(Traced())
    handler.setFormatter(Discreet(JsonLines(), clean))
    logging.getLogger().addHandler(handler)


def last(data: Path, count: int) -> list[str]:
    """The last lines of every engine on this data folder, each engine's in their order; at most `count`."""
    found: list[str] = []
    for path in sorted((data / "log").glob("*.log")):
        lines: list[str] = []
        for part in (path.with_name(path.name + ".1"), path):
            try:
                lines += part.read_text("utf-8", "replace").splitlines()
            except OSError:
                continue
        found += lines[-count:]
    return found
