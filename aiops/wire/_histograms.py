"""Classic histograms: which buckets belong together, and the quantiles' own series."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aiops.model.rows import grown
from aiops.model.series import NAME, Labels, SeriesIndex, labels_of
from aiops.wire._settle import GROUP, quantiles
from aiops.wire._tracks import BUCKET, IGNORED, Tracks


class Histograms:
    """Buckets have no slots: a histogram is watched as its quantiles, ``name{quantile="0.99"}``."""

    def __init__(self, index: SeriesIndex, shares: Sequence[float]) -> None:
        self._index = index
        self.shares = np.array(shares, np.float64)
        self.groups = np.zeros(0, GROUP)
        self.slots = np.zeros((0, len(shares)), np.int32)
        self._generations = np.zeros((0, len(shares)), np.uint32)
        self.bounds, self.fresh = np.zeros(0), np.zeros(0)
        self._used = 0
        self._group_of: dict[int, int] = {}
        self._free: list[int] = []

    def join(self, tracks: Tracks, ref: int, labels: Labels) -> None:
        """Make the track `ref` a bucket of the histogram that `labels` belong to."""
        found = dict(labels)
        bound = _bound(found.pop("le", ""))
        name = found.pop(NAME, "").removesuffix("_bucket")
        row = tracks.rows[ref]
        row["kind"] = IGNORED
        if np.isnan(bound) or not name or not len(self.shares):
            return
        number = self._group(
            [labels_of(found | {NAME: name, "quantile": f"{share:g}"}) for share in self.shares]
        )
        group = self.groups[number]
        first, size = int(group["first"]), int(group["size"])
        places = np.flatnonzero(self.bounds[first : first + size] == bound)
        row["kind"], row["group"], row["value"] = BUCKET, number, np.nan
        row["slot"] = places[0] if len(places) else self._more(number, bound)

    def watched(
        self, complete: NDArray[np.int32], resolution: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]:
        """Slots, cells and values of the quantiles of whole scrapes; NaN where nothing was observed."""
        found = np.empty((len(complete), len(self.shares)))
        order = np.zeros(int(self.groups["size"][complete].max()), np.int64)
        quantiles(self.groups, complete, self.bounds, self.fresh, self.shares, order, found)
        cells = np.repeat(self.groups["time"][complete] // resolution, len(self.shares))
        return self.slots[complete].ravel(), cells, found.ravel()

    def sweep(self) -> NDArray[np.bool_]:
        """Forget histograms whose series the index has dropped; which groups are left."""
        kept = np.zeros(len(self.groups), np.bool_)
        for slot, number in list(self._group_of.items()):
            now = self._index.generations(self.slots[number])
            kept[number] = (now == self._generations[number]).all()
            if not kept[number]:
                del self._group_of[slot]
                self._free.append(number)
                self.groups[number]["size"] = 0
        return kept

    def _group(self, series: list[Labels]) -> int:
        slots = self._index.slots(series)
        number = self._group_of.get(int(slots[0]))
        if number is None:
            number = self._free.pop() if self._free else len(self.groups)
            if number == len(self.groups):
                grow = max(16, number // 2)
                self.groups = np.concatenate([self.groups, np.zeros(grow, GROUP)])
                more = np.zeros((grow, len(self.shares)), np.int32)
                self.slots = np.concatenate([self.slots, more])
                self._generations = np.concatenate([self._generations, more.view(np.uint32)])
                self._free.extend(range(number + grow - 1, number, -1))
            self._group_of[int(slots[0])] = number
            self.slots[number], self._generations[number] = slots, self._index.generations(slots)
            for field in ("size", "arrived", "time"):
                self.groups[number][field] = 0
        return number

    def _more(self, number: int, bound: float) -> int:
        """A place for one bucket more; a group that outgrows its room moves to the end."""
        group = self.groups[number]
        size, room, first = int(group["size"]), int(group["room"]), int(group["first"])
        if size == room:
            more = max(16, 2 * room)
            begin, self._used = self._used, self._used + more
            if self._used > len(self.bounds):
                self.bounds, self.fresh = grown(self.bounds, self._used), grown(self.fresh, self._used)
            self.bounds[begin : begin + size] = self.bounds[first : first + size]
            group["first"], group["room"] = begin, more
            first = begin
        self.bounds[first + size] = bound
        group["size"], group["arrived"] = size + 1, 0
        return size


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
