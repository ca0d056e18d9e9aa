"""What shards were told since they were last kept: told again to whoever takes one over."""

from collections import deque
from threading import Lock

from aiops.core.shard import Order, weight_of
from aiops.store.shards import KEEP


class Buffer:
    """The orders of each shard since its oldest kept state, with their numbers; any thread may call."""

    def __init__(self, shards: int) -> None:
        self.weight = 0
        """Bytes of all orders."""
        self._orders: list[deque[tuple[int, Order]]] = [deque() for _ in range(shards)]
        self._kept: list[deque[int]] = [deque(maxlen=KEEP) for _ in range(shards)]
        self._lock = Lock()

    def add(self, number: int, tick: int, order: Order) -> None:
        with self._lock:
            self._orders[number].append((tick, order))
            self.weight += weight_of(order)

    def since(self, number: int, tick: int) -> list[tuple[int, Order]]:
        """What shard `number` was told after order `tick`."""
        with self._lock:
            return [(at, order) for at, order in self._orders[number] if at > tick]

    def first(self, number: int) -> int | None:
        """The number of the oldest order; None when there is none."""
        return self._orders[number][0][0] if self._orders[number] else None

    def count(self, number: int) -> int:
        return len(self._orders[number])

    def kept(self, number: int, tick: int) -> None:
        """The state of shard `number` after order `tick` is kept: what is older than all kept ones can go."""
        self._kept[number].append(tick)
        orders, oldest = self._orders[number], self._kept[number][0]
        with self._lock:
            while orders and orders[0][0] <= oldest:
                self.weight -= weight_of(orders.popleft()[1])
