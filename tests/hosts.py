"""The host source, pulled by hand, and hosts that are made up."""

import os
import shutil
from pathlib import Path

from aiops.model.series import SeriesIndex
from aiops.plugin import Connector
from aiops.plugin.load import load

Key = tuple[str, str]


class Watch:
    """A host source and its latest values, by (metric, value of its own label)."""

    def __init__(self, **fields: object) -> None:
        self.source = load("connectors", "host", Connector).model_validate(fields)
        self.index = SeriesIndex()
        self.source.open(self.index)

    async def pull(self, now: float = 1.0) -> dict[Key, float]:
        frames = [f async for f in self.source.pull(now - 1, now)]
        (frame,) = frames
        assert frame.times.tolist() == [now]
        found = {}
        for slot, value in zip(frame.slots, frame.values[0], strict=True):
            labels = dict(self.index.labels(slot))
            name = labels.pop("__name__")
            assert name.startswith("host_")
            assert labels.pop("host")
            found[name, ",".join(labels.values())] = float(value)
        return found


class FakeHost:
    """A root folder with a /proc whose processes are written by hand; ticks are 1/100 s."""

    def __init__(self, root: Path) -> None:
        self.root, self.uptime = root, 10_000.0
        self.proc = root / "proc"
        self.proc.mkdir(parents=True)
        self.write("meminfo", "MemTotal: 1000000 kB\n")
        self.tick(0)

    def write(self, name: str, text: str) -> None:
        path = self.proc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def tick(self, seconds: float) -> None:
        self.uptime += seconds
        self.write("uptime", f"{self.uptime:.2f} 0\n")

    def process(
        self, pid: int, argv: str, age: float, ticks: int = 0, rss_pages: int = 10, env: str = ""
    ) -> None:
        start = int((self.uptime - age) * 100)
        comm = os.path.basename(argv.split()[0])[:15]
        fields = ["S", *["0"] * 10, str(ticks), "0", *["0"] * 4, "1", "0", str(start), "0", str(rss_pages)]
        self.write(f"{pid}/stat", f"{pid} ({comm}) " + " ".join(fields))
        self.write(f"{pid}/cmdline", argv.replace(" ", "\0"))
        self.write(f"{pid}/environ", env)

    def end(self, pid: int) -> None:
        shutil.rmtree(self.proc / str(pid))
