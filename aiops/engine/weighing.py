"""From runs that have ended to what the pipeline lets their playbooks do by themselves."""

import logging

from aiops.core.autonomy import level
from aiops.engine.metrics import Metrics
from aiops.engine.pipeline import Pipeline
from aiops.engine.trust import weigh
from aiops.model.lifecycle import sentence
from aiops.store import autonomy
from aiops.store.database import Database

log = logging.getLogger("aiops.run")


async def refresh(db: Database, pipeline: Pipeline, metrics: Metrics, now: float) -> None:
    """Weigh what has ended, and let the pipeline and the gauges know what has been earned."""
    remediation = pipeline.state.remediation
    default, known = remediation.policy.earn, {one.name: one for one in remediation.playbooks}
    if await db.read(autonomy.wanting):
        for before, one in await db.run(weigh, known, default, now):
            name, standing = f"{one.playbook} for {one.service}", one.standing
            log.info(sentence("autonomy", name, before, standing.level, standing.reason))
    levels = await db.read(autonomy.levels)
    await pipeline.call(lambda state: state.remediation.trust(levels))
    metrics.autonomy.clear()
    for (name, service), stored in levels.items():
        if name in known:
            held = level(known[name], stored, default)
            metrics.autonomy.labels(name, service).set(held.height)
