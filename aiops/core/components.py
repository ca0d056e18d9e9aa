"""Which series speak of which component, or of its calls to another."""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from aiops.core.rootcause_score import Family, family
from aiops.model.series import NAME, Labels, SeriesIndex

Call = tuple[str, str]


def entity_of(labels: Labels, by: Sequence[str]) -> str:
    """The component that a series belongs to: the value of its first grouping label, or empty."""
    named = dict(labels)
    return next((value for name in by if (value := named.get(name))), "")


class Components:
    """The slots of each component and call, of those below `most`: the others have no recent past to show."""

    def __init__(
        self, index: SeriesIndex, by: Sequence[str], calls: Sequence[Sequence[str]], most: int
    ) -> None:
        self._index, self._by, self._most = index, list(by), most
        self._pairs = [(one, other) for one, other in calls]
        self._slots: dict[str | Call, set[int]] = {}
        self.family: dict[int, Family] = {}
        """What each slot's metric says of its owner."""
        self._owner: dict[int, str | Call] = {}
        self.welcome(index.live())

    def welcome(self, fresh: NDArray[np.int32]) -> None:
        """New or reused slots."""
        near = fresh[fresh < self._most]
        for slot in near.tolist():
            before = self._owner.pop(slot, None)
            if before is not None:
                self._drop(before, slot)
        if not len(near):
            return
        # many have one owner, and most metrics come many times
        asked = [*dict.fromkeys((*self._by, *chain.from_iterable(self._pairs)))]
        ends, owned = self._index.alike(near, asked)
        names, named = self._index.alike(near, [NAME])
        owners = [self._owner_of(labels) for labels in ends]
        families = [family(dict(labels).get(NAME, "")) for labels in names]
        for slot, at, name in zip(near.tolist(), owned.tolist(), named.tolist(), strict=True):
            if owner := owners[at]:
                self.family[slot] = families[name]
                self._owner[slot] = owner
                self._slots.setdefault(owner, set()).add(slot)

    def slots(self, owner: str | Call) -> list[int]:
        """Of a component, or of the calls (caller, callee) of one to another."""
        return sorted(self._slots.get(owner, ()))

    def calls_among(self, components: Iterable[str]) -> list[Call]:
        """Calls that are measured, both ends being among `components`."""
        known = set(components)
        found = [own for own in self._slots if isinstance(own, tuple) and own[0] in known and own[1] in known]
        return sorted(found)

    def _owner_of(self, labels: Labels) -> str | Call:
        """A series with both ends of a call belongs to it, unless it is one end's own view."""
        named = dict(labels)
        entity = entity_of(labels, self._by)
        for one, other in self._pairs:
            ends = named.get(one, ""), named.get(other, "")
            if all(ends) and ends[0] != ends[1] and entity not in ends:
                return ends
        return entity

    def _drop(self, owner: str | Call, slot: int) -> None:
        self._slots[owner].discard(slot)
        if not self._slots[owner]:
            del self._slots[owner]
