"""Changes from every tool, by the door they come in by: in the timeline of what follows and its ranking."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aiops.model.frame import Change
from aiops.store import tables
from aiops.store.database import Database
from aiops.web.api.problems import whole_problem
from connectors.changes import Changes
from tests.core.test_change_shapes import ARGO, CDEVENT, DEPLOYED, FLUX, GITLAB, JENKINS
from tests.engine.test_causes import Tiers, lead_of, walked
from tests.engine.test_kubernetes_connector import connector
from tests.kubernetes_server import api_server
from tests.walk import SOURCE, Walk

pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)

PLAIN = {"title": "pool 20 -> 5", "kind": "config", "labels": {"service": "db"}}
GITHUB_CI = {
    "action": "completed",
    "workflow_run": {"name": "deploy", "run_number": 7, "conclusion": "success", "updated_at": "?"},
    "repository": {"name": "shop"},
}
WAYS: dict[str, tuple[Mapping[str, str], Any, str]] = {
    "generic": ({}, PLAIN, "config: pool 20 -> 5"),
    "github": ({"x-github-event": "deployment_status"}, DEPLOYED, "deploy: shop main to production: success"),
    "github actions": ({"x-github-event": "workflow_run"}, GITHUB_CI, "pipeline: shop deploy #7: success"),
    "gitlab": ({"x-gitlab-event": "Deployment Hook"}, GITLAB, "deploy: shop 279484c0 to staging: success"),
    "argo cd": ({}, ARGO, "rollout: shop a84d88e7554f sync: Succeeded"),
    "flux": ({}, FLUX, "rollout: HelmRelease shop UpgradeSucceeded"),
    "jenkins": ({}, JENKINS, "pipeline: team/shop #7: SUCCESS"),
    "cdevents": ({}, CDEVENT, "deploy: shop service deployed"),
}


def at(body: Any, seconds: float) -> Any:
    """The same body, told at that time."""
    iso = datetime.fromtimestamp(seconds, UTC).isoformat()
    times = {"updated_at", "finishedAt", "timestamp", "status_changed_at", "time"}
    if not isinstance(body, Mapping):
        return body
    return {k: iso if k in times else at(v, seconds) for k, v in body.items()}


async def posted(made: Walk, headers: Mapping[str, str], body: Any) -> None:
    """By the receiver's own route, into the pipeline."""
    receiver = Changes.model_validate({"name": "ci", "services": {"shop": "db"}})
    found: list[Change] = []

    async def emit(batch: Any) -> None:
        found.append(batch)

    (route,) = receiver.routes()
    reply = await route.handle(json.dumps(body).encode(), headers, emit)
    assert reply.status == 202
    for change in found:
        await made.hear((SOURCE, change))


async def slow(made: Walk, tiers: Tiers) -> None:
    for _ in range(8):
        await made.row(tiers.row({"db": 2.0}))


async def held_to(made: Walk, text: str) -> None:
    """It stands in the timeline with when it was, and among the reasons of the leader that it raised."""
    whole = await made.db.read(whole_problem, made.problem.id)
    assert whole is not None
    (line,) = [row["reason"] for row in whole["timeline"] if row["reason"].startswith(text)]
    assert "before it began" in line
    lead = lead_of(made)
    assert lead.component == "db"
    assert any(reason.startswith(text.replace(": ", " ", 1)) for reason in lead.reasons)
    (told, *_) = [row["body"] for row in await made.stored(tables.delivery)]
    assert told["cause"]["ranked"][0]["component"] == "db"


@pytest.mark.parametrize("way", WAYS)
async def test_by_webhook(way: str, db: Database) -> None:
    made, tiers = await walked(db)
    headers, body, text = WAYS[way]
    await posted(made, headers, at(body, made.clock.now() - 60))
    await slow(made, tiers)
    await held_to(made, text)


async def test_rollouts_of_a_cluster(db: Database, tmp_path: Path) -> None:
    """A StatefulSet called db goes from one revision to the next, as a watch of the cluster sees it."""
    made, tiers = await walked(db)
    with api_server() as api:
        source = connector(api, tmp_path)
        for revision in ("db-6f", "db-7a"):
            status = {"updateRevision": revision, "readyReplicas": 2}
            api.put("statefulsets", "db", spec={"replicas": 2}, status=status)
            now = made.clock.now()
            for batch in [one async for one in source.pull(now - 15, now)]:
                if isinstance(batch, Change):
                    await made.hear(("k", batch))
        await source.close()
    await slow(made, tiers)
    await held_to(made, "rollout: StatefulSet shop/db: db-6f -> db-7a")
