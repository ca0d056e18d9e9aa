"""Series made of others, for limits that are a share of something, or a moment that comes nearer."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiops.model.frame import Frame
from aiops.model.selector import Matcher, Selector
from aiops.model.series import NAME, Labels, SeriesIndex, labels_of

Slots = NDArray[np.int32]
Floats = NDArray[np.float64]

_UNIT = re.compile(r"_(bytes|seconds|total|count|info)$")


@dataclass(frozen=True, slots=True)
class Derived:
    """Of each series that matches: its share of the one of `whole` with the same labels.

    But those that either selector asks for by ``=``. Without `whole`: the seconds until the moment that its
    value is (epoch s).
    """

    match: Selector
    whole: Selector | None

    @property
    def metric(self) -> str:
        """What the derived series are called; empty when `match` names no metric."""
        named = [m.value for m in self.match.matchers if m.label == NAME and m.op == "="]
        return _UNIT.sub("", named[0]) + ("_ratio" if self.whole else "_left_seconds") if named else ""

    @property
    def selector(self) -> Selector:
        """What matches the derived series."""
        rest = (m for m in self.match.matchers if m.label != NAME)
        return Selector((Matcher(NAME, "=", self.metric), *rest))

    def key(self, labels: Labels) -> Labels:
        """On what part and whole agree."""
        asked = (*self.match.matchers, *(self.whole.matchers if self.whole else ()))
        dropped = {m.label for m in asked if m.op == "="}
        return tuple(pair for pair in labels if pair[0] not in dropped)


class DerivedSeries:
    """Derived samples beside those that they are made of. Arrays are by slot of the index; -1: none."""

    def __init__(self, index: SeriesIndex, derived: Sequence[Derived]) -> None:
        self._index, self._derived = index, list(derived)
        self._out = np.zeros((len(self._derived), 0), np.int32)
        self._whole = np.zeros((len(self._derived), 0), np.int32)
        self._last = np.zeros(0)
        self._parts: dict[tuple[int, Labels], int] = {}
        self._wholes: dict[tuple[int, Labels], int] = {}
        self.labels: set[Labels] = set()

    def welcome(self, fresh: Slots) -> None:
        """New or reused slots; what is derived of them gets slots of its own, which are fresh then."""
        if not self._derived:
            return
        self._grow()
        self._forget(fresh)
        for rule, one in enumerate(self._derived):
            for slot in fresh[self._index.matches(fresh, one.match)].tolist():
                self._parts[rule, one.key(self._index.labels(slot))] = slot
                self._make(rule, slot)
            if one.whole:
                for slot in fresh[self._index.matches(fresh, one.whole)].tolist():
                    self._wholes[rule, one.key(self._index.labels(slot))] = slot
            for key, slot in self._parts.items():
                if key[0] == rule:
                    self._whole[rule, slot] = self._wholes.get(key, -1)

    def beside(self, frame: Frame) -> Frame:
        """`frame` with what is derived of its series as further columns."""
        if not self._derived or not len(frame.times):
            return frame
        self._grow()
        newest = frame.values[-1]
        known = ~np.isnan(newest)
        self._last[frame.slots[known]] = newest[known]
        slots, columns = [frame.slots], [frame.values]
        for rule, one in enumerate(self._derived):
            at = np.flatnonzero(self._out[rule, frame.slots] >= 0)
            if not len(at):
                continue
            values = frame.values[:, at]
            if one.whole:
                whole = self._whole[rule, frame.slots[at]]
                of = np.where(whole >= 0, self._last[whole], np.nan)
                values = values / np.where(of > 0, of, np.nan)
            else:
                values = values - frame.times[:, None]
            slots.append(self._out[rule, frame.slots[at]])
            self._index.expect(slots[-1])  # also while there is nothing that it is a share of
            columns.append(values)
        return Frame(frame.times, np.concatenate(slots), np.concatenate(columns, axis=1))

    def forget(self, gone: Slots) -> None:
        """Slots that the index has freed: those of derived series too, whose parts may live on."""
        if not self._derived:
            return
        self._grow()
        self._forget(gone)
        for rule, slot in np.argwhere(np.isin(self._out, gone)).tolist():
            self._make(rule, slot)

    def _make(self, rule: int, slot: int) -> None:
        """A series of its own for what is derived of `slot`."""
        labels = labels_of({**dict(self._index.labels(slot)), NAME: self._derived[rule].metric})
        self.labels.add(labels)
        made = self._index.slot(labels)
        self._grow()
        self._out[rule, slot] = made

    def _grow(self) -> None:
        have, need = len(self._last), self._index.capacity
        if have < need:
            more = np.full((len(self._derived), need - have), -1, np.int32)
            self._out = np.concatenate([self._out, more], axis=1)
            self._whole = np.concatenate([self._whole, more], axis=1)
            self._last = np.concatenate([self._last, np.full(need - have, np.nan)])

    def _forget(self, fresh: Slots) -> None:
        self._out[:, fresh] = self._whole[:, fresh] = -1
        self._last[fresh] = np.nan
        gone = set(fresh.tolist())
        for known in (self._parts, self._wholes):
            for key in [key for key, slot in known.items() if slot in gone]:
                del known[key]
        self._whole[np.isin(self._whole, fresh)] = -1
