"""The templates themselves: found by an anchor word, widened by evidence, merged, and forgotten when full."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from aiops.plugin.miner import WILD, Merge
from detectors._log_cost import (
    ALL_WILD,
    BLOCKED,
    CHEAP,
    CUE,
    HAS_WILD,
    IDENTIFIER,
    NAME_COLON,
    Kinds,
    cost,
)
from detectors._log_front import level_of

Tokens = tuple[str, ...]
Anchor = tuple[int, int, str]

_SIMILAR = 0.34
"""Share of a template's weight that may differ for a line still to be of it."""
_FILLERS, _FILLERS_SHORT = 6, 9
"""This many templates that differ in one place only are one; more of them where little else is constant."""


@dataclass(slots=True)
class Pattern:
    """One template. ``wild``: places that were seen to vary, whatever stands there."""

    id: int
    tokens: Tokens
    wild: set[int] = field(default_factory=set)
    birth: str = ""
    """Its text when it was made."""
    level: str = ""
    lines: int = 0
    anchor: Anchor | None = None
    last: int = 0
    """How many lines the miner had seen when it last saw this one."""

    @property
    def text(self) -> str:
        return " ".join(self.tokens)


def name_of(birth: str) -> str:
    """A template's name follows from its first text."""
    return "t" + blake2b(birth.encode("utf-8", "replace"), digest_size=6).hexdigest()


class Patterns:
    """All templates. At most `most` live; when there are more, the tenth seen longest ago is forgotten."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kinds = Kinds(50_000)
        self.live: dict[int, Pattern] = {}
        self.aliases: dict[int, int] = {}
        self.next = 0
        self.merges: list[Merge] = []
        self.merged = 0
        """How many merges there ever were."""
        self.forgotten: list[int] = []
        self._anchored: dict[Anchor, list[Pattern]] = {}
        self._loose: dict[int, list[Pattern]] = {}
        self._by_length: dict[int, dict[int, Pattern]] = {}
        self._holes: dict[tuple[int, Tokens], list[int]] = {}
        self._old_holes: dict[tuple[int, Tokens], list[int]] = {}

    def root(self, ident: int) -> int:
        """What `ident` was merged into; itself when it was not."""
        aliases = self.aliases
        while ident in aliases:
            ident = aliases[ident]
        return ident

    def best(self, tokens: Tokens) -> Pattern | None:
        """The template to which canonical `tokens` are most similar."""
        best, lowest = None, _SIMILAR
        kinds = [self._kinds[token] for token in tokens]
        for pattern in self._candidates(tokens):
            distance = self._distance(pattern, tokens, kinds, lowest)
            if distance < lowest or (distance == lowest and best is None):
                best, lowest = pattern, distance
        return best

    def take(self, tokens: Tokens) -> Pattern:
        """The template of canonical `tokens`, widened to take them in, or a new one."""
        found = self.best(tokens)
        if found is not None:
            return found if found.tokens == tokens else self._widen(found, tokens)
        if len(self.live) >= self._most:
            self._forget()
        birth = " ".join(tokens)
        made = Pattern(self.next, tokens, birth=birth, level=level_of(birth))
        self.next += 1
        self.live[made.id] = made
        self._index(made)
        return self._gather(made)

    # -- similarity

    def _distance(self, pattern: Pattern, tokens: Tokens, kinds: list[int], limit: float) -> float:
        total, same, before, wild = 0.0, 0, 0, pattern.wild
        for place, (mine, theirs) in enumerate(zip(pattern.tokens, tokens, strict=True)):
            if mine == theirs:
                same += mine != WILD
            elif place in wild:
                total += CHEAP
            else:
                total += cost(self._kinds[mine], kinds[place], before)
                if total >= 9:
                    return BLOCKED
            before = kinds[place]
        return total / (same + total) if total else 0.0

    def _candidates(self, tokens: Tokens) -> Iterator[Pattern]:
        yield from self._loose.get(len(tokens), ())
        anchor = self._anchor(tokens, ())
        if anchor is not None:
            yield from self._anchored.get(anchor, ())

    def _anchor(self, tokens: Tokens, wild: set[int] | tuple[()]) -> Anchor | None:
        """The first word that may not vary: lines that differ in it are never of one template."""
        before = 0
        for place, token in enumerate(tokens):
            if place in wild:
                return None
            kind = self._kinds[token]
            if not kind & (HAS_WILD | IDENTIFIER | NAME_COLON) and not before & CUE:
                return len(tokens), place, token
            before = kind
        return None

    # -- how templates grow together

    def _widen(self, pattern: Pattern, tokens: Tokens) -> Pattern:
        new, changed = list(pattern.tokens), False
        for place, (mine, theirs) in enumerate(zip(pattern.tokens, tokens, strict=True)):
            if mine == theirs:
                continue
            both = WILD in mine and WILD in theirs
            if not both:
                pattern.wild.add(place)
            if not (both and self._kinds[mine] & ALL_WILD) and mine != WILD:
                new[place], changed = WILD, True
        if not changed:
            return pattern
        self._unindex(pattern)
        pattern.tokens = tuple(new)
        self._index(pattern)
        return self._absorb(pattern)

    def _absorb(self, pattern: Pattern) -> Pattern:
        """Merge with every template that has become a case of this one."""
        tokens, wild = pattern.tokens, pattern.wild
        if not wild:
            return pattern
        for other in list(self._by_length[len(tokens)].values()):
            if other is pattern:
                continue
            if all(
                o == t or place in wild for place, (o, t) in enumerate(zip(other.tokens, tokens, strict=True))
            ):
                pattern = self._merge(pattern, other)
        return pattern

    def _merge(self, wide: Pattern, other: Pattern) -> Pattern:
        """Into the elder, with the tokens of `wide`."""
        elder, younger = (wide, other) if wide.id < other.id else (other, wide)
        tokens, wild = wide.tokens, wide.wild
        self._unindex(wide)
        self._unindex(other)
        elder.tokens, elder.wild = tokens, set(wild)
        elder.lines += younger.lines
        elder.last = max(elder.last, younger.last)
        self._index(elder)
        del self.live[younger.id]
        self.aliases[younger.id] = elder.id
        self.merged += 1
        self.merges.append(Merge(younger.id, elder.id, name_of(younger.birth)))
        return elder

    def _gather(self, made: Pattern) -> Pattern:
        """Many templates that differ in one word only differ in a variable."""
        tokens = made.tokens
        constants = len(tokens) - 1 - sum(1 for token in tokens if self._kinds[token] & ALL_WILD)
        if len(tokens) < 2 or constants == 0:
            return made
        needed = _FILLERS if constants >= 2 else _FILLERS_SHORT
        for place, token in enumerate(tokens):
            if self._kinds[token] & HAS_WILD:
                continue
            fillers = self._hole(place, tokens)
            fillers.append(made.id)
            living = {root for ident in fillers if (root := self.root(ident)) in self.live}
            if len(fillers) >= needed and living:
                return self._unite(sorted(living), place)
        return made

    def _hole(self, place: int, tokens: Tokens) -> list[int]:
        key = (place, (*tokens[:place], "", *tokens[place + 1 :]))
        found = self._holes.get(key)
        if found is None:
            found = self._old_holes.pop(key, [])
            if len(self._holes) >= 4 * self._most:
                self._old_holes, self._holes = self._holes, {}
            self._holes[key] = found
        return found

    def _unite(self, idents: list[int], place: int) -> Pattern:
        eldest = self.live[idents[0]]
        self._unindex(eldest)
        tokens = list(eldest.tokens)
        tokens[place] = WILD
        eldest.tokens = tuple(tokens)
        eldest.wild.add(place)
        self._index(eldest)
        for ident in idents[1:]:
            if ident in self.live:
                eldest = self._merge(eldest, self.live[ident])
        return self._absorb(eldest)

    # -- the index, and room

    def _index(self, pattern: Pattern) -> None:
        anchor = pattern.anchor = self._anchor(pattern.tokens, pattern.wild)
        length = len(pattern.tokens)
        bucket = (
            self._loose.setdefault(length, []) if anchor is None else self._anchored.setdefault(anchor, [])
        )
        bucket.append(pattern)
        self._by_length.setdefault(length, {})[pattern.id] = pattern

    def _unindex(self, pattern: Pattern) -> None:
        anchor, length = pattern.anchor, len(pattern.tokens)
        bucket = self._loose[length] if anchor is None else self._anchored[anchor]
        bucket.remove(pattern)
        if anchor is not None and not bucket:
            del self._anchored[anchor]
        del self._by_length[length][pattern.id]

    def _forget(self) -> None:
        """Make room; ids are never given again."""
        for pattern in sorted(self.live.values(), key=lambda one: one.last)[: max(1, self._most // 10)]:
            self._unindex(pattern)
            del self.live[pattern.id]
            self.forgotten.append(pattern.id)
        self.aliases = {gone: root for gone in self.aliases if (root := self.root(gone)) in self.live}

    # -- snapshot

    def snapshot(self) -> dict[str, Any]:
        rows = [
            [p.id, list(p.tokens), sorted(p.wild), p.birth, p.level, p.lines, p.last]
            for p in self.live.values()
        ]
        holes = [[place, list(tokens), ids] for (place, tokens), ids in self._holes.items() if len(ids) > 1]
        return {"next": self.next, "patterns": rows, "aliases": list(self.aliases.items()), "holes": holes}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Raises ValueError or KeyError when it is no snapshot."""
        self.__init__(self._most)  # type: ignore[misc]
        for ident, tokens, wild, birth, level, lines, last in data["patterns"]:
            made = Pattern(
                int(ident), tuple(tokens), set(wild), birth, level, lines=int(lines), last=int(last)
            )
            self.live[made.id] = made
            self._index(made)
        self.next = int(data["next"])
        self.aliases = {int(gone): int(into) for gone, into in data["aliases"]}
        for place, tokens, ids in data["holes"]:
            self._holes[int(place), tuple(tokens)] = [int(i) for i in ids]
