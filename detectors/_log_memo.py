"""A bounded memory of what was looked up lately."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")

_ENTRY = 120
"""Bytes that an entry takes beside its key: its share of the table, and the objects' heads."""


class Memo(Generic[K]):
    """Key -> id in two generations: when the younger is full the elder is dropped. Costs nothing on a hit."""

    def __init__(self, most: int) -> None:
        """`most`: bytes, about, for both generations."""
        self._most = most // 2
        self._weight = 0
        self.recent: dict[K, int] = {}
        self._old: dict[K, int] = {}

    def get(self, key: K) -> int | None:
        """From either generation; what is found in the elder is to be `put` again."""
        found = self.recent.get(key)
        return self._old.get(key) if found is None else found

    def put(self, key: K, ident: int, weight: int) -> None:
        """Remember a new key, of `weight` bytes; not one that alone would fill a good part of the memory."""
        weight += _ENTRY
        if weight > self._most >> 4 or key in self.recent:
            return
        if self._weight + weight > self._most:
            self._old, self.recent = self.recent, {}
            self._weight = 0
        self.recent[key] = ident
        self._weight += weight

    def rewrite(self, change: Callable[[int], int]) -> None:
        """Put ``change(id)`` in the place of every id."""
        for generation in (self.recent, self._old):
            for key, ident in generation.items():
                generation[key] = change(ident)
