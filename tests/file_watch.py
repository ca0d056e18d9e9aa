"""The file source, pulled by hand: fixtures `watch` and `log`, to be imported."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from aiops.model.frame import Frame, Lines
from aiops.model.series import SeriesIndex
from aiops.plugin import Connector
from aiops.plugin.load import load


class Watch:
    """A source that is pulled every 2 s of made-up time."""

    def __init__(self, path: object, now: float = 1_700_000_000.0, **fields: Any) -> None:
        kind = load("connectors", "file", Connector)  # type: ignore[type-abstract]
        self.source = kind.model_validate({"name": "logs", "path": str(path)} | fields)
        self.index = SeriesIndex()
        self.source.open(self.index)
        self.now = now
        self.batches: list[Lines] = []
        self.rates: dict[str, dict[str, float]] = {}

    async def pull(self) -> list[str]:
        """What was yielded, as text; batches and rates are kept."""
        since, self.now = self.now, self.now + 2
        self.batches, self.rates = [], {}
        async for batch in self.source.pull(since, self.now):
            if isinstance(batch, Frame):
                for slot, value in zip(batch.slots, batch.values[0], strict=True):
                    labels = dict(self.index.labels(slot))
                    self.rates.setdefault(labels["filename"], {})[labels["__name__"]] = float(value)
            else:
                assert isinstance(batch, Lines)
                assert len(batch.times) == len(batch.text)
                assert ((batch.times > since) & (batch.times <= self.now)).all()
                self.batches.append(batch)
        return [line for batch in self.batches for line in batch.text]


def append(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)


Make = Callable[..., Watch]


@pytest.fixture
async def watch() -> AsyncIterator[Make]:
    """Makes watches, and closes them."""
    made: list[Watch] = []

    def make(*args: Any, **fields: Any) -> Watch:
        made.append(Watch(*args, **fields))
        return made[-1]

    yield make
    for one in made:
        await one.source.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log file with two old lines."""
    path = tmp_path / "app.log"
    path.write_text("old 1\nold 2\n")
    return path
