"""Forewarn's own metrics. docs/reference/metrics.md is generated from them."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """One registry an engine, so that two engines in one process (tests, replay) do not collide."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.samples = Counter("forewarn_samples", "Samples taken in.", ["source"], registry=r)
        self.lines = Counter("forewarn_log_lines", "Log lines taken in.", ["source"], registry=r)
        self.series = Gauge("forewarn_series", "Series watched.", registry=r)
        self.series_ready = Gauge(
            "forewarn_series_ready", "Series whose detectors have learnt enough.", registry=r
        )
        self.bar = Gauge("forewarn_score_bar", "Score (-log10 p) that makes an anomaly.", registry=r)
        self.team_bar = Gauge(
            "forewarn_team_score_bar",
            "The bar that follows from a team's false pages; the first one's before there is enough to tell.",
            ["team"],
            registry=r,
        )
        self.false_pages = Gauge(
            "forewarn_false_pages_per_week",
            "False pages a week: asked for; expected at the bar as it is, by what was counted; and observed: "
            "problems of the last four weeks that no breach, no repair and no person has borne out.",
            ["team", "which"],
            registry=r,
        )
        self.step_seconds = Histogram(
            "forewarn_step_seconds",
            "Time from a row of samples to its committed effect.",
            buckets=SECONDS,
            registry=r,
        )
        self.pull_seconds = Histogram(
            "forewarn_pull_seconds", "Time of one pull.", ["source"], buckets=SECONDS, registry=r
        )
        self.pull_failures = Counter("forewarn_pull_failures", "Pulls that failed.", ["source"], registry=r)
        self.source_lag = Gauge(
            "forewarn_source_lag_seconds", "Age of the newest data.", ["source"], registry=r
        )
        self.received = Counter(
            "forewarn_received_requests", "Requests of sources that push.", ["source", "status"], registry=r
        )
        self.received_samples = Counter(
            "forewarn_received_samples",
            "What became of samples that were pushed; docs/ingest.md explains each fate.",
            ["source", "fate"],
            registry=r,
        )
        self.queue = Gauge("forewarn_queue_batches", "Batches waiting for the pipeline.", registry=r)
        self.alerts = Counter("forewarn_alert_transitions", "Alert transitions.", ["kind", "to"], registry=r)
        self.relearnt = Counter(
            "forewarn_series_relearnt",
            "Series that had drifted and were learnt anew, by what had changed: level or noise.",
            ["kind"],
            registry=r,
        )
        self.alerts_firing = Gauge("forewarn_alerts_firing", "Alerts that fire now.", registry=r)
        self.problems = Counter("forewarn_problem_transitions", "Problem transitions.", ["to"], registry=r)
        self.problems_open = Gauge(
            "forewarn_problems_open", "Problems that are not resolved.", ["state"], registry=r
        )
        self.lead = Histogram(
            "forewarn_lead_seconds",
            "Time from a problem's opening to the breach of its SLI; 0 for a silent breach.",
            buckets=(0, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400),
            registry=r,
        )
        self.lead_quantiles = Gauge(
            "forewarn_ledger_lead_seconds",
            "Lead time before the breaches of the last 30 days, a silent one being 0; NaN without a breach.",
            ["quantile"],
            registry=r,
        )
        self.outcomes = Gauge(
            "forewarn_ledger_problems",
            "Problems of the last 30 days by how their warning turned out: silent = a breach without one, "
            "empty = a prediction that came to nothing.",
            ["outcome"],
            registry=r,
        )
        self.precision = Gauge(
            "forewarn_ledger_precision",
            "Share of the last 30 days' predictions that came true or were averted; NaN without one.",
            registry=r,
        )
        self.deliveries = Counter(
            "forewarn_deliveries", "Attempts to deliver.", ["sink", "outcome"], registry=r
        )
        self.deliveries_due = Gauge("forewarn_deliveries_due", "Deliveries that wait.", registry=r)
        self.deliveries_dead = Gauge("forewarn_deliveries_dead", "Dead letters.", registry=r)
        self.delivery_age = Gauge(
            "forewarn_delivery_oldest_seconds", "Age of the oldest waiting delivery.", registry=r
        )
        self.tickets_wrong = Gauge(
            "forewarn_tickets_wrong",
            "Tickets that the last sweep found lost, duplicate or drifted.",
            ["sink", "how"],
            registry=r,
        )
        self.tickets_healed = Counter(
            "forewarn_tickets_healed", "Tickets that the sweep has put right.", ["sink", "how"], registry=r
        )
        self.runs = Counter("forewarn_runs", "Playbook runs that ended.", ["playbook", "state"], registry=r)
        self.autonomy = Gauge(
            "forewarn_autonomy_level",
            "How far a playbook may go by itself for a service that it has met: 0 observe, 1 suggest, "
            "2 approve, 3 auto.",
            ["playbook", "service"],
            registry=r,
        )
        self.runs_live = Gauge("forewarn_runs_live", "Playbook runs that have not ended.", registry=r)
        self.commit_failures = Counter("forewarn_commit_failures", "Transactions tried again.", registry=r)
        self.checkpoint_age = Gauge(
            "forewarn_checkpoint_age_seconds", "Age of the newest checkpoint.", registry=r
        )
        self.checkpoint_seconds = Gauge(
            "forewarn_checkpoint_seconds", "Time that the last checkpoint took.", registry=r
        )
        self.reloads = Counter(
            "forewarn_config_reloads", "Reloads of the configuration.", ["outcome"], registry=r
        )
        self.watchdog_told = Gauge(
            "forewarn_watchdog_told_timestamp_seconds",
            "When a watchdog last heard that all is well; `place` counts from 0, as in the configuration.",
            ["place"],
            registry=r,
        )
        self.spans = Counter(
            "forewarn_trace_spans", "Spans handed to the collector of traces.", ["outcome"], registry=r
        )
        self.score_seconds = Histogram(
            "forewarn_score_seconds",
            "Time to score a row of samples and learn from it.",
            buckets=SECONDS,
            registry=r,
        )
        self.sample_age = Histogram(
            "forewarn_sample_age_seconds",
            "Age of a row of samples once all that it brought about is stored; of pushed ones from the "
            "start of the second (the source's `resolution`) in which they lie.",
            ["source"],
            buckets=(*SECONDS, 30.0, 60.0, 120.0),
            registry=r,
        )
        self.source_up = Gauge(
            "forewarn_source_up", "Whether the last pull went well: 1 or 0.", ["source"], registry=r
        )
        self.state_bytes = Gauge(
            "forewarn_state_bytes", "Memory of learnt state, by the part that keeps it.", ["part"], registry=r
        )
        self.series_bytes = Gauge(
            "forewarn_series_bytes", "Memory of learnt state for one series.", registry=r
        )
        self.budget_left = Gauge(
            "forewarn_slo_budget_remaining_ratio",
            "Share of an objective's error budget that its worst series has left; below 0: overspent.",
            ["slo"],
            registry=r,
        )
        self.runs_waiting = Gauge(
            "forewarn_runs_waiting",
            "Playbook runs that wait: for their turn, or for approval.",
            ["state"],
            registry=r,
        )
        self.resident = Gauge("forewarn_resident_bytes", "Memory of the process.", registry=r)
        self.cpu = Gauge("forewarn_cpu_seconds", "Processor time of the process so far.", registry=r)
        self.open_files = Gauge("forewarn_open_files", "Open file descriptors.", registry=r)
        self.most_files = Gauge("forewarn_open_files_limit", "Most that may be open.", registry=r)
        self.disk_free = Gauge(
            "forewarn_disk_free_ratio", "Free share of the file system that `data` is on.", registry=r
        )
        self.store_bytes = Gauge("forewarn_store_bytes", "Size of the database.", registry=r)
        self.build = Gauge(
            "forewarn_build_info",
            "Always 1; the labels say what runs.",
            ["version", "python", "store"],
            registry=r,
        )
        self.up_since = Gauge("forewarn_start_time_seconds", "When the engine started.", registry=r)

        self._of_shards(r)

    def _of_shards(self, r: CollectorRegistry) -> None:
        """Where series are scored in shards (`scale`)."""
        self.shards = Gauge(
            "forewarn_shards",
            "Shards by the place of the worker that owns them; `engine`: the engine's own process.",
            ["worker"],
            registry=r,
        )
        self.workers = Gauge(
            "forewarn_workers", "Workers that are wanted, and that own shards.", ["which"], registry=r
        )
        self.shard_samples = Counter(
            "forewarn_shard_samples", "Samples that a shard has scored.", ["shard"], registry=r
        )
        self.round_trip = Histogram(
            "forewarn_shard_round_trip_seconds",
            "Time from a batch of orders to a worker's answers, a lost worker's replacement included.",
            ["worker"],
            buckets=(*SECONDS, 30.0, 60.0),
            registry=r,
        )
        self.worker_losses = Counter(
            "forewarn_worker_losses",
            "Workers that died or hung, by who owned their shards then: itself, started anew, or others.",
            ["owned_by"],
            registry=r,
        )
        self.answers_dropped = Counter(
            "forewarn_shard_answers_dropped",
            "Answers nobody listened to any more (lost: of a lost worker, told again to another; fenced: a "
            "state that was not kept, for another engine owns the shard).",
            ["why"],
            registry=r,
        )
        self.orders_replayed = Counter(
            "forewarn_shard_orders_replayed", "Orders told once more from the replay buffer.", registry=r
        )
        self.replay_orders = Gauge(
            "forewarn_shard_replay_orders", "Orders in the replay buffer.", ["shard"], registry=r
        )
        self.replay_bytes = Gauge(
            "forewarn_shard_replay_bytes", "Bytes of all orders in the replay buffer.", registry=r
        )
        self.shard_checkpoint_age = Gauge(
            "forewarn_shard_checkpoint_age_seconds",
            "Age of a shard's last kept state, from which another worker would go on.",
            ["shard"],
            registry=r,
        )

    def delivered(self, sink: str, outcome: str, _seconds: float) -> None:
        """One attempt: sent, retried or dead."""
        self.deliveries.labels(sink, outcome).inc()

    def told(self, outcome: str, spans: int) -> None:
        """Of traces: sent or failed, and how many spans."""
        self.spans.labels(outcome).inc(spans)
