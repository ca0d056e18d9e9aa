"""Deploys, rollouts and the like of the last hours: what may have brought a problem."""

from collections import deque
from collections.abc import Collection, Sequence

from aiops.core import words
from aiops.core.components import entity_of
from aiops.model.frame import Change
from aiops.model.series import Labels

KEPT = 6 * 3600.0
"""Seconds for which a change is remembered here; the store keeps it longer."""
MOST = 5000
BROUGHT = 1800.0
"""Seconds before a problem began within which a change may have brought it."""
TOLD_LATE = 60.0
"""Seconds by which a change may seem to come after what it brought: a poll has its own pace."""
UNMEANT = "restart"
"""The kind that nobody decided on: what follows a crash is no new normal."""


class Changes:
    """Recent changes, by time."""

    def __init__(self, by: Sequence[str]) -> None:
        self._by = list(by)
        self._recent: deque[Change] = deque(maxlen=MOST)
        self._latest: dict[str, Change] = {}
        """Per component, of those that somebody made."""

    def adopt(self, old: "Changes") -> None:
        self._recent = old._recent
        for change in self._recent:
            self._note(change)

    def restore(self, changes: Sequence[Change]) -> None:
        """Take up stored ones, oldest first."""
        self._recent.extend(changes)
        for change in changes:
            self._note(change)

    def take(self, change: Change) -> bool:
        """Whether it is news: senders repeat themselves."""
        if any(_same(known, change) for known in self._recent):
            return False
        while self._recent and self._recent[0].time < change.time - KEPT:
            self._recent.popleft()
        self._recent.append(change)
        self._note(change)
        return True

    def before(self, began: float) -> list[Change]:
        """Those that may have brought what began then (epoch s), oldest first."""
        found = [one for one in self._recent if began - BROUGHT <= one.time <= began]
        return sorted(found, key=lambda one: one.time)

    def explaining(self, labels: Labels, began: float) -> Change | None:
        """The last change of the component of `labels`, if what began then (epoch s) followed it.

        None once there was another since, such as a rollback: that tells what came before it for a fault.
        """
        change = self._latest.get(entity_of(labels, self._by)) if self._latest else None
        return change if change and began - BROUGHT <= change.time <= began + TOLD_LATE else None

    def concern(self, change: Change, components: Collection[str]) -> bool:
        """Whether it was made to one of `components`, or to nothing that is named."""
        entity = entity_of(change.labels, self._by)
        return entity in components if entity else True

    def _note(self, change: Change) -> None:
        entity = entity_of(change.labels, self._by)
        known = self._latest.get(entity)
        if not entity or change.kind == UNMEANT or (known and known.time > change.time):
            return
        self._latest.pop(entity, None)
        self._latest[entity] = change
        if len(self._latest) > MOST:
            del self._latest[next(iter(self._latest))]


def words_of(change: Change) -> str:
    """In one line."""
    where = ", ".join(f"{name} {value}" for name, value in change.labels)
    return f"{change.kind}: {change.title}" + (f" ({where})" if where else "")


def when(change: Change, began: float) -> str:
    """How long before the problem it was made."""
    return f"{words.duration(max(0.0, began - change.time))} before it began"


def _same(one: Change, other: Change) -> bool:
    return (one.time, one.kind, one.title, one.labels) == (other.time, other.kind, other.title, other.labels)
