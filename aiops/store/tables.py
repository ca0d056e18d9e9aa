"""All tables. Times are seconds since the epoch (float); every table carries its `team`."""

import sqlalchemy as sa

from aiops.store import tables_safety
from aiops.store.columns import metadata
from aiops.store.columns import own_id as _id
from aiops.store.columns import problem_id as _problem_id
from aiops.store.columns import table as _table
from aiops.store.tables_access import account, session, token
from aiops.store.tables_cause import cause, change
from aiops.store.tables_duty import leadership, lease, notice
from aiops.store.tables_safety import approval, autonomy, hold, seal
from aiops.store.tables_ties import answer, likeness, link, mark, trait
from aiops.store.vault import SealedJson, SealedText

__all__ = [
    "account",
    "alert",
    "answer",
    "approval",
    "attempt",
    "audit",
    "autonomy",
    "cause",
    "change",
    "delivery",
    "evidence",
    "hold",
    "leadership",
    "lease",
    "likeness",
    "link",
    "log_template",
    "mark",
    "metadata",
    "notice",
    "playbook_revision",
    "problem",
    "run",
    "seal",
    "session",
    "silence",
    "step",
    "ticket",
    "token",
    "trait",
    "watermark",
]

problem = _table(
    "problem",
    _id(),
    sa.Column("key", sa.String(64), nullable=False, unique=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("stage", sa.String(16), nullable=False),
    sa.Column("severity", sa.String(16), nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("opened", sa.Float, nullable=False, index=True),
    sa.Column("updated", sa.Float, nullable=False),
    sa.Column("last_evidence", sa.Float),
    sa.Column("breached", sa.Float),
    sa.Column("breach_earliest", sa.Float),
    sa.Column("breach_expected", sa.Float),
    sa.Column("breach_latest", sa.Float),
    # P(the breach comes within the next `breach_within` seconds)
    sa.Column("breach_chance", sa.Float),
    sa.Column("breach_within", sa.Float),
    sa.Column("resolved", sa.Float, index=True),
    sa.Column("acknowledged", sa.Float),
    sa.Column("assignee", sa.Text, nullable=False, server_default=""),
    sa.Column("escalation", sa.Text),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("flaps", sa.Integer, nullable=False, server_default="0"),
    sa.Column("snoozed_until", sa.Float),
    # The key of the problem that this one went into
    sa.Column("merged_into", sa.String(64), nullable=False, server_default=""),
    sa.Column("verdict", sa.String(16), nullable=False, server_default=""),
)
# A list's filters are all in one index: its ids are found without a look at the rows
sa.Index("ix_problem_lists", problem.c.state, problem.c.stage, problem.c.severity, problem.c.id)

alert = _table(
    "alert",
    _id(),
    _problem_id(nullable=True),
    sa.Column("fingerprint", sa.String(16), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False, server_default=""),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("severity", sa.String(16), nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("peak", sa.Float, nullable=False),
    sa.Column("observed", sa.Float),
    sa.Column("expected", sa.Float),
    sa.Column("lower", sa.Float),
    sa.Column("upper", sa.Float),
    sa.Column("bound", sa.Float),
    sa.Column("breach_earliest", sa.Float),
    sa.Column("breach_expected", sa.Float),
    sa.Column("breach_latest", sa.Float),
    # P(the breach comes within the next `breach_within` seconds)
    sa.Column("breach_chance", sa.Float),
    sa.Column("breach_within", sa.Float),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("fired", sa.Float, index=True),
    sa.Column("resolved", sa.Float),
    sa.Column("updated", sa.Float, nullable=False),
    sa.Column("flaps", sa.Integer, nullable=False, server_default="0"),
    sa.Column("silenced_by", sa.Text, nullable=False, server_default=""),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("examples", sa.JSON, nullable=False),
    # Why it is in its problem, in words
    sa.Column("joined", sa.Text, nullable=False, server_default=""),
)
sa.Index(
    "uq_alert_live",
    alert.c.fingerprint,
    unique=True,
    sqlite_where=alert.c.state == "firing",
    postgresql_where=alert.c.state == "firing",
)
sa.Index("ix_alert_state_id", alert.c.state, alert.c.id)
sa.Index("ix_alert_kind_state_id", alert.c.kind, alert.c.state, alert.c.id)
sa.Index("ix_alert_worst", alert.c.problem_id, alert.c.state, alert.c.peak.desc(), alert.c.id)
sa.Index("ix_alert_problem_id_started", alert.c.problem_id, alert.c.started)

evidence = _table(
    "evidence",
    sa.Column("alert_id", sa.ForeignKey("alert.id", ondelete="CASCADE"), primary_key=True),
    # {"times": [...], "observed": [...], "expected": [...], "lower": [...], "upper": [...]}, null = no sample
    sa.Column("points", sa.JSON, nullable=False),
)

ticket = _table(
    "ticket",
    _id(),
    _problem_id(),
    sa.Column("sink", sa.Text, nullable=False),
    sa.Column("ref", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False, server_default=""),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("updated", sa.Float, nullable=False),
    sa.UniqueConstraint("problem_id", "sink"),
)

delivery = _table(
    "delivery",
    _id(),
    _problem_id(),
    sa.Column("sink", sa.Text, nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("reason", sa.String(16), nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("message_id", sa.String(64), nullable=False, unique=True),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("said", sa.Float, nullable=False),
    sa.Column("due", sa.Float, nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False, server_default="0"),
    sa.Column("lease_owner", sa.String(64), nullable=False, server_default=""),
    sa.Column("sent", sa.Float),
    sa.Column("error", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("problem_id", "sink", "seq"),
)
sa.Index("ix_delivery_sink_state_due", delivery.c.sink, delivery.c.state, delivery.c.due)
sa.Index("ix_delivery_state_id", delivery.c.state, delivery.c.id)
sa.Index("ix_delivery_sink_state_id", delivery.c.sink, delivery.c.state, delivery.c.id)
# Of tickets, when they were opened
_first = delivery.c.seq == 1
sa.Index("ix_delivery_first_sent", delivery.c.sent, sqlite_where=_first, postgresql_where=_first)

attempt = _table(
    "attempt",
    _id(),
    sa.Column("delivery_id", sa.ForeignKey("delivery.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("ok", sa.Boolean, nullable=False),
    sa.Column("error", sa.Text, nullable=False, server_default=""),
)

playbook_revision = _table(
    "playbook_revision",
    sa.Column("revision", sa.String(64), primary_key=True),
    sa.Column("playbook", sa.Text, nullable=False),
    sa.Column("text", SealedText, nullable=False),
    sa.Column("seen", sa.Float, nullable=False),
)

run = _table(
    "run",
    _id(),
    _problem_id(),
    sa.Column("playbook", sa.Text, nullable=False),
    sa.Column("revision", sa.String(64), nullable=False),
    sa.Column("target", sa.Text, nullable=False, index=True),
    sa.Column("state", sa.String(24), nullable=False, index=True),
    sa.Column("autonomy", sa.String(16), nullable=False),
    sa.Column("dry_run", sa.Boolean, nullable=False),
    sa.Column("queued", sa.Float, nullable=False),
    sa.Column("started", sa.Float),
    sa.Column("ended", sa.Float),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("approved_by", sa.Text, nullable=False, server_default=""),
    *tables_safety.terms_of_a_run(),
)

step = _table(
    "step",
    _id(),
    sa.Column("run_id", sa.ForeignKey("run.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("phase", sa.String(16), nullable=False),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
    sa.Column("ok", sa.Boolean),
    sa.Column("output", sa.Text, nullable=False, server_default=""),
    # What later steps may ask about, where the step is registered
    sa.Column("data", SealedJson),
    sa.UniqueConstraint("run_id", "number"),
)

audit = _table(
    "audit",
    _id(),
    _problem_id(nullable=True),
    sa.Column("at", sa.Float, nullable=False, index=True),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("entity", sa.String(16), nullable=False),
    sa.Column("entity_id", sa.String(64), nullable=False),
    sa.Column("from_state", sa.String(24), nullable=False),
    sa.Column("to_state", sa.String(24), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
sa.Index("ix_audit_entity_id", audit.c.entity, audit.c.id)
sa.Index("ix_audit_actor_id", audit.c.actor, audit.c.id)

silence = _table(
    "silence",
    _id(),
    sa.Column("match", sa.Text, nullable=False),
    sa.Column("starts", sa.Float, nullable=False),
    sa.Column("ends", sa.Float),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
)

watermark = _table(
    "watermark",
    sa.Column("source", sa.Text, primary_key=True),
    # Samples up to here have been acted on: after a crash they are learnt from, never acted on again
    sa.Column("acted_until", sa.Float, nullable=False),
)

log_template = _table(
    "log_template",
    _id(),
    sa.Column("name", sa.String(32), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("level", sa.String(16), nullable=False, server_default=""),
    sa.Column("lines", sa.BigInteger, nullable=False),
    sa.Column("first_seen", sa.Float, nullable=False),
    sa.Column("last_seen", sa.Float, nullable=False, index=True),
    # The name of the template of which this turned out to be a case
    sa.Column("merged_into", sa.String(32)),
)
sa.Index("uq_log_template", log_template.c.name, log_template.c.team, unique=True)
