"""What depends on what: calls and containment between entities, cycles allowed."""

from collections.abc import Iterable


class Topology:
    """Directed links (caller, callee). Neighbourhoods of two hops are remembered until the links change."""

    def __init__(self, links: Iterable[tuple[str, str]] = ()) -> None:
        self.callees: dict[str, set[str]] = {}
        self.callers: dict[str, set[str]] = {}
        self._near: dict[str, dict[str, int]] = {}
        self.size = 0
        """Entities with a link."""
        for caller, callee in links:
            self.link(caller, callee)

    def link(self, caller: str, callee: str) -> None:
        """`caller` needs `callee`. A link to itself says nothing and is left out."""
        if caller == callee or callee in self.callees.get(caller, ()):
            return
        self.size += sum(one not in self.callees and one not in self.callers for one in (caller, callee))
        self.callees.setdefault(caller, set()).add(callee)
        self.callers.setdefault(callee, set()).add(caller)
        self._near.clear()

    def links(self) -> list[tuple[str, str]]:
        return sorted((caller, callee) for caller, callees in self.callees.items() for callee in callees)

    def neighbours(self, entity: str) -> set[str]:
        return self.callees.get(entity, set()) | self.callers.get(entity, set())

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
