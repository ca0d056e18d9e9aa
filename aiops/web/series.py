"""Finding series: by selector, by words, or by the fingerprint that stands in links."""

from dataclasses import dataclass

from aiops.model.selector import Selector
from aiops.model.series import Labels, fingerprint, text_of
from aiops.web.ports import Engine


@dataclass(frozen=True, slots=True)
class Found:
    """One series of the index; ``last_seen`` epoch s, NaN when never."""

    slot: int
    id: str
    labels: Labels
    text: str
    ready: bool
    last_seen: float


class Finder:
    """Searches the engine's index; remembers which label set a fingerprint stands for.

    A fingerprint is one-way, and hashing 200,000 label sets takes about a second: once is enough.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._labels: dict[str, Labels] = {}

    def search(self, query: str, after: int, limit: int) -> tuple[list[Found], int | None]:
        """Up to `limit` series from slot `after` on, and the slot to go on from (None at the end).

        A query with ``{`` is a selector; any other is words that must all occur. Raises `SelectorError`.
        """
        index, found = self._engine.index, list[Found]()
        selector = Selector.parse(query) if "{" in query else None
        words = query.lower().split() if selector is None else []
        ready = self._engine.ready_slots()
        for slot in range(after, index.capacity):
            try:
                labels = index.labels(slot)
            except KeyError:
                continue
            text = text_of(labels)
            if selector is not None and not selector.matches(dict(labels)):
                continue
            if words and not all(word in text.lower() for word in words):
                continue
            if len(found) == limit:
                return found, slot
            found.append(self._found(slot, labels, text, bool(ready[slot]) if slot < len(ready) else False))
        return found, None

    def get(self, ident: str) -> Found | None:
        """The series that the fingerprint names, while it is watched."""
        index = self._engine.index
        if ident not in self._labels:
            self._labels = {fingerprint(labels): labels for _, labels in index.items()}
        labels = self._labels.get(ident)
        slot = index.find(labels) if labels is not None else None
        if labels is None or slot is None:
            return None
        ready = self._engine.ready_slots()
        return self._found(slot, labels, text_of(labels), bool(ready[slot]) if slot < len(ready) else False)

    def _found(self, slot: int, labels: Labels, text: str, ready: bool) -> Found:
        ident = fingerprint(labels)
        self._labels[ident] = labels
        last = self._engine.index.last_seen(slot) or float("nan")
        return Found(slot, ident, labels, text, ready, last)


@dataclass(frozen=True, slots=True)
class Watch:
    """What is watched, and how ready it is."""

    series: int
    ready: int
    sources: int


def watch(engine: Engine) -> Watch:
    """Counts over the whole index."""
    flags = engine.ready_slots()
    slots = engine.index.live()
    slots = slots[slots < len(flags)]
    return Watch(len(engine.index), int(flags[slots].sum()), len(engine.sources()))
