"""What a dead engine had leased is free for the living; what a living one has is not."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from aiops.engine.heirs import Heirs
from aiops.model.problem import NotifyReason
from aiops.store import outbox
from aiops.store.database import Database
from aiops.store.tables import delivery
from aiops.testing import FakeClock
from tests.database import Postgres
from tests.outboxes import a_problem, say

NOW = 1_767_225_600.0


@pytest.fixture
def both(cluster: Postgres) -> Iterator[tuple[Database, Database]]:
    with cluster.fresh() as url:
        made = Database(url), Database(url)
        yield made
        for one in made:
            one.close()


async def test_only_what_the_dead_held_is_freed_and_only_at_the_second_look(
    both: tuple[Database, Database],
) -> None:
    living, other = both
    for number, owner in enumerate((living.name, "forewarn-gone-1-abcdef01")):
        say(living, a_problem(living, f"P-{number}"), NotifyReason.OPENED)
        claimed = await living.run(outbox.claim, NOW, f"{owner}/relay", 75.0, 1, "itsm")
        assert len(claimed) == 1
    heirs = Heirs(other, FakeClock(NOW + 1))
    assert await heirs.look() == 0
    assert await heirs.look() == 1
    with other.read_only() as conn:
        rows = conn.execute(sa.select(delivery.c.lease_until, delivery.c.due).order_by(delivery.c.id)).all()
    assert [tuple(row) for row in rows] == [(NOW + 75, 1.0), (0.0, NOW + 3)]
    assert await heirs.look() == 0
