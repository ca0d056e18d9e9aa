"""What an engine does while another leads: it makes itself ready to take over at once.

To load compiled code, for detectors and decoders, takes 0.5 s of a processor; a takeover would wait for it.
"""

import asyncio
import logging

from aiops.config import Config
from aiops.engine import warm
from aiops.engine.leadership import Leadership

log = logging.getLogger("aiops.engine")

REST = 3.0
"""Seconds before that: who starts because the leader died leaves the processor to whoever takes over."""


async def stand_by(leadership: Leadership, config: Config) -> None:
    """Until we lead."""
    loading = asyncio.create_task(_get_ready(config), name="get ready")
    try:
        await leadership.wait()
    finally:
        loading.cancel()  # what its thread loads just then is loaded all the same
        await asyncio.gather(loading, return_exceptions=True)


async def _get_ready(config: Config) -> None:
    await asyncio.sleep(REST)
    try:
        await asyncio.to_thread(warm.load_all, config)
    except Exception:
        log.warning("what a takeover needs could not be loaded ahead of time", exc_info=True)
        return
    log.info("ready to take over")
