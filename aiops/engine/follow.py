"""Takes up a changed configuration by itself: for files that others exchange, as a ConfigMap's are."""

import asyncio
import hashlib
import logging
from pathlib import Path
from typing import Protocol

from aiops.config import Config
from aiops.config.complaint import ConfigError
from aiops.config.read import PACKAGED
from aiops.engine.clock import Clock
from aiops.plugin import PluginError

log = logging.getLogger("aiops.engine")

IDLE = 5.0
"""Seconds between looks at whether files are to be followed at all."""


class Engine(Protocol):
    """What is needed of the engine."""

    @property
    def config(self) -> Config: ...
    @property
    def config_path(self) -> Path | None: ...
    @property
    def clock(self) -> Clock: ...
    async def reload(self) -> None: ...


class Follower:
    """Reloads when the file or a playbook is another than before; of a bad one it says so, once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known = self._digest()

    async def run(self) -> None:
        """For ever; cancelled at the end."""
        while True:
            every = self._engine.config.reload_every
            await self._engine.clock.sleep(every or IDLE)
            if every:
                await self.look()

    async def look(self) -> None:
        """Reload if there is something new."""
        now = await asyncio.to_thread(self._digest)
        if now == self._known:
            return
        self._known = now
        try:
            await self._engine.reload()
        except ConfigError as why:
            log.error("the changed configuration is not taken up, the old one goes on:\n%s", why)
        except (PluginError, OSError, ValueError) as why:
            log.error("the changed configuration is not taken up, the old one goes on: %s", why)
        # playbooks that the new file names are known from now on
        self._known = await asyncio.to_thread(self._digest)

    def _digest(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for path in [self._engine.config_path or PACKAGED, *self._engine.config.playbooks]:
            for file in sorted(path.glob("*.y*ml")) if path.is_dir() else [path]:
                digest.update(str(file).encode() + b"\0" + _content(file))
        return digest.hexdigest()


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as why:
        return repr(why).encode()
