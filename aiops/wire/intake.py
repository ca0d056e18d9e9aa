"""Samples of many series, as a sender spells them -> frames of slots. One intake a source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aiops.model.frame import Frame
from aiops.model.rows import all_distinct, grown
from aiops.model.selector import Selector
from aiops.model.series import NAME, SeriesIndex
from aiops.wire import _settle
from aiops.wire._histograms import Histograms
from aiops.wire._settle import settle
from aiops.wire._spell import BUCKETS, COUNTS, LE, LEFT_OUT
from aiops.wire._spelling import Clash, Spellings, Spelt
from aiops.wire._tracks import BUCKET, COUNTER, GAUGE, IGNORED, Tracks

NONE = -(1 << 31)
"""The ref of a sample that is not taken."""

MOST_FAMILIES = 100_000
"""Metric families whose type is remembered."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one source may send; 0 = no limit."""

    series: int = 0
    labels: int = 64
    label_bytes: int = 16 << 10
    """Of all labels of one series, as they are spelt."""


@dataclass(slots=True)
class Tally:
    """What became of the samples and series so far; docs/ingest.md explains each."""

    samples: int = 0
    late: int = 0
    duplicate: int = 0
    dense: int = 0
    stale: int = 0
    resets: int = 0
    not_finite: int = 0
    set_back: int = 0
    incomplete: int = 0
    native: int = 0
    over_cap: int = 0
    """Samples of series beyond the cap."""
    refused: int = 0
    """Samples of series whose labels are too long, too many, or doubled."""

    def counts(self) -> dict[str, int]:
        """By the names above."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Strangers:
    """Series that have no track: their spelling's hash and length, their pairs, and their declared kind."""

    hashes: NDArray[np.uint64]
    lengths: NDArray[np.int64]
    spelt: Spelt
    kinds: NDArray[np.int64]
    """`GAUGE`, `COUNTER`, `IGNORED`, or -1 where only the name can tell."""


@dataclass(slots=True)
class Intake:
    """Holds a decoder's tracks, and turns samples into frames by the rules of docs/ingest.md."""

    index: SeriesIndex
    extra: Mapping[str, str] = field(default_factory=dict)
    resolution: float = 1.0
    """Seconds that are told apart; a series has at most one sample in each."""
    quantiles: Sequence[float] = (0.5, 0.9, 0.99)
    limits: Limits = field(default_factory=Limits)
    clash: Clash = "ours"
    tally: Tally = field(default_factory=Tally)
    tracks: Tracks = field(default_factory=Tracks)
    spellings: Spellings = field(init=False)
    histograms: Histograms = field(init=False)
    _owners: NDArray[np.int32] = field(init=False)
    _evictions: int = field(init=False)

    def __post_init__(self) -> None:
        self.spellings = Spellings(self.index.pairs, self.extra, self.clash)
        self.histograms = Histograms(self.index, self.quantiles)
        self._owners = np.full(0, -1, np.int32)
        self._evictions = self.index.evictions

    def refresh(self) -> None:
        """To be called before decoding: forget the tracks of series that the index has dropped."""
        if self.index.evictions == self._evictions:
            return
        self._evictions = self.index.evictions
        self.spellings.clear()
        kept = self.histograms.sweep()
        refs = self.tracks.refs()
        rows = self.tracks.rows
        single = rows["kind"][refs] <= COUNTER
        alive = np.zeros(len(refs), np.bool_)
        slots = rows["slot"][refs[single]]
        alive[single] = self.index.generations(slots) == rows["generation"][refs[single]]
        bucket = rows["kind"][refs] == BUCKET
        alive[bucket] = kept[rows["group"][refs[bucket]]]
        self.tracks.drop(refs[~alive])

    def admit(self, strangers: Strangers) -> NDArray[np.int32]:
        """Tracks for strangers, which may be named more than once; `NONE` for those that are not taken."""
        first, back = _distinct(strangers.hashes)
        flags = strangers.spelt.flags[first]
        count = np.diff(strangers.spelt.begins)[first]
        good = (flags & LEFT_OUT == 0) & (count > 0) & (count <= self.limits.labels)
        good &= strangers.spelt.sizes[first] <= self.limits.label_bytes
        refs = np.full(len(first), NONE, np.int32)
        self.tally.refused += int(np.count_nonzero(~good[back]))
        room = max(0, self.limits.series - len(self.tracks)) if self.limits.series else len(first)
        taken = np.flatnonzero(good)[:room]
        if len(taken) < len(first):
            self.tally.over_cap += int(np.count_nonzero(good[back])) - int(np.isin(back, taken).sum())
        if len(taken):
            refs[taken] = self._enter(strangers, first[taken])
        return refs[back]

    def _enter(self, strangers: Strangers, which: NDArray[np.int64]) -> NDArray[np.int32]:
        spelt = strangers.spelt
        flags, kinds = spelt.flags[which], strangers.kinds[which]
        buckets = (flags & BUCKETS != 0) & (flags & LE != 0) & (kinds != IGNORED)
        refs = self.tracks.add(strangers.hashes[which], strangers.lengths[which].astype(np.int32))
        rows = self.tracks.rows
        rows["value"][refs] = np.nan
        rows["kind"][refs] = np.where(kinds >= 0, kinds, np.where(flags & COUNTS != 0, COUNTER, GAUGE))
        for k in np.flatnonzero(buckets).tolist():
            begin, end = spelt.begins[which[k]], spelt.begins[which[k] + 1]
            labels = self.index.pairs.pairs(spelt.ids[begin:end].tolist())
            self.histograms.join(self.tracks, int(refs[k]), labels)
        single = np.flatnonzero(~buckets & (kinds != IGNORED))
        if len(single):
            self._own(refs[single], self.index.slots_of(*_rows(spelt, which[single])))
        return refs

    def _own(self, refs: NDArray[np.int32], slots: NDArray[np.int32]) -> None:
        """One spelling feeds a slot: the newest. Labels of ours may have made two series one."""
        most = int(slots.max()) + 1
        if most > len(self._owners):
            had = len(self._owners)
            self._owners = grown(self._owners, most)
            self._owners[had:] = -1
        rows, known = self.tracks.rows, self._owners[slots] >= 0
        former, theirs = self._owners[slots[known]], slots[known]
        rows["slot"][refs], rows["generation"][refs] = slots, self.index.generations(slots)
        self._owners[slots] = refs
        # of what fed these slots: a track may be another's by now, or be given again with its very slot
        still = (rows["slot"][former] == theirs) & (self._owners[theirs] != former)
        replaced = former[still & (rows["kind"][former] <= COUNTER)]
        rows["kind"][replaced] = IGNORED
        rows["kind"][refs[self._owners[slots] != refs]] = IGNORED

    def learn_types(self, types: Mapping[str, int]) -> None:
        """What a sender says of its metric families: `GAUGE` or `COUNTER`. It holds for what is known too."""
        news = {name: kind for name, kind in types.items() if self.spellings.types.get(name) != kind}
        if not news or len(self.spellings.types) + len(news) > MOST_FAMILIES:
            return
        self.spellings.types |= news
        self.spellings.clear()
        rows = self.tracks.rows
        for name, kind in news.items():
            slots = self.index.select(Selector.exact({NAME: name}))
            slots = slots[slots < len(self._owners)]
            slots = slots[self._owners[slots] >= 0]
            refs = self._owners[slots]
            refs = refs[rows["slot"][refs] == slots]  # else it is another's by now
            other = refs[rows["kind"][refs] == (GAUGE if kind == COUNTER else COUNTER)]
            rows["kind"][other], rows["value"][other] = kind, np.nan

    def take(
        self, refs: NDArray[np.int32], times: NDArray[np.int64], values: NDArray[np.float64]
    ) -> list[Frame]:
        """Samples (track or `NONE`, ms, value) in order of arrival -> frames of one time each, ascending."""
        counts = np.zeros(_settle.COUNTS, np.int64)
        slots, cells = np.empty(len(refs), np.int32), np.empty(len(refs), np.int64)
        watched, complete = np.empty(len(refs)), np.empty(len(refs), np.int32)
        resolution = max(1, round(self.resolution * 1000))
        held = self.histograms
        settle(
            self.tracks.rows, refs, times, values, resolution,
            held.groups, held.fresh, slots, cells, watched, complete, counts,
        )  # fmt: skip
        self._count(len(refs), counts)
        made, whole = int(counts[_settle.OUTPUTS]), int(counts[_settle.COMPLETE])
        slots, cells, watched = slots[:made], cells[:made], watched[:made]
        if whole:
            more = held.watched(complete[:whole], resolution)
            slots, cells = np.concatenate([slots, more[0]]), np.concatenate([cells, more[1]])
            watched = np.concatenate([watched, more[2]])
        self.index.expect(slots)
        mixed = bool(counts[_settle.MIXED]) or (whole > 0 and bool((cells != cells[0]).any()))
        return _frames(slots, cells, watched, resolution / 1000.0, bool(counts[_settle.SET_BACK]), mixed)

    def _count(self, samples: int, counts: NDArray[np.int64]) -> None:
        tally = self.tally
        tally.samples += samples
        tally.late += int(counts[_settle.LATE])
        tally.duplicate += int(counts[_settle.DUPLICATE])
        tally.dense += int(counts[_settle.DENSE])
        tally.stale += int(counts[_settle.STALE])
        tally.resets += int(counts[_settle.RESETS])
        tally.not_finite += int(counts[_settle.NOT_FINITE])
        tally.set_back += int(counts[_settle.SET_BACK])
        tally.incomplete += int(counts[_settle.INCOMPLETE])


def _distinct(hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each hash comes first, in that order; and which of them each one is."""
    if all_distinct(hashes):
        places = np.arange(len(hashes))
        return places, places
    _, first, back = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return first[order], rank[back]


def _rows(spelt: Spelt, which: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The pairs of some of the series, end to end."""
    count = np.diff(spelt.begins)[which]
    begins = np.concatenate([np.zeros(1, np.int64), np.cumsum(count)])
    return spelt.ids[np.repeat(spelt.begins[which] - begins[:-1], count) + np.arange(begins[-1])], begins


def _frames(
    slots: NDArray[np.int32],
    cells: NDArray[np.int64],
    values: NDArray[np.float64],
    resolution: float,
    doubled: bool,
    mixed: bool,
) -> list[Frame]:
    """One frame a cell, stamped with its start. `doubled`: a clock was set back; a cell may come twice.

    `mixed`: whether there are several.
    """
    if not len(slots):
        return []
    if not mixed and not doubled:
        return [Frame(np.array([cells[0] * resolution]), slots, values[None, :])]
    order = np.argsort(cells, kind="stable")
    slots, cells, values = slots[order], cells[order], values[order]
    starts = np.flatnonzero(np.diff(cells, prepend=cells[0] - 1))
    frames = []
    for start, end in zip(starts, [*starts[1:], len(cells)], strict=True):
        mine, theirs = slots[start:end], values[start:end]
        if doubled:
            mine, first = np.unique(mine, return_index=True)
            theirs = theirs[first]
        frames.append(Frame(np.array([cells[start] * resolution]), mine, theirs[None, :]))
    return frames
