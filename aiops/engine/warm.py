"""Compiling aside: what detectors compile on first use is compiled once, in a process of its own.

Compiling in the engine would block it for seconds and leave 70 MB behind that it never needs again.
"""

import asyncio
import logging
import os
import sys
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

import numpy as np

from aiops.config import Detection
from aiops.model.frame import Frame
from aiops.plugin import Detector
from aiops.plugin.load import HOUSE

log = logging.getLogger("aiops.engine")

LONGEST = 60.0


def compile_here() -> None:
    """Compile what the default detectors use, and remember that it was done for this very code."""
    for detector in Detection().detectors:
        use(detector)
    for place in _stamps():
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(_key())
            return
        except OSError as why:
            log.debug("%s cannot be written: %s", place, why)


def use(detector: Detector) -> None:
    """Call it in every way that the engine does: the first anomaly must not wait for a compiler."""
    frame = Frame(np.array([1.0]), np.array([0], np.int32), np.array([[1.0]]))
    detector.columns.ensure(1)
    detector.learn(frame, np.ones((1, 1), np.bool_))
    detector.update(frame, np.zeros(1, np.bool_))
    detector.score(frame)


async def compile_aside() -> None:
    """Run `compile_here` in another process unless it was done; a failure only costs time later."""
    if await asyncio.to_thread(_done):
        return
    argv = [sys.executable, "-c", "from aiops.engine.warm import compile_here; compile_here()"]
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*argv, stdout=quiet, stderr=quiet, cwd=HOUSE)
    try:
        async with asyncio.timeout(LONGEST):
            if await process.wait() != 0:
                log.warning("the engine compiles its detectors itself: `forewarn prepare` says why")
    except TimeoutError:
        process.kill()


def _done() -> bool:
    key = _key()
    return any(place.exists() and place.read_text() == key for place in _stamps())


def _stamps() -> list[Path]:
    """Beside numba's own cache, or where a user's caches are when that is not ours to write."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return [HOUSE / "detectors" / "__pycache__" / "compiled", cache / "forewarn" / "compiled"]


def _key() -> str:
    """Changes with whatever makes compiled code stale."""
    digest = blake2b(f"{sys.version} {version('numba')} {version('forewarn')}".encode(), digest_size=16)
    for file in sorted([*HOUSE.glob("detectors/*.py"), *HOUSE.glob("aiops/*/*_kernel.py")]):
        digest.update(f"{file.name} {file.stat().st_mtime_ns}".encode())
    return digest.hexdigest()
