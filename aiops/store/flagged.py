"""When one series was flagged, and why."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.series import Labels
from aiops.store.lists import LOOKED
from aiops.store.rows import labels_in, spelled
from aiops.store.tables import alert

Row = dict[str, object]


def of_series(conn: Connection, labels: Labels, since: float, limit: int) -> list[Row]:
    """Alerts of the series that fired since then (epoch s), the latest first: all but their labels."""
    # by the time they fired, which is indexed: labels alone would be looked for among all alerts ever; and
    # among so many of them only, which the limit keeps both databases to
    lately = sa.select(alert).where(alert.c.fired >= since).order_by(alert.c.fired.desc()).limit(LOOKED)
    one = lately.subquery().c
    columns = [column for column in one if column.name not in ("labels", "examples")]
    query = sa.select(*columns).where(sa.cast(one.labels, sa.Text).in_(spelled(labels_in(labels))))
    rows = conn.execute(query.order_by(one.fired.desc(), one.id.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]
