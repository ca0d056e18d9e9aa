"""SLIs that are told by series a source already yields, under the labels that tie them to a service.

And, beside them, the series that limits are judged by and no source yields (`aiops.core.derived`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiops.core.derived import Derived, DerivedSeries
from aiops.model.frame import Frame
from aiops.model.selector import Matcher, Selector
from aiops.model.series import Labels, SeriesIndex, labels_of


@dataclass(frozen=True, slots=True)
class Named:
    """Each series that matches is judged as one that bears `labels` too."""

    match: Selector
    labels: Mapping[str, str]

    @property
    def selector(self) -> Selector:
        """What the SLI is judged by: the copies, and series that bear the labels of themselves."""
        own = tuple(Matcher(name, "=", value) for name, value in sorted(self.labels.items()))
        return Selector((*self.match.matchers, *own))


class SliSeries:
    """Copies samples of matching series to the series under which their SLI is judged and shown."""

    def __init__(self, index: SeriesIndex, slis: Sequence[Named], derived: Sequence[Derived] = ()) -> None:
        self._index, self._slis = index, list(slis)
        self._derived = DerivedSeries(index, derived)
        self._copies: dict[int, list[int]] = {}
        self.copies: set[Labels] = self._derived.labels
        """Detectors need not speak of these: they speak of the originals."""
        self.welcome(index.live())

    def welcome(self, fresh: NDArray[np.int32]) -> None:
        """New or reused slots. The copies are fresh slots themselves: take them from the index after this."""
        self._derived.welcome(fresh)
        if not self._slis:
            return
        gone = set(fresh.tolist())
        self._copies = {slot: copies for slot, copies in self._copies.items() if slot not in gone}
        self._copy(fresh)

    def forget(self, gone: NDArray[np.int32]) -> None:
        """Slots that the index has freed, copies among them: what lives on is copied to others."""
        self._derived.forget(gone)
        lost = set(gone.tolist())
        stale = [slot for slot, copies in self._copies.items() if slot in lost or not lost.isdisjoint(copies)]
        for slot in stale:
            del self._copies[slot]
        self.copies.difference_update([one for one in self.copies if self._index.find(one) is None])
        self._copy(np.array([slot for slot in stale if slot not in lost], np.int32))

    def _copy(self, fresh: NDArray[np.int32]) -> None:
        for sli in self._slis:
            for slot in fresh[self._index.matches(fresh, sli.match)].tolist():
                own = self._index.labels(slot)
                labels = labels_of({**dict(own), **sli.labels})
                if labels != own and own not in self.copies:
                    self._copies.setdefault(slot, []).append(self._index.slot(labels))
                    self.copies.add(labels)

    def beside(self, frame: Frame) -> Frame:
        """`frame` with the copies of its series, and what is derived of them, as further columns."""
        frame = self._derived.beside(frame)
        if not self._copies:
            return frame
        found = [
            (place, copy)
            for place, slot in enumerate(frame.slots.tolist())
            for copy in self._copies.get(slot, ())
        ]
        if not found:
            return frame
        places = np.array([place for place, _ in found])
        copies = np.array([copy for _, copy in found], np.int32)
        values = np.concatenate([frame.values, frame.values[:, places]], axis=1)
        self._index.expect(copies)
        return Frame(frame.times, np.concatenate([frame.slots, copies]), values)
