"""Workers as their runner sees them: in this process, or anywhere else."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.core.shard import Answer
from aiops.engine.scale.group import Group, Made, Question, Told


class Lost(Exception):
    """The worker does not answer, or has forgotten what it owned."""


class Worker(ABC):
    """A `Group`. All raise `Lost`; what is `sent` is done at once, beside other workers."""

    mortal = True
    """Whether it can be lost while this process lives."""

    @abstractmethod
    def obey(self, told: Sequence[Told]) -> Callable[[], list[Answer | None]]:
        """Send orders; the answers are waited for by calling what is returned."""

    @abstractmethod
    def take(self, number: int, epoch: int, made: Made, blob: NDArray[np.uint8] | None) -> int:
        """See `Group.take`."""

    @abstractmethod
    def ask(self, asked: Question) -> Any:
        """See `Group.ask`."""

    @abstractmethod
    def drop(self, number: int) -> None:
        """See `Group.drop`; one that is lost has dropped all."""

    @abstractmethod
    def remake(self, made: Made) -> None:
        """See `Group.remake`."""

    @abstractmethod
    def alive(self) -> bool:
        """Whether it answers by now; never waits for long."""

    @abstractmethod
    def suspect(self) -> None:
        """It was lost: from now on `alive` has to find out."""

    @abstractmethod
    def close(self) -> None:
        """It is not needed any more."""


class LocalWorker(Worker):
    """In this process."""

    mortal = False

    def __init__(self, made: Made) -> None:
        self._group = Group(made)

    def obey(self, told: Sequence[Told]) -> Callable[[], list[Answer | None]]:
        answers = self._group.obey(told)
        return lambda: answers

    def take(self, number: int, epoch: int, made: Made, blob: NDArray[np.uint8] | None) -> int:
        return self._group.take(number, epoch, made, blob)

    def ask(self, asked: Question) -> Any:
        return self._group.ask(asked)

    def drop(self, number: int) -> None:
        self._group.drop(number)

    def remake(self, made: Made) -> None:
        self._group.remake(made)

    def alive(self) -> bool:
        return True

    def suspect(self) -> None:
        pass

    def close(self) -> None:
        pass


def sent_to(worker: Worker, told: Sequence[Told]) -> Callable[[], list[Answer | None]] | Lost:
    """What waits for the answers, or why there is nothing to wait for."""
    try:
        return worker.obey(told)
    except Lost as why:
        return why
