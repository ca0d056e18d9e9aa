"""When one series was flagged, and why."""

import json

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.model.series import Labels
from aiops.store.rows import labels_in
from aiops.store.tables import alert

Row = dict[str, object]


def of_series(conn: Connection, labels: Labels, since: float, limit: int) -> list[Row]:
    """Alerts of the series that fired since then (epoch s), the latest first: all but their labels."""
    # by the time they fired, which is indexed: labels alone would be looked for among all alerts ever
    columns = [column for column in alert.c if column.name not in ("labels", "examples")]
    query = sa.select(*columns).where(
        alert.c.fired >= since, sa.cast(alert.c.labels, sa.Text) == json.dumps(labels_in(labels))
    )
    rows = conn.execute(query.order_by(alert.c.fired.desc(), alert.c.id.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]
