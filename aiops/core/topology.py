"""What depends on what: calls and containment between entities, cycles allowed, versioned in time."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

KEEP = 86400.0
"""Seconds for which an observed link counts after it was last seen."""
GAP = 3600.0
"""Seconds unseen after which a link that comes back has been away in between."""
HISTORY = 7 * 86400.0
"""Seconds for which it is known when a link was there."""
SPANS = 16
"""Times that one link is remembered to have been there."""

FEW = 4
"""Names that are kept in a tuple, which takes a quarter of a set."""
Names: TypeAlias = set[str] | tuple[str, ...]


class Topology:
    """Directed links (caller, callee), declared for ever or observed for a time.

    Neighbourhoods of two hops are remembered until the links change.
    """

    def __init__(self, links: Iterable[tuple[str, str]] = ()) -> None:
        self.callees: dict[str, Names] = {}
        self.callers: dict[str, Names] = {}
        self._near: dict[str, dict[str, int]] = {}
        self.size = 0
        """Entities with a link."""
        self._declared: set[tuple[str, str]] = set()
        self._spans: dict[tuple[str, str], tuple[float, ...]] = {}
        """Of observed links: when each was there, as first and last seen, oldest first. Pods come and go, and
        a link of each is kept for long: in lists of lists it would take 300 bytes more."""
        for caller, callee in links:
            self.link(caller, callee)

    def link(self, caller: str, callee: str) -> None:
        """`caller` needs `callee`, for ever. A link to itself says nothing and is left out."""
        if caller != callee:
            self._declared.add((caller, callee))
            self._join(caller, callee)

    def see(self, caller: str, callee: str, at: float) -> None:
        """`caller` was seen to need `callee` at `at` (epoch s)."""
        if caller == callee:
            return
        spans = self._spans.get((caller, callee), ())
        if spans and at - spans[-1] <= GAP:
            spans = (*spans[:-1], max(spans[-1], at))
        else:
            spans = (*spans, at, at)[-2 * SPANS :]
        self._spans[caller, callee] = spans
        self._join(caller, callee)

    def forget(self, now: float) -> None:
        """Observed links that were not seen for `KEEP` no longer count; later their history goes too."""
        for link, spans in list(self._spans.items()):
            unseen = now - spans[-1]
            if unseen > KEEP and link not in self._declared:
                self._part(*link)
            if unseen > HISTORY:
                del self._spans[link]

    def adopt(self, old: "Topology") -> None:
        """Go on with what `old` observed, under our own declared links."""
        self.restore(old.snapshot(), -math.inf)

    def links(self, at: float | None = None) -> list[tuple[str, str]]:
        """All links that count now; or those that were there at `at`, an hour's gap being none."""
        if at is None:
            return sorted((a, b) for a, callees in self.callees.items() for b in callees)
        was = {
            link
            for link, spans in self._spans.items()
            if any(first <= at <= last + GAP for first, last in _pairs(spans))
        }
        return sorted(was | self._declared)

    def snapshot(self) -> list[list[Any]]:
        """JSON-able: what was observed; declared links come from the configuration."""
        return [
            [caller, callee, [list(span) for span in _pairs(spans)]]
            for (caller, callee), spans in sorted(self._spans.items())
        ]

    def restore(self, data: Iterable[Any], now: float) -> None:
        """Take up what `snapshot` gave. Raises ValueError, changing nothing, when it is none."""
        try:
            found = {
                (str(caller), str(callee)): tuple(float(at) for first, last in spans for at in (first, last))
                for caller, callee, spans in data
            }
        except TypeError as why:
            raise ValueError(f"no snapshot of links: {why}") from why
        self._spans |= {link: spans for link, spans in found.items() if spans}
        for caller, callee in found:
            self._join(caller, callee)
        self.forget(now)

    def neighbours(self, entity: str) -> set[str]:
        return {*self.callees.get(entity, ()), *self.callers.get(entity, ())}

    def near(self, entity: str) -> dict[str, int]:
        """The entity itself (0) and what is one or two hops away, the direction left aside."""
        found = self._near.get(entity)
        if found is None:
            found = {entity: 0}
            for one in self.neighbours(entity):
                found.setdefault(one, 1)
            for one in [name for name, hops in found.items() if hops == 1]:
                for other in self.neighbours(one):
                    found.setdefault(other, 2)
            self._near[entity] = found
        return found

    def below(self, entities: Iterable[str], most: int) -> list[str]:
        """`entities` and what they need, however far down, the nearest first, `most` at most."""
        found = dict.fromkeys(entities)
        edge = list(found)
        while edge and len(found) < most:
            edge = [b for a in edge for b in sorted(self.callees.get(a, ())) if b not in found]
            found |= dict.fromkeys(edge)
        return list(found)[:most]

    def reach(self, entity: str) -> int:
        """How many entities are within two hops: a hub's neighbours are everybody's."""
        return len(self.near(entity))

    def relation(self, one: str, other: str) -> str:
        """What `one` is to `other`, in words."""
        if other in self.callees.get(one, ()):
            return f"caller of {other}"
        if other in self.callers.get(one, ()):
            return f"called by {other}"
        between = sorted(self.neighbours(one) & self.neighbours(other))
        return f"two hops from {other}" + (f" by {between[0]}" if between else "")

    def components(self, entities: Iterable[str]) -> list[list[str]]:
        """`entities` in parts that links between themselves hold together, the largest first."""
        left, found = dict.fromkeys(entities), []
        while left:
            part, edge = [], [next(iter(left))]
            del left[edge[0]]
            while edge:
                part.append(one := edge.pop())
                for other in self.neighbours(one):
                    if other in left:
                        del left[other]
                        edge.append(other)
            found.append(part)
        return sorted(found, key=len, reverse=True)

    def _join(self, caller: str, callee: str) -> None:
        if callee in self.callees.get(caller, ()):
            return
        self.size += sum(one not in self.callees and one not in self.callers for one in (caller, callee))
        _add(self.callees, caller, callee)
        _add(self.callers, callee, caller)
        self._near.clear()

    def _part(self, caller: str, callee: str) -> None:
        if callee not in self.callees.get(caller, ()):
            return
        _discard(self.callees, caller, callee)
        _discard(self.callers, callee, caller)
        self.size -= sum(one not in self.callees and one not in self.callers for one in (caller, callee))
        self._near.clear()


def _add(links: dict[str, Names], one: str, other: str) -> None:
    have = links.get(one, ())
    if isinstance(have, set):
        have.add(other)
    else:
        links[one] = (*have, other) if len(have) < FEW else {*have, other}


def _discard(links: dict[str, Names], one: str, other: str) -> None:
    have = links[one]
    if isinstance(have, set):
        have.discard(other)
    else:
        links[one] = tuple(name for name in have if name != other)
    if not links[one]:
        del links[one]


def _pairs(spans: tuple[float, ...]) -> Iterable[tuple[float, float]]:
    return zip(spans[::2], spans[1::2], strict=True)


def declared(calls: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    """``{caller: [callee, ...]}`` as links."""
    return [(caller, callee) for caller, callees in calls.items() for callee in callees]
