"""Maps of what depends on what: layered from caller to callee, left to right, as SVG geometry.

Layers as K. Sugiyama et al. (1981) have them: callers before callees (cycles are cut where fewest calls point
back), then the order within each layer by the mean place of its neighbours.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiops.core.topology import Topology

BOX, TALL, STEP_X, STEP_Y, PAD = 148, 28, 208, 42, 10
LONGEST = 19
"""Characters of a name that fit into its box."""
MOST = 150
"""Components drawn; more than that nobody reads."""


@dataclass(frozen=True, slots=True)
class Node:
    """A component's box, its top left corner at ``x, y``. `problem`: the gravest open one, or 0."""

    name: str
    x: int
    y: int
    tone: str = ""
    problem: int = 0
    centre: bool = False

    @property
    def label(self) -> str:
        return self.name if len(self.name) <= LONGEST else self.name[: LONGEST - 1] + "\u2026"


@dataclass(frozen=True, slots=True)
class Edge:
    """A call, as SVG path data."""

    caller: str
    callee: str
    path: str
    hot: bool
    """Both ends are in trouble."""


@dataclass(frozen=True, slots=True)
class Map:
    nodes: list[Node]
    edges: list[Edge]
    width: int
    height: int
    left_out: int = 0


def neighbourhood(
    topology: Topology, centre: Iterable[str], ill: Mapping[str, tuple[str, int]]
) -> Map | None:
    """What calls `centre` and what it calls, one hop away and, while there is room, two; None for nothing.

    `ill`: component -> (severity, problem's number).
    """
    middle = [one for one in dict.fromkeys(centre) if topology.neighbours(one)]
    if not middle:
        return None
    near = set(middle).union(*(topology.neighbours(one) for one in middle))
    wider = near.union(*(topology.neighbours(one) for one in near))
    shown = wider if len(wider) <= 24 else near
    return drawn(topology.links(), shown, ill, set(middle))


def drawn(
    links: Iterable[tuple[str, str]],
    shown: Iterable[str],
    ill: Mapping[str, tuple[str, int]],
    centre: Iterable[str] = (),
) -> Map:
    """The components `shown` and the calls between them. With too many, those in trouble come first."""
    every = sorted(set(shown), key=lambda name: (name not in ill, name))
    names, focus = every[:MOST], set(centre)
    kept = set(names)
    calls = [(one, other) for one, other in links if one in kept and other in kept]
    layers = _ordered(_layers(names, calls), calls)
    height = max((len(layer) for layer in layers), default=0)
    nodes: dict[str, Node] = {}
    for column, layer in enumerate(layers):
        top = PAD + (height - len(layer)) * STEP_Y // 2
        for row, name in enumerate(layer):
            tone, problem = ill.get(name, ("", 0))
            place = PAD + column * STEP_X, top + row * STEP_Y
            nodes[name] = Node(name, *place, tone, problem, name in focus)
    edges = [Edge(a, b, _curve(nodes[a], nodes[b]), a in ill and b in ill) for a, b in calls]
    width = 2 * PAD + max(0, len(layers) - 1) * STEP_X + BOX
    tall = 2 * PAD + max(0, height - 1) * STEP_Y + TALL
    return Map(list(nodes.values()), edges, width, tall, len(every) - len(names))


def _layers(names: list[str], calls: list[tuple[str, str]]) -> list[list[str]]:
    callers: dict[str, set[str]] = {name: set() for name in names}
    callees: dict[str, set[str]] = {name: set() for name in names}
    for one, other in calls:
        callers[other].add(one)
        callees[one].add(other)
    depth: dict[str, int] = {}
    left = {name: len(callers[name]) for name in names}
    while left:
        # in a cycle nobody is without a caller: the one with the fewest goes first
        name = min(left, key=lambda one: (left[one], one))
        del left[name]
        depth[name] = max((depth[c] + 1 for c in callers[name] if c in depth), default=0)
        for callee in callees[name]:
            if callee in left:
                left[callee] -= 1
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in names:
        layers[depth[name]].append(name)
    return layers


def _ordered(layers: list[list[str]], calls: list[tuple[str, str]]) -> list[list[str]]:
    """Each layer by where its callers stand: few calls then cross."""
    place: dict[str, float] = {}
    for layer in layers:
        near = {name: [place[a] for a, b in calls if b == name and a in place] for name in layer}
        layer.sort(key=lambda name: (sum(near[name]) / len(near[name]) if near[name] else 1e9, name))
        place |= {name: float(row) for row, name in enumerate(layer)}
    return layers


def _curve(caller: Node, callee: Node) -> str:
    x1, y1 = caller.x + BOX, caller.y + TALL // 2
    x2, y2 = callee.x, callee.y + TALL // 2
    bend = max(30, abs(x2 - x1) // 2)
    return f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
