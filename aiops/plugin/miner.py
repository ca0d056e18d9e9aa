"""Miners: from log lines to the templates they were printed from. Online, bounded in memory."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiops.plugin.params import Plugin

WILD = "<*>"
"""What stands in a template's text for whatever varies."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Two templates turned out to be one: from now on lines of `gone` bear the id of `into`."""

    gone: int
    into: int
    name: str
    """Of `gone`."""


@dataclass(frozen=True, slots=True)
class Template:
    """What is known of one template.

    ``id`` counts up within an installation; ``name`` follows from the line that gave birth to it, so that the
    same line gives the same name after a restart and anywhere else. ``level``: the word in the line that says
    how bad it is, lower case, empty when there is none. ``lines``: how many bore its id.
    """

    id: int
    name: str
    text: str
    level: str
    lines: int


class Miner(Plugin):
    """Gives each line the id of its template. Pure: no clock, no I/O, no threads; bounded in memory."""

    @abstractmethod
    def add(self, lines: Sequence[str]) -> list[int]:
        """The id of each line, in order, learning from them. A line holds no line feed."""

    @abstractmethod
    def find(self, template: int) -> Template | None:
        """The template that `template` is, or was merged into; None once it was forgotten."""

    @abstractmethod
    def extract(self, line: str) -> tuple[int, list[str]]:
        """(id, the texts in the places of its wildcards) of one line; id -1 when unknown. Learns nothing."""

    @abstractmethod
    def take_merges(self) -> list[Merge]:
        """Merges since the last call, oldest first."""

    @abstractmethod
    def take_forgotten(self) -> list[int]:
        """Ids forgotten since the last call, to make room for new ones."""

    @abstractmethod
    def snapshot(self) -> dict[str, Any]:
        """JSON-able; `restore` of it gives the same ids to the same lines."""

    @abstractmethod
    def restore(self, data: Mapping[str, Any]) -> None:
        """Take over what `snapshot` gave. Raises ValueError when it is none."""
