"""Which shard ought to be elsewhere."""

from collections.abc import Sequence

from aiops.engine.scale.worker import Worker


def uneven(placed: Sequence[Worker], alive: Sequence[Worker]) -> tuple[int, Worker] | None:
    """Of the shards, each with its owner, one that is to move, and to whom; as few as need be are moved."""
    owned: dict[int, list[int]] = {id(worker): [] for worker in alive}
    for number, owner in enumerate(placed):
        if id(owner) not in owned:
            return number, min(alive, key=lambda one: len(owned[id(one)]))
        owned[id(owner)].append(number)
    least, most = (pick(alive, key=lambda one: len(owned[id(one)])) for pick in (min, max))
    if len(owned[id(most)]) - len(owned[id(least)]) < 2:
        return None
    return owned[id(most)][-1], least
