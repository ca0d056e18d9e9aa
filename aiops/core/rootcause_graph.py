"""The call graph by component number."""

import heapq
from collections.abc import Sequence

import numpy as np

from aiops.core.rootcause_score import Floats


class Graph:
    """Who calls whom among `count` components; cycles and self-calls are allowed."""

    def __init__(self, count: int, calls: Sequence[tuple[int, int]]) -> None:
        self.callees: list[list[int]] = [[] for _ in range(count)]
        for caller, callee in dict.fromkeys(calls):
            if caller != callee:
                self.callees[caller].append(callee)

    def worst_callee(self, values: Floats) -> Floats:
        """For each component the greatest of ``values [N]`` among those it calls, else 0."""
        return np.array([max((values[c] for c in callees), default=0.0) for callees in self.callees])


def widest(graph: Graph, start: int, open_: Floats) -> Floats:
    """For each component the width of the widest way to it from `start`, a way being as wide as its
    narrowest component in ``open_ [N]`` (0..1); 0 where there is none. Dijkstra on the bottleneck."""
    best = np.zeros(len(open_))
    best[start] = 1.0
    heap = [(-1.0, start)]
    while heap:
        width, here = heapq.heappop(heap)
        if -width < best[here]:
            continue
        for callee in graph.callees[here]:
            through = min(-width, float(open_[callee]))
            if through > best[callee]:
                best[callee] = through
                heapq.heappush(heap, (-through, callee))
    return best
