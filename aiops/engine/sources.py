"""The sources of a configuration: which of them are asked, and how they are opened and closed."""

import asyncio
import logging
from typing import Any

from aiops.config import Config
from aiops.core.detect import Detection
from aiops.engine.rules import sli_labels
from aiops.model.series import SeriesIndex
from aiops.plugin import Connector

log = logging.getLogger("aiops.engine")


def connectors(config: Config) -> list[Connector]:
    return [source for source in config.sources if isinstance(source, Connector)]


def open_sources(config: Config, index: SeriesIndex, positions: dict[str, Any]) -> None:
    by_name = {connector.name: connector for connector in connectors(config)}
    for name, connector in by_name.items():
        connector.open(index)
        if name in positions:
            connector.restore(positions[name])
    for sli in config.slis:
        if sli.of.query:
            by_name[sli.of.source].watch(sli_labels(sli.name, sli.labels), sli.of.query)


async def close(config: Config) -> None:
    for source in config.sources:
        await source.close()
    for sink in config.sinks:
        await sink.close()


async def close_all(config: Config, detection: Detection) -> None:
    """At the end; workers elsewhere are let go."""
    await close(config)
    await asyncio.to_thread(detection.close)


def warn_of_fixed(old: Config, new: Config) -> None:
    for key in ("store", "data", "web", "scale"):
        if getattr(old, key) != getattr(new, key):
            log.warning("%s: a change takes effect only after a restart", key)
