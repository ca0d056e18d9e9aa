"""A group at the other end of a wire: what is known there is not sent again, and bands as half of one.

A row of a million series is 8 MB there and 33 MB back. Slots are those of the row before, mostly; and a band
that lies evenly about what was expected, by a number that float32 holds, is that number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.core.shard import Answer, Step
from aiops.engine.scale.group import Group, Made, Told

KNOWN = np.zeros(0, np.int32)
"""Stands for the slots of the shard's last row that had any."""


@dataclass(frozen=True, slots=True)
class Short:
    """An `Answer` without what can be told from the rest; ``reach``: half of the band."""

    answer: Answer
    reach: NDArray[np.float32]
    by: int

    def whole(self) -> Answer:
        expected, reach = np.asarray(self.answer.expected), self.reach.astype(np.float64)
        by = np.full(len(reach), self.by, np.int8)
        return replace(self.answer, lower=expected - reach, upper=expected + reach, by=by)


class DistantGroup(Group):
    """Takes what `Sender` sends."""

    def __init__(self, made: Made) -> None:
        super().__init__(made)
        self._slots: dict[int, NDArray[np.int32]] = {}

    def obey_short(self, told: Sequence[Told]) -> list[Answer | Short | None]:
        return [short(answer) for answer in self.obey([self._told(one) for one in told])]

    def _told(self, one: Told) -> Told:
        if not isinstance(one.order, Step):
            return one
        if len(one.order.slots) or not len(one.order.values):
            self._slots[one.shard] = np.array(one.order.slots)
        return replace(one, order=replace(one.order, slots=self._slots.get(one.shard, KNOWN)))


class Sender:
    """Leaves out what the group knows; `forget` when another group, or the same one anew, owns the shard."""

    def __init__(self) -> None:
        self._sent: Mapping[int, Any] = {}

    def shortened(self, told: Sequence[Told]) -> list[Told]:
        out, sent = [], dict(self._sent)
        for one in told:
            if isinstance(one.order, Step):
                slots = one.order.slots
                if sent.get(one.shard) is slots and len(slots):
                    one = replace(one, order=replace(one.order, slots=KNOWN))
                sent[one.shard] = slots
            out.append(one)
        self._sent = sent
        return out

    def forget(self, shard: int) -> None:
        self._sent = {number: slots for number, slots in self._sent.items() if number != shard}


def short(answer: Answer | None) -> Answer | Short | None:
    """The same in fewer bytes, if it can be told back to the bit."""
    if answer is None or answer.expected is None or answer.by is None or not len(answer.by):
        return answer
    expected, lower, upper = answer.expected, np.asarray(answer.lower), np.asarray(answer.upper)
    by, score = int(answer.by[0]), np.asarray(answer.score)
    with np.errstate(invalid="ignore", over="ignore"):
        reach = (upper - expected).astype(np.float32)
        wide = reach.astype(np.float64)
    told = np.array_equal(expected - wide, lower, equal_nan=True)
    if not (told and np.array_equal(expected + wide, upper, equal_nan=True) and (answer.by == by).all()):
        return answer
    narrow = score.astype(np.float32)
    kept = replace(answer, lower=None, upper=None, by=None)
    return Short(replace(kept, score=narrow) if np.array_equal(narrow, score) else kept, reach, by)


def whole(answer: Answer | Short | None) -> Answer | None:
    return answer.whole() if isinstance(answer, Short) else answer
