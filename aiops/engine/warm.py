"""Compiling aside: what detectors compile on first use is compiled once, in a process of its own.

Compiling in the engine would block it for seconds and leave 70 MB behind that it never needs again.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Iterable
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

import numpy as np

from aiops.config import Config, Detection
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex, labels_of
from aiops.plugin import Detector
from aiops.plugin.load import HOUSE, kinds, load

log = logging.getLogger("aiops.engine")

COMPILE = "import sys; from aiops.engine.warm import compile_here; compile_here(sys.argv[1:])"
LONGEST = 60.0
"""Seconds of compiling for each kind."""


def compile_here(wanted: Iterable[str] | None = None) -> None:
    """Compile what detectors of these kinds use, else the default ones; remember it for this very code.

    A kind that needs parameters is left to compile by itself.
    """
    for kind in kinds_of(Detection().detectors) if wanted is None else wanted:
        found = load("detectors", kind, Detector)  # type: ignore[type-abstract]
        if not any(field.is_required() for field in found.model_fields.values()):
            use(found())
        _remember(kind)


def kinds_of(detectors: Iterable[Detector]) -> list[str]:
    return sorted({detector.kind for detector in detectors})


def load_all(config: Config) -> None:
    """Load here what the detectors and sources of `config` run on; they themselves are left as they are."""
    for detector in config.detection.detectors:
        use(detector.model_copy(deep=True))
    for source in config.sources:
        source.prepare()


def use(detector: Detector) -> None:
    """Call it in every way that the engine does: the first anomaly must not wait for a compiler."""
    index = SeriesIndex()
    slot = index.slot(labels_of({"__name__": "compiled"}))
    frame = Frame(np.array([1.0]), np.array([slot], np.int32), np.array([[1.0]]))
    detector.open(index)
    detector.columns.ensure(1)
    detector.learn(frame, np.ones((1, 1), np.bool_))
    detector.update(frame, np.zeros(1, np.bool_))
    detector.score(frame)


async def compile_aside(detectors: Iterable[Detector]) -> None:
    """Run `compile_here` in another process for what was not compiled; a failure only costs time later."""
    shelf = kinds("detectors")
    wanted = [
        kind for kind in kinds_of(detectors) if kind in shelf and not await asyncio.to_thread(_done, kind)
    ]
    if not wanted:
        return
    argv = [sys.executable, "-c", COMPILE, *wanted]
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*argv, stdout=quiet, stderr=quiet, cwd=HOUSE)
    try:
        async with asyncio.timeout(LONGEST * len(wanted)):
            if await process.wait() != 0:
                log.warning("the engine compiles its detectors itself: `forewarn prepare` says why")
    except TimeoutError:
        process.kill()


def _done(kind: str) -> bool:
    key = _key()
    return any(place.exists() and place.read_text() == key for place in _stamps(kind))


def _remember(kind: str) -> None:
    for place in _stamps(kind):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(_key())
            return
        except OSError as why:
            log.debug("%s cannot be written: %s", place, why)


def _stamps(kind: str) -> list[Path]:
    """Beside numba's own cache, or where a user's caches are when that is not ours to write."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = f"compiled-{kind}"
    return [HOUSE / "detectors" / "__pycache__" / name, cache / "forewarn" / name]


def _key() -> str:
    """Changes with whatever makes compiled code stale."""
    digest = blake2b(f"{sys.version} {version('numba')} {version('forewarn')}".encode(), digest_size=16)
    for file in sorted([*HOUSE.glob("detectors/*.py"), *HOUSE.glob("aiops/plugin/*.py")]):
        digest.update(f"{file.name} {file.stat().st_mtime_ns}".encode())
    return digest.hexdigest()
