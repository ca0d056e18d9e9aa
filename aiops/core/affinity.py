"""Which alerts belong together, online: near in time and near in the topology, more than by chance."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from aiops.core import words
from aiops.core.kin import Kin
from aiops.core.topology import Topology

TAU = 60.0
"""Seconds in which nearness in time falls to 1/e."""
HOP, NAMESPACE, TEXT = 0.55, 0.4, 0.3
"""What remains of affinity a hop away (two at most), in the same namespace, with the same text elsewhere."""
ATTACH, MERGE = 0.2, 0.6
"""Affinity from which an alert joins a group, and from which it proves two groups to be one (one hop alone
never does: a storm would chain them)."""
IDLE = 90.0
"""Seconds after which a group takes no more."""
LIFE = 1800.0
"""Seconds that a group may last."""
LOAD = 300.0
"""Seconds over which the rate of all alerts is taken."""
CANDIDATES = 24
"""Groups looked at for one alert."""
MEGA = 60
"""Entities from which a group is looked at again, and cut where no link holds it together."""
PART = 3
"""Entities that make a part worth a group of its own."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One rising edge. `text`: its template or type; `namespace`: what its entity lives in, or empty."""

    at: float
    entity: str
    text: str
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Placing:
    """`group` took the mark, `because`; `merged`: groups that turned out to be the same one."""

    group: int
    because: str
    merged: tuple[int, ...] = ()


@dataclass(slots=True)
class Group:
    """What one fault has touched so far: entity -> (when last, how often)."""

    id: int
    began: float
    last: float
    entities: dict[str, tuple[float, int]] = field(default_factory=dict)
    namespaces: dict[str, float] = field(default_factory=dict)
    texts: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Bond:
    """Affinity of a mark to a group, by noisy-or of its witnesses, with the words of the strongest."""

    value: float = 0.0
    strongest: float = 0.0
    why: tuple[str, object, float] = ("", "", 0.0)
    """(witness, what it saw, seconds ago): words are made for the winner alone."""

    def add(self, value: float, why: tuple[str, object, float]) -> None:
        self.value = 1 - (1 - self.value) * (1 - value)
        if value > self.strongest:
            self.strongest, self.why = value, why


class Affinity:
    """Groups of marks, in time order. State is bounded by what happened within `LIFE`."""

    def __init__(self, topology: Topology | None = None) -> None:
        self.topology = topology or Topology()
        self.groups: dict[int, Group] = {}
        self.kin = Kin()
        self._by_entity: dict[str, set[int]] = {}
        self._by_namespace: dict[str, set[int]] = {}
        self._by_text: dict[str, set[int]] = {}
        self._members: dict[str, set[str]] = {}
        self._recent: deque[float] = deque()
        self._parent: dict[int, int] = {}
        self._next = 0
        self._swept = -math.inf
        self._now_rate = 0.0

    def add(self, mark: Mark) -> Placing:
        """Find the mark's group, or open one. O(two hops + candidates)."""
        self._age(mark.at)
        bonds = self._bonds(mark)
        best = max(bonds, key=lambda g: bonds[g].value, default=-1)
        if best < 0 or bonds[best].value < ATTACH:
            group = self._open(mark)
            self._touch(group, mark)
            return Placing(group.id, "nothing near in time and topology")
        because = self._words(mark, bonds[best].why)
        sure = [g for g, bond in bonds.items() if g != best and bond.value >= MERGE]
        together = [best, *(sure if bonds[best].value >= MERGE else ())]
        for other in together[1:]:
            best = self._merge(best, other)
        group = self.groups[best]
        self._touch(group, mark)
        merged = tuple(g for g in together if g not in self.groups)
        return Placing(group.id, because, merged)

    def find(self, group: int) -> int:
        """The group into which this one was merged, or itself."""
        while (parent := self._parent.get(group, group)) != group:
            self._parent[group] = self._parent.get(parent, parent)
            group = parent
        return group

    # -- candidates and their affinity

    def _bonds(self, mark: Mark) -> dict[int, Bond]:
        bonds: dict[int, Bond] = {}
        self._now_rate = self._rate()
        near = self.topology.near(mark.entity)
        for entity, hops in near.items():
            for g in self._by_entity.get(entity, ()):
                if len(bonds) >= CANDIDATES and g not in bonds:
                    continue
                ago = mark.at - self.groups[g].entities[entity][0]
                size = 1 if not hops else self.topology.reach(entity)
                value = HOP**hops * self._nearness(ago, size)
                if value > bonds.setdefault(g, Bond()).strongest:
                    bonds[g] = Bond(value, value, ("hops", entity, ago))
        self._weak(mark, bonds)
        for entity, share, met, times in self.kin.of(mark.entity):
            for g in self._by_entity.get(entity, ()):
                ago = mark.at - self.groups[g].entities[entity][0]
                why = ("kin", (entity, met, times), ago)
                bonds.setdefault(g, Bond()).add(HOP * share * self._nearness(ago, 1), why)
        return bonds

    def _weak(self, mark: Mark, bonds: dict[int, Bond]) -> None:
        """The same namespace brings candidates; the same text only strengthens: it would join strangers."""
        size = len(self._members.get(mark.namespace, ()))
        for g in self._by_namespace.get(mark.namespace, ()) if mark.namespace else ():
            ago = mark.at - self.groups[g].last
            value = NAMESPACE * self._nearness(ago, size)
            bond = bonds.setdefault(g, Bond())
            if value > bond.value:
                bonds[g] = Bond(value, value, ("namespace", mark.namespace, ago))
        for g in self._by_text.get(mark.text, ()):
            if g in bonds:
                ago = mark.at - self.groups[g].texts[mark.text]
                bonds[g].add(TEXT * self._nearness(ago, 1) * bonds[g].value, ("text", mark.text, ago))

    def _nearness(self, ago: float, size: int) -> float:
        """Nearness in time, less what chance puts there: in a storm, or around a hub, neighbours say little.

        `size` entities would stay quiet for `ago` seconds with probability exp(-rate * size * ago).
        """
        ago = max(ago, 0.0)
        return math.exp(-ago / TAU - self._now_rate * size * max(ago, 1.0))

    def _rate(self) -> float:
        """Alerts a second of one entity, over all entities that were ever heard of."""
        known = max(len(self._members.get("", ())), self.topology.size, 1)
        return len(self._recent) / LOAD / known

    def _words(self, mark: Mark, why: tuple[str, object, float]) -> str:
        witness, seen, ago = why
        later = f"{words.duration(round(max(ago, 0.0), 1))} later"
        match witness, seen:
            case "kin", (entity, met, times):
                return f"co-occurred with {entity} {met} of {times} times, {later}"
            case "namespace" | "text", _:
                return f"same {witness} {seen}, {later}"
        if seen == mark.entity:
            return f"same {seen}, {later}"
        return f"{self.topology.relation(mark.entity, str(seen))}, {later}"

    # -- groups

    def _open(self, mark: Mark) -> Group:
        group = Group(self._next, mark.at, mark.at)
        self.groups[group.id] = group
        self._next += 1
        return group

    def _touch(self, group: Group, mark: Mark) -> None:
        if len(group.entities) >= MEGA and mark.entity not in group.entities:
            self._split(group)
        group.last = max(group.last, mark.at)
        group.entities[mark.entity] = mark.at, group.entities.get(mark.entity, (0.0, 0))[1] + 1
        group.texts[mark.text] = mark.at
        self._by_entity.setdefault(mark.entity, set()).add(group.id)
        self._by_text.setdefault(mark.text, set()).add(group.id)
        self._members.setdefault("", set()).add(mark.entity)
        if mark.namespace:
            group.namespaces[mark.namespace] = mark.at
            self._by_namespace.setdefault(mark.namespace, set()).add(group.id)
            self._members.setdefault(mark.namespace, set()).add(mark.entity)
        self._recent.append(mark.at)

    def _merge(self, one: int, other: int) -> int:
        """The older keeps its name and takes the other's evidence."""
        a, b = sorted((self.groups[one], self.groups[other]), key=lambda g: (g.began, g.id))
        if len(a.entities) + len(b.entities) > MEGA:
            return one
        self._drop(b)
        self._parent[b.id] = a.id
        a.last = max(a.last, b.last)
        for entity, (at, count) in b.entities.items():
            before = a.entities.get(entity, (0.0, 0))
            a.entities[entity] = max(at, before[0]), count + before[1]
        for mine, theirs in ((a.texts, b.texts), (a.namespaces, b.namespaces)):
            for name, at in theirs.items():
                mine[name] = max(at, mine.get(name, at))
        self._index(a)
        return a.id

    def _split(self, group: Group) -> None:
        """Cut off the parts of a mega-group that no link joins to its largest; what came in goes on apart.

        Parts of one or two stay: alone they are nobody's fault. Nothing happens where only a namespace or
        time holds it together: then there is nowhere to cut.
        """
        largest, *others = self.topology.components(group.entities)
        if len(largest) < PART:
            return
        for part in others:
            if len(part) >= PART:
                apart = self._open(Mark(min(group.entities[e][0] for e in part), "", ""))
                for entity in part:
                    apart.entities[entity] = group.entities.pop(entity)
                    self._by_entity[entity].discard(group.id)
                apart.last = max(at for at, _ in apart.entities.values())
                self._index(apart)

    def _index(self, group: Group) -> None:
        for index, keys in self._indexes(group):
            for key in keys:
                index.setdefault(key, set()).add(group.id)

    def _drop(self, group: Group) -> None:
        del self.groups[group.id]
        for index, keys in self._indexes(group):
            for key in keys:
                ids = index.get(key)
                if ids is not None:
                    ids.discard(group.id)
                    if not ids:
                        del index[key]

    def _indexes(self, group: Group) -> tuple[tuple[dict[str, set[int]], Iterable[str]], ...]:
        return (
            (self._by_entity, group.entities),
            (self._by_namespace, group.namespaces),
            (self._by_text, group.texts),
        )

    def _age(self, now: float) -> None:
        """Close groups that idle or have lasted too long, once a second at most."""
        if now - self._swept < 1.0:
            return
        self._swept = now
        while self._recent and self._recent[0] < now - LOAD:
            self._recent.popleft()
        for group in list(self.groups.values()):
            if now - group.last > IDLE or now - group.began > LIFE:
                self._drop(group)
                self.kin.learn(group.entities)
