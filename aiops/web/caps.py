"""How many series sources may bring, and what they were refused over it."""

from dataclasses import dataclass

from aiops.config import Config

A_QUERY = frozenset(("prometheus",))
"""Kinds whose ``max_series`` is that of one query."""


@dataclass(frozen=True, slots=True)
class Cap:
    """``max_series`` of a source; None where it has none."""

    max_series: int | None = None
    a_query: bool = False
    counted: int | None = None
    """Series that count towards it; of one query, those of the largest."""
    over_cap: int = 0
    """Samples that were left out because their series were beyond it, since the start."""
    refused: int = 0
    """Samples whose series' labels were too long, too many or doubled, since the start."""


def caps(config: Config) -> dict[str, Cap]:
    """Source name -> its cap."""
    found = {}
    for source in config.sources:
        tally = source.tally()
        found[source.name] = Cap(
            getattr(source, "max_series", None) or None,
            source.kind in A_QUERY,
            tally.get("series"),
            tally.get("over_cap", 0),
            tally.get("refused", 0),
        )
    return found
