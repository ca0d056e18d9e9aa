"""Label pairs, each kept once: series share names and most values, so a series is a row of small numbers."""

from array import array
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.model.selector import Matcher

Pair = tuple[str, str]

_MASK = (1 << 64) - 1


def digest(pair: Pair) -> int:
    """64 bits of a pair, the same in every process, so that a checkpoint keeps the hashes of series."""
    text = f"{pair[0]}\x00{pair[1]}".encode(errors="surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


class Pairs:
    """(name, value) -> a number; numbers of pairs that no series uses are given anew."""

    def __init__(self, known: Sequence[Pair] = (), hashes: bytes | None = None) -> None:
        """`hashes`: those of `known`, where somebody has them: they take longer than all else."""
        self._ids = {pair: number for number, pair in enumerate(known)}
        self._pairs: list[Pair | None] = list(known)
        self._hashes = array("Q", hashes or (digest(pair) for pair in known))
        self._names: dict[str, int] = {}
        self._name = array("i", (self._names.setdefault(name, len(self._names)) for name, _ in known))
        """By number: the number of its name; -1 where no pair is."""
        self._free = array("i")

    def __len__(self) -> int:
        """One more than the highest number ever given."""
        return len(self._pairs)

    def find(self, pairs: Iterable[Pair]) -> list[int] | None:
        """Their numbers in the same order; None when one is not known."""
        ids = self._ids
        try:
            return [ids[pair] for pair in pairs]
        except KeyError:
            return None

    def take(self, pairs: Iterable[Pair]) -> list[int]:
        """Their numbers in the same order, made where they are new."""
        return [self._ids[pair] if pair in self._ids else self._new(pair) for pair in pairs]

    def pairs(self, ids: Iterable[int]) -> tuple[Pair, ...]:
        """The pairs of numbers that are in use."""
        return tuple(map(self._pairs.__getitem__, ids))  # type: ignore[arg-type]

    def hash(self, ids: Iterable[int]) -> int:
        """64 bits of a set of pairs in any order: the sum of the pairs' own hashes."""
        return sum(map(self._hashes.__getitem__, ids)) & _MASK

    def hashes(self, ids: NDArray[np.int32]) -> NDArray[np.uint64]:
        """The pairs' own hashes, of which `hash` is the sum."""
        # a view of the array must not outlive this call: an array that is looked at cannot grow
        return np.frombuffer(self._hashes, np.uint64)[ids] if self._hashes else np.zeros(ids.shape, np.uint64)

    def fulfil(self, numbers: NDArray[np.int32], matcher: Matcher) -> NDArray[np.bool_]:
        """Which of `numbers`, pairs that bear the matcher's label or -1 for none, are what it asks for."""
        fits = np.zeros(len(self._pairs) + 1, np.bool_)  # the last is found by -1
        fits[-1] = matcher.matches({})
        if matcher.op == "=":
            fits[self.find([(matcher.label, matcher.value)]) or []] = True
        else:
            asked = np.zeros(len(fits), np.bool_)
            asked[numbers] = True
            there = np.flatnonzero(asked[:-1])
            fits[there] = [matcher.matches(dict([pair])) for pair in self.pairs(there.tolist())]
        found: NDArray[np.bool_] = fits[numbers]
        return found

    def bearing(self, label: str) -> NDArray[np.bool_]:
        """By number: whether the pair has that name."""
        # a copy, as in `hashes`
        found: NDArray[np.bool_] = np.frombuffer(self._name, np.int32) == self._names.get(label, -2)
        return found

    def bearer(self, ids: Iterable[int], label: str) -> int:
        """Of `ids` the one that has that name; -1: none."""
        name = self._names.get(label, -2)
        return next((number for number in ids if self._name[number] == name), -1)

    def which(self, ids: NDArray[np.int32], labels: Sequence[str]) -> NDArray[np.int8]:
        """For each of `ids`, which of fewer than 128 `labels` its name is; -1: none of them."""
        place = np.full(len(self._names) + 1, -1, np.int8)
        for number, label in enumerate(labels):
            if label in self._names:
                place[self._names[label]] = number
        if not len(ids):
            return place[:0]
        names, many = np.frombuffer(self._name, np.int32), len(ids) > len(self._pairs)
        # copies, as in `hashes`; `take` needs half the time of brackets
        found: NDArray[np.int8] = place.take(names).take(ids) if many else place.take(names.take(ids))
        return found

    def named(self, label: str) -> bool:
        """Whether a pair may have that name; when not, none has."""
        return label in self._names

    def keep(self, used: NDArray[np.bool_]) -> None:
        """Forget the pairs whose number is not in ``used[len(self)]``."""
        for number in np.flatnonzero(~used).tolist():
            pair = self._pairs[number]
            if pair is not None:
                self._ids.pop(pair, None)
                self._pairs[number], self._name[number] = None, -1
                self._free.append(number)
        if self._free and len(self._free) * 2 > len(self._pairs):
            self._ids = dict(self._ids)  # a dict does not shrink by itself

    def arrays(self) -> dict[str, NDArray[Any]]:
        """``text``: all UTF-8 end to end; ``ends[2 * len(self)]``: where each name and each value ends in it.

        ``hashes``: as `hashes` has them. A number that is not in use stands as an empty name.
        """
        return self.part(0, len(self._pairs))

    def part(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """`arrays` of the numbers from `start` to `stop` alone."""
        some = self._pairs[start:stop]
        words = [word.encode(errors="surrogatepass") for pair in some for word in pair or ("", "")]
        ends = np.cumsum(np.fromiter(map(len, words), np.int64, len(words)))
        hashes = np.frombuffer(self._hashes[start:stop].tobytes(), np.uint64)
        return {"text": np.frombuffer(b"".join(words), np.uint8), "ends": ends, "hashes": hashes}

    @classmethod
    def restore(
        cls, text: NDArray[np.uint8], ends: NDArray[np.int64], hashes: NDArray[np.uint64] | None = None
    ) -> "Pairs":
        """The same numbers again. Raises ValueError when the arrays are not what `arrays` gives."""
        if hashes is not None and (2 * len(hashes) != len(ends) or hashes.dtype != np.uint64):
            raise ValueError("the hashes of the labels do not fit the labels")
        if len(ends) % 2 or (
            len(ends) and (int(ends[-1]) != len(text) or (np.diff(ends, prepend=0) < 0).any())
        ):
            raise ValueError("the ends of the label texts do not fit the texts")
        raw, stops = text.tobytes(), ends.tolist()
        words = (
            [
                raw[start:stop].decode(errors="surrogatepass")
                for start, stop in zip([0, *stops[:-1]], stops, strict=True)
            ]
            if stops
            else []
        )
        given = None if hashes is None else hashes.tobytes()
        found = cls(list(zip(words[::2], words[1::2], strict=True)), given)
        lengths = np.diff(ends, prepend=0).reshape(-1, 2)
        found.keep(lengths[:, 0] + lengths[:, 1] > 0)
        return found

    def _new(self, pair: Pair) -> int:
        name = self._names.setdefault(pair[0], len(self._names))
        if self._free:
            number = self._free.pop()
            self._pairs[number], self._name[number] = pair, name
            self._hashes[number] = digest(pair)
        else:
            number = len(self._pairs)
            self._pairs.append(pair)
            self._name.append(name)
            self._hashes.append(digest(pair))
        self._ids[pair] = number
        return number
