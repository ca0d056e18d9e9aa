"""Shards on workers: who owns which, what they were told since they were last saved, and telling it again.

A worker may die at any moment. Whatever it had obeyed since its shards were last saved is in the replay
buffer here: another owner takes the saved states up, under a higher epoch, and obeys the rest. As the number
of the last order is a part of a shard's state, that comes to the same state to the bit, and the answers that
nobody has had yet are given then.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from threading import Lock, RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.core.shard import Answer, Order, tick_of
from aiops.engine.scale.buffer import Buffer
from aiops.engine.scale.group import Made, Question, Told
from aiops.engine.scale.placing import uneven
from aiops.engine.scale.tally import HERE, Tally
from aiops.engine.scale.worker import LocalWorker, Lost, Worker, sent_to
from aiops.store.shards import ShardFiles

log = logging.getLogger("aiops.scale")

AGAIN = 0.05
"""Seconds between two looks whether a lost worker is back."""
PATIENCE = 1.0
"""Seconds for which a lost worker may come back before others take its shards."""
LAST_RESORT = 60.0
"""Seconds after which, with no worker left, this process takes them."""


class Runner:
    """Orders to `shards` shards on `workers`. `start` first; any thread may call, one at a time."""

    def __init__(
        self,
        workers: Sequence[Worker],
        shards: int,
        made: Made,
        files: ShardFiles,
        least_epoch: int = 0,
        patience: float = PATIENCE,
    ) -> None:
        self.workers = list(workers)
        self.shards = shards
        self.ready = [np.zeros(0, np.bool_) for _ in range(shards)]
        """Per shard and row of it, whether what is known is enough for a score."""
        self.losses = self.replayed = 0
        """Workers lost, and orders told once more."""
        self.tally = Tally()
        self._made = list(made)
        self._files, self._least, self._patience = files, least_epoch, patience
        self._placed = [self.workers[n % len(self.workers)] for n in range(shards)]
        self._epoch, self._tick = [0] * shards, [0] * shards
        self._buffer = Buffer(shards)
        self._saved = [time.monotonic()] * shards
        self._waiting: list[tuple[int, int, Order]] = []
        self._spare: LocalWorker | None = None
        self._lock, self._queue = RLock(), Lock()

    def start(self, blobs: Sequence[NDArray[np.uint8] | None] | None = None) -> None:
        """Begin with states that were dumped, one a shard, or with none."""
        with self._lock:
            for number in range(self.shards):
                blob = blobs[number] if blobs else None
                self._epoch[number] = self._files.claim(number, self._least)
                self._files.clear(number)
                tick = self._placed[number].take(number, self._epoch[number], self._made, blob)
                self._tick[number] = tick
                if blob is not None and self.mortal:
                    self._files.save(number, self._epoch[number], tick, blob)
                self._buffer.kept(number, tick)
                self.ready[number] = np.array(self.ask(number, "ready"))

    @property
    def mortal(self) -> bool:
        return any(worker.mortal for worker in self.workers)

    @property
    def alone(self) -> bool:
        """Whether all shards are in this process."""
        return not any(owner.mortal for owner in self._placed)

    def owners(self) -> list[Worker]:
        """Of each shard."""
        return list(self._placed)

    def name_of(self, worker: Worker) -> str:
        """Its place among the workers, or that it is this process."""
        return str(self.workers.index(worker)) if worker.mortal and worker in self.workers else HERE

    def kept(self) -> list[tuple[int, float]]:
        """Of each shard, orders in the replay buffer, and when (monotonic s) its state was last kept."""
        return [(self._buffer.count(number), saved) for number, saved in enumerate(self._saved)]

    @property
    def unsaved(self) -> int:
        """Bytes of orders in the replay buffer."""
        return self._buffer.weight

    def order(self, number: int, order: Order) -> None:
        """Tell shard `number`, at the latest with the next `flush`."""
        with self._queue:  # not the other lock: nobody waits here for a lost worker
            self._tick[number] += 1
            self._waiting.append((number, self._tick[number], order))
            if self.mortal:
                self._buffer.add(number, self._tick[number], order)

    def run(self, orders: Iterable[tuple[int, Order]]) -> dict[int, Answer]:
        """Tell shards, and have it obeyed: nobody else is given the answers."""
        with self._lock:
            for number, order in orders:
                self.order(number, order)
            return self.flush()

    def flush(self) -> dict[int, Answer]:
        """Have all that was told obeyed; per shard the last answer. Waits for lost workers to be replaced."""
        with self._lock:
            with self._queue:
                waiting, self._waiting = self._waiting, []
            shares: dict[int, list[Told]] = {}
            for number, tick, order in waiting:
                share = shares.setdefault(id(self._placed[number]), [])
                share.append(Told(number, self._epoch[number], tick, order))
            sent = [(self._placed[share[0].shard], share) for share in shares.values()]
            began = time.monotonic()
            calls = [(worker, share, sent_to(worker, share)) for worker, share in sent]
            answers: dict[int, Answer] = {}
            for worker, share, call in calls:
                said = self._answers(worker, share, call)
                self.tally.answered(self.name_of(worker), share, time.monotonic() - began)
                for told, answer in zip(share, said, strict=True):
                    if answer is not None:
                        answers[told.shard] = answer
                        self._note(told.shard, answer)
            return answers

    def ask(self, number: int, what: str, *args: Any) -> Any:
        """Something of `Shard` that changes nothing, after all that was told."""
        with self._lock:
            self.flush()
            while True:
                worker = self._placed[number]
                try:
                    return worker.ask(Question(number, self._epoch[number], what, args))
                except Lost as why:
                    self._mend(worker, [], why)

    def dumps(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Each shard's state, kept besides for whoever takes it over; between two of them it may go on."""
        for number in range(self.shards):
            with self._lock:
                blob = self._dumped(number)
            yield number, blob
        self.rebalance()

    def save(self) -> None:
        """Keep all states, so that little is to be told again; and use workers that are back."""
        for _ in self.dumps():
            pass

    def rebalance(self, workers: Sequence[Worker] | None = None) -> None:
        """Spread the shards over `workers` from now on, else over those that there are; nothing is lost."""
        with self._lock:
            before = self.workers
            if workers is not None:
                self.workers = list(workers)
            alive = [worker for worker in self.workers if worker.alive()]
            while alive and (due := uneven(self._placed, alive)):
                if not self._move(*due):
                    break
            for worker in before:
                if worker not in self.workers and worker not in self._placed:
                    worker.close()

    def remake(self, made: Made) -> None:
        """Other settings of the detectors; those that have changed begin anew."""
        with self._lock:
            self.save()
            self._made = list(made)
            for worker in {id(worker): worker for worker in self._placed}.values():
                try:
                    worker.remake(made)
                except Lost as why:
                    self._mend(worker, [], why)
            self.save()

    def close(self) -> None:
        with self._lock:
            for worker in self.workers:
                worker.close()

    # -- what happens when a worker is gone

    def _answers(self, worker: Worker, share: list[Told], call: Any) -> list[Answer | None]:
        if isinstance(call, Lost):
            return self._mend(worker, share, call)
        try:
            return list(call())
        except Lost as why:
            return self._mend(worker, share, why)

    def _mend(self, worker: Worker, share: list[Told], why: Lost) -> list[Answer | None]:
        """New owners for the shards of `worker`; the answers to what it was told last."""
        self.losses += 1
        self.tally.lost(share)
        log.warning("a worker is lost, its shards are taken over: %s", why)
        worker.suspect()
        began, found = time.monotonic(), dict[tuple[int, int], Answer | None]()
        left = [number for number, owner in enumerate(self._placed) if owner is worker]
        while left:
            owners = self._refuge(worker, time.monotonic() - began)
            try:
                while owners and left:
                    found |= self._revive(left[0], owners[left[0] % len(owners)])
                    left.pop(0)
            except Lost as another:
                log.warning("whoever was to take over is lost as well: %s", another)
            if left:
                time.sleep(AGAIN)
        self.tally.mended(back=worker in self._placed)
        log.info("shards of a lost worker are whole again after %.1f s", time.monotonic() - began)
        return [found.get((told.shard, told.tick)) for told in share]

    def _refuge(self, worker: Worker, waited: float) -> list[Worker]:
        """Who takes over: the worker itself if it is back, else the others, else this process."""
        if worker.alive():
            return [worker]
        others = [one for one in self.workers if one is not worker and one.alive()]
        if waited < self._patience or (not others and waited < LAST_RESORT):
            return []
        if not others and self._spare is None:
            log.error("no worker is left: shards are scored in the engine's own process")
            self._spare = LocalWorker(self._made)
        return others or [self._spare]  # type: ignore[list-item]

    def _revive(self, number: int, owner: Worker) -> dict[tuple[int, int], Answer | None]:
        """The shard from its last kept state, and all that it was told since."""
        epoch = self._files.claim(number, self._least)
        tick = self._taken(number, epoch, owner)
        again = [Told(number, epoch, at, order) for at, order in self._buffer.since(number, tick)]
        answers = owner.obey(again)()
        self._placed[number], self._epoch[number] = owner, epoch
        self.replayed += len(again)
        self.tally.told_again(len(again))
        for answer in answers:
            if answer is not None:
                self._note(number, answer)
        return {(number, told.tick): answer for told, answer in zip(again, answers, strict=True)}

    def _taken(self, number: int, epoch: int, owner: Worker) -> int:
        """By `owner`, from the newest state that is whole; its number of orders."""
        for at, blob in self._files.states(number):
            try:
                return owner.take(number, epoch, self._made, blob)
            except ValueError as why:
                log.warning("shard %d: the state after %d orders is passed over: %s", number, at, why)
        if (self._buffer.first(number) or self._tick[number] + 1) > 1:
            raise RuntimeError(
                f"no kept state of shard {number} can be used; the checkpoint is to be taken up"
            )
        return owner.take(number, epoch, self._made, None)

    def _move(self, number: int, owner: Worker) -> bool:
        """From its present owner, which is alive, to another; whether it could be."""
        before = self._placed[number]
        self._dumped(number, keep=True)
        try:
            self._revive(number, owner)
        except Lost as why:
            log.warning("shard %d stays where it is: %s", number, why)
            owner.suspect()
            self._revive(number, self._placed[number])
            return False
        try:
            before.drop(number)
        except Lost:
            before.suspect()
        return True

    def _dumped(self, number: int, keep: bool = False) -> NDArray[np.uint8]:
        """Its state, kept for whoever takes it over."""
        blob = np.asarray(self.ask(number, "dump"))
        if self.mortal or keep:
            tick = tick_of(blob)
            with self.tally.saving():
                self._files.save(number, self._epoch[number], tick, blob)
            self._buffer.kept(number, tick)
            self._saved[number] = time.monotonic()
        return blob

    def _note(self, number: int, answer: Answer) -> None:
        if answer.ready is not None:
            self.ready[number] = np.array(answer.ready)  # not a view of what a worker may take along
