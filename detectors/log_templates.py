"""Templates mined in three levels, without being told about the format of the lines."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, PrivateAttr, field_validator

from aiops.plugin import Merge, Miner, Template
from detectors._log_front import Front
from detectors._log_levels import Levels
from detectors._log_match import name_of


class LogTemplates(Miner):
    """Finds the templates of log lines by itself.

    1. A line without its digits is looked up as it is. So lines equal after deleting digits share a template.
    2. Its tokens, each masked by its shape, are looked up.
    3. The masked tokens, in canonical form, are matched with the templates that share their first sure word:
       a plain word that differs blocks, an identifier costs little. Templates that differ in one word only
       become one when there are enough of them.

    The idea of an index over token counts and words is Drain's (He et al., ICWS 2017); caches, costs and late
    merges are our own.
    """

    masks: list[str] = Field(
        default_factory=list,
        description="Regular expressions of what varies in your logs, beyond what is found by itself.",
    )
    max_templates: int = Field(
        10_000, ge=100, le=1_000_000, description="Templates kept; those seen longest ago go first."
    )
    cache_mb: float = Field(24.0, ge=1, le=4096, description="Memory for lines and tokens seen lately.")

    _levels: Levels = PrivateAttr()

    @field_validator("masks")
    @classmethod
    def _are_patterns(cls, value: list[str]) -> list[str]:
        for mask in value:
            try:
                re.compile(mask)
            except re.error as bad:
                raise ValueError(f"bad regular expression {mask!r}: {bad}") from bad
        return value

    def model_post_init(self, context: Any, /) -> None:
        self._levels = Levels(Front(self.masks), self.max_templates, int(self.cache_mb * (1 << 20)))

    def add(self, lines: Sequence[str]) -> list[int]:
        return self._levels.add(lines)

    def find(self, template: int) -> Template | None:
        patterns = self._levels.patterns
        found = patterns.live.get(patterns.root(template))
        if found is None:
            return None
        return Template(found.id, name_of(found.birth), found.text, found.level, found.lines)

    def extract(self, line: str) -> tuple[int, list[str]]:
        return self._levels.extract(line)

    def take_merges(self) -> list[Merge]:
        merges, self._levels.patterns.merges = self._levels.patterns.merges, []
        return merges

    def take_forgotten(self) -> list[int]:
        forgotten, self._levels.patterns.forgotten = self._levels.patterns.forgotten, []
        return forgotten

    def snapshot(self) -> dict[str, Any]:
        return self._levels.snapshot()

    def restore(self, data: Mapping[str, Any]) -> None:
        try:
            self._levels.restore(data)
        except (KeyError, TypeError) as why:
            raise ValueError(f"no snapshot of templates: {why!r}") from why
