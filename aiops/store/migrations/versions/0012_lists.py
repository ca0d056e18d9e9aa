"""indexes for lists of a million alerts: each page's ids are the head of one"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

INDEXES: dict[str, tuple[str, list[str | sa.TextClause]]] = {
    "ix_alert_state_id": ("alert", ["state", "id"]),
    "ix_alert_kind_state_id": ("alert", ["kind", "state", "id"]),
    "ix_alert_worst": ("alert", ["problem_id", "state", sa.text("peak DESC"), "id"]),
    "ix_alert_problem_id_started": ("alert", ["problem_id", "started"]),
    "ix_problem_lists": ("problem", ["state", "stage", "severity", "id"]),
    "ix_problem_resolved": ("problem", ["resolved"]),
    "ix_delivery_state_id": ("delivery", ["state", "id"]),
    "ix_delivery_sink_state_id": ("delivery", ["sink", "state", "id"]),
    "ix_audit_entity_id": ("audit", ["entity", "id"]),
    "ix_audit_actor_id": ("audit", ["actor", "id"]),
}


def upgrade() -> None:
    for name, (table, columns) in INDEXES.items():
        op.create_index(name, table, columns)
    first = sa.text("seq = 1")
    op.create_index(
        "ix_delivery_first_sent", "delivery", ["sent"], sqlite_where=first, postgresql_where=first
    )


def downgrade() -> None:
    op.drop_index("ix_delivery_first_sent", "delivery")
    for name, (table, _) in INDEXES.items():
        op.drop_index(name, table)
