"""The three levels, each cheaper and more often enough than the next. Memory is bounded at every one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from detectors._log_canon import canonical
from detectors._log_direct import Direct
from detectors._log_front import Front, parameters
from detectors._log_match import Patterns
from detectors._log_memo import Memo
from detectors._log_tokens import ZEROED, TokenCache

_DIGITS = b"0123456789"
_LONGEST = 4096
"""Characters of a line that are looked at: what comes after is a dump."""
_MOST_TOKENS = 256


class Levels:
    """From lines to ids. Not a plug-in itself: the attributes of one cost ten times as much to read."""

    def __init__(self, front: Front, most: int, budget: int) -> None:
        """`most` templates; `budget` bytes, about, for lines and tokens seen lately."""
        self._front = front
        self._most = most
        self._budget = budget
        self.patterns = Patterns(most)
        self._seen = 0
        self._start_over()

    def _start_over(self) -> None:
        self._lines: Memo[bytes] = Memo(self._budget // 2)
        self._masked: Memo[tuple[str, ...]] = Memo(self._budget // 4)
        self._tokens = TokenCache(max(1000, self._budget // 1000))
        self._direct = Direct()
        self._merged = self.patterns.merged

    def add(self, lines: Sequence[str]) -> list[int]:
        """Raises ValueError when a line holds a line feed."""
        if not lines:
            return []
        data = "\n".join(lines).encode("utf-8", "surrogatepass")
        keys = data.translate(None, _DIGITS).split(b"\n")
        if len(keys) != len(lines):
            raise ValueError("a line holds a line feed")
        ids: list[Any] = list(map(self._lines.recent.get, keys))
        if None in ids:
            self._fill(ids, keys, lines)
        return self._count(ids)

    def extract(self, line: str) -> tuple[int, list[str]]:
        plain = self._front.clean(line[:_LONGEST])
        pattern = self.patterns.best(canonical(self._mask(plain)))
        return (-1, []) if pattern is None else (pattern.id, parameters(pattern.tokens, plain))

    def snapshot(self) -> dict[str, Any]:
        return {"seen": self._seen} | self.patterns.snapshot()

    def restore(self, data: Mapping[str, Any]) -> None:
        """Raises KeyError, TypeError or ValueError, changing nothing, when it is no snapshot."""
        fresh, seen = Patterns(self._most), int(data["seen"])
        fresh.restore(data)
        self.patterns, self._seen = fresh, seen
        self._start_over()

    def _fill(self, ids: list[Any], keys: list[bytes], lines: Sequence[str]) -> None:
        """The further levels for the lines that the first does not know."""
        place, memo, direct = -1, self._lines, self._direct.find
        for _ in range(ids.count(None)):
            place = ids.index(None, place + 1)
            line, key = lines[place], keys[place]
            found = memo.recent.get(key)  # it may have come a second time in these lines
            if found is None:
                # lines that the short cut knows are many and each is new: they would flush the memory
                found = direct(line)
            if found is None:
                found = memo.get(key)
                if found is None:
                    found = self._mine(line)
                    memo, direct = self._lines, self._direct.find
                memo.put(key, found, len(key))
            ids[place] = found

    def _count(self, ids: list[int]) -> list[int]:
        """Count lines by template; an id that was merged meanwhile becomes the one it went into."""
        patterns = self.patterns
        if patterns.merged != self._merged:
            self._merged = patterns.merged
            for memo in (self._lines, self._masked, self._direct):
                memo.rewrite(patterns.root)
            ids = list(map(patterns.root, ids))
        self._seen += len(ids)
        for ident, count in Counter(ids).items():
            pattern = patterns.live.get(ident)
            if pattern is not None:
                pattern.lines += count
                pattern.last = self._seen
        return ids

    def _mine(self, line: str) -> int:
        plain = self._front.clean(line[:_LONGEST])
        if plain is not line:
            direct = self._direct.find(plain)
            if direct is not None:
                return self.patterns.root(direct)
        masked = self._mask(plain)
        found = self._masked.get(masked)
        if found is None:
            found = self._take(masked)
            self._masked.put(masked, found, 16 * len(masked))
        return self.patterns.root(found)

    def _take(self, masked: tuple[str, ...]) -> int:
        tokens = canonical(masked)
        forgotten = len(self.patterns.forgotten)
        pattern = self.patterns.take(tokens)
        if len(self.patterns.forgotten) != forgotten:
            self._start_over()  # what was forgotten is in every cache
        if tokens == masked and pattern.tokens != tokens:
            self._direct.learn(pattern.id, pattern.tokens, pattern.wild)
        return pattern.id

    def _mask(self, text: str) -> tuple[str, ...]:
        words = text.encode("utf-8", "replace").translate(ZEROED).split(None, _MOST_TOKENS)
        cache = self._tokens
        return tuple([cache[word] for word in words[:_MOST_TOKENS]])
