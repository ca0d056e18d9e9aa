"""One clear line instead of a traceback."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiops.config import Config


class Failure(Exception):
    """The command failed; the text is for people. Exit code 1."""


def load(path: Path | None, data: Path | None = None) -> "Config":
    """The config that is meant. Raises `Failure`, with every complaint about it."""
    from aiops.config.complaint import ConfigError
    from aiops.config.read import find, read

    try:
        return read(find(path), data)
    except ConfigError as why:
        count = len(why.complaints)
        faults = f"{count} faults" if count > 1 else "one fault"
        raise Failure(f"{why}\n\n{find(path)} has {faults}") from why
