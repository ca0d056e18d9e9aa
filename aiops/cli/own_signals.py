"""What `forewarn dashboards` is made of: rules and panels over Forewarn's own metrics, one a line."""
# ruff: noqa: E501

from collections.abc import Sequence
from dataclasses import dataclass

RUNBOOK = "docs/runbook.md"


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert rule; its section in the runbook has its name."""

    name: str
    expr: str
    lasts: str
    severity: str
    summary: str


RULES = (
    Rule("ForewarnWatchdog", "vector(1)", "0m", "none", "Always fires: whoever stops hearing it knows that alerting is broken"),
    Rule("ForewarnDown", 'absent(forewarn_start_time_seconds)', "5m", "critical", "No Forewarn is scraped"),
    Rule("ForewarnRestarts", "changes(forewarn_start_time_seconds[30m]) > 3", "0m", "major", "Forewarn restarts again and again"),
    Rule("ForewarnSourceDown", "forewarn_source_up == 0", "10m", "major", "Source {{ $labels.source }} does not answer"),
    Rule("ForewarnSourceLate", "forewarn_source_lag_seconds > 300", "10m", "minor", "The newest data of {{ $labels.source }} is {{ $value | humanizeDuration }} old"),
    Rule("ForewarnSlow", "histogram_quantile(0.99, sum by (le, instance) (rate(forewarn_sample_age_seconds_bucket[10m]))) > 60", "15m", "major", "Samples wait {{ $value | humanizeDuration }} until they are acted on"),
    Rule("ForewarnQueueFull", "forewarn_queue_batches >= 60", "5m", "major", "The pipeline does not keep up: {{ $value }} batches wait"),
    Rule("ForewarnStoreRefuses", "increase(forewarn_commit_failures_total[10m]) > 3", "0m", "critical", "The store takes no writes"),
    Rule("ForewarnTicketsWait", "forewarn_delivery_oldest_seconds > 900", "5m", "major", "A ticket has waited for {{ $value | humanizeDuration }}"),
    Rule("ForewarnTicketsDead", "forewarn_deliveries_dead > 0", "0m", "major", "{{ $value }} messages were given up"),
    Rule("ForewarnTicketsWrong", "forewarn_tickets_wrong > 0", "30m", "minor", "{{ $value }} tickets of {{ $labels.sink }} are {{ $labels.how }}"),
    Rule("ForewarnRunsFail", 'sum by (playbook) (increase(forewarn_runs_total{state=~"failed|interrupted"}[1h])) > 3', "0m", "minor", "Playbook {{ $labels.playbook }} fails again and again"),
    Rule("ForewarnCheckpointOld", "forewarn_checkpoint_age_seconds > 600", "5m", "major", "What was learnt in the last {{ $value | humanizeDuration }} would be lost"),
    Rule("ForewarnWorkersMissing", 'forewarn_workers{which="at work"} < ignoring(which) forewarn_workers{which="wanted"}', "10m", "major", "Only {{ $value }} workers score series"),
    Rule("ForewarnWorkersDie", "sum by (instance) (increase(forewarn_worker_losses_total[30m])) > 3", "0m", "major", "Workers that score series die or hang again and again"),
    Rule("ForewarnShardsNotKept", "max by (instance) (forewarn_shard_checkpoint_age_seconds) > 600", "5m", "minor", "A lost worker's replacement would have to learn the last {{ $value | humanizeDuration }} again"),
    Rule("ForewarnDiskFull", "forewarn_disk_free_ratio < 0.1", "5m", "major", "The disk of the data folder is full but for {{ $value | humanizePercentage }}"),
    Rule("ForewarnFilesOpen", "forewarn_open_files / forewarn_open_files_limit > 0.8", "10m", "major", "{{ $value | humanizePercentage }} of the file descriptors are open"),
    Rule("ForewarnMemoryGrows", "predict_linear(forewarn_resident_bytes[6h], 86400) > 2 * forewarn_resident_bytes", "2h", "minor", "Memory will have doubled within a day"),
    Rule("ForewarnReloadRefused", 'increase(forewarn_config_reloads_total{outcome="refused"}[15m]) > 0', "0m", "minor", "A changed configuration was not taken up"),
    Rule("ForewarnSendersHeldBack", 'sum by (source, instance) (rate(forewarn_received_requests_total{status=~"429|503"}[10m])) > 1', "10m", "minor", "Senders to {{ $labels.source }} are told to wait"),
)  # fmt: skip
"""Most severe subjects first; each has a section in the runbook."""

Panel = tuple[str, str, Sequence[tuple[str, str]]]
"""(title, unit, (expression, legend)...)"""

I = "{{instance}}"  # noqa: E741
ROWS: dict[str, Sequence[Panel]] = {
    "At a glance": (
        ("Problems that are not resolved", "short", [("forewarn_problems_open{$of}", "{{state}}")]),
        ("Alerts that fire", "short", [("forewarn_alerts_firing{$of}", I)]),
        ("Series, and those with a ready model", "short", [("forewarn_series{$of}", "all"), ("forewarn_series_ready{$of}", "ready")]),
        ("Up since", "dateTimeFromNow", [("forewarn_start_time_seconds{$of} * 1000", I)]),
        ("What runs", "short", [("forewarn_build_info{$of}", "{{version}} on Python {{python}}, {{store}}")]),
        ("Watchdogs heard", "dateTimeFromNow", [("forewarn_watchdog_told_timestamp_seconds{$of} * 1000", "{{place}}")]),
    ),
    "What comes in": (
        ("Samples", "cps", [("sum by (source) (rate(forewarn_samples_total{$of}[$__rate_interval]))", "{{source}}")]),
        ("Log lines", "cps", [("sum by (source) (rate(forewarn_log_lines_total{$of}[$__rate_interval]))", "{{source}}")]),
        ("Sources that answer", "short", [("forewarn_source_up{$of}", "{{source}}")]),
        ("Age of the newest data", "s", [("forewarn_source_lag_seconds{$of}", "{{source}}")]),
        ("Time of a pull (p95)", "s", [("$p95(forewarn_pull_seconds)", "{{source}}")]),
        ("Failed pulls", "cps", [("rate(forewarn_pull_failures_total{$of}[$__rate_interval])", "{{source}}")]),
        ("Requests of senders", "reqps", [("sum by (source, status) (rate(forewarn_received_requests_total{$of}[$__rate_interval]))", "{{source}} {{status}}")]),
        ("What became of pushed samples", "cps", [("sum by (source, fate) (rate(forewarn_received_samples_total{$of}[$__rate_interval]))", "{{source}} {{fate}}")]),
    ),
    "Detection": (
        ("From sample to stored effect", "s", [("$p50(forewarn_sample_age_seconds)", "p50"), ("$p99(forewarn_sample_age_seconds)", "p99")]),
        ("Time of a step", "s", [("$p99(forewarn_step_seconds)", "whole, p99"), ("$p99(forewarn_score_seconds)", "scoring, p99")]),
        ("Batches that wait", "short", [("forewarn_queue_batches{$of}", I)]),
        ("Score that makes an anomaly", "short", [("forewarn_score_bar{$of}", "highest"), ("forewarn_team_score_bar{$of}", "{{team}}")]),
        ("False pages a week", "short", [("forewarn_false_pages_per_week{$of}", "{{team}} {{which}}")]),
        ("Alerts", "cps", [("sum by (kind, to) (rate(forewarn_alert_transitions_total{$of}[$__rate_interval]))", "{{kind}} {{to}}")]),
        ("Problems", "cps", [("sum by (to) (rate(forewarn_problem_transitions_total{$of}[$__rate_interval]))", "{{to}}")]),
    ),
    "Scale-out": (
        ("Shards by worker", "short", [("forewarn_shards{$of}", "{{worker}}"), ("forewarn_workers{$of}", "workers {{which}}")]),
        ("Samples scored in shards", "cps", [("sum by (instance) (rate(forewarn_shard_samples_total{$of}[$__rate_interval]))", I), ("max by (instance) (rate(forewarn_shard_samples_total{$of}[$__rate_interval]))", "busiest shard")]),
        ("There and back (p99)", "s", [("$p99(forewarn_shard_round_trip_seconds)", "p99")]),
        ("Workers lost, answers dropped, orders told again", "short", [("increase(forewarn_worker_losses_total{$of}[5m])", "lost, then owned by {{owned_by}}"), ("increase(forewarn_shard_answers_dropped_total{$of}[5m])", "dropped: {{why}}"), ("increase(forewarn_shard_orders_replayed_total{$of}[5m])", "told again")]),
        ("Age of the oldest kept state", "s", [("max by (instance) (forewarn_shard_checkpoint_age_seconds{$of})", I)]),
        ("Replay buffer", "short", [("max by (instance) (forewarn_shard_replay_orders{$of})", "most orders of a shard"), ("forewarn_shard_replay_bytes{$of}", "bytes of all")]),
    ),
    "Was it right": (
        ("Lead time before breaches of 30 days", "s", [("forewarn_ledger_lead_seconds{$of}", "{{quantile}}")]),
        ("Lead time of late (p50)", "s", [("$p50(forewarn_lead_seconds)", "p50")]),
        ("How warnings turned out", "short", [("forewarn_ledger_problems{$of}", "{{outcome}}")]),
        ("Error budgets that are left", "percentunit", [("forewarn_slo_budget_remaining_ratio{$of}", "{{slo}}")]),
        ("Predictions that came true or were averted", "percentunit", [("forewarn_ledger_precision{$of}", I)]),
    ),
    "Tickets and repairs": (
        ("Attempts to deliver", "cps", [("sum by (sink, outcome) (rate(forewarn_deliveries_total{$of}[$__rate_interval]))", "{{sink}} {{outcome}}")]),
        ("Messages that wait, or were given up", "short", [("forewarn_deliveries_due{$of}", "wait"), ("forewarn_deliveries_dead{$of}", "given up")]),
        ("Age of the oldest message", "s", [("forewarn_delivery_oldest_seconds{$of}", I)]),
        ("Tickets that are wrong, or were put right", "short", [("forewarn_tickets_wrong{$of}", "{{sink}} {{how}}"), ("increase(forewarn_tickets_healed_total{$of}[1h])", "{{sink}} {{how}} healed")]),
        ("Runs", "short", [("sum by (playbook, state) (increase(forewarn_runs_total{$of}[1h]))", "{{playbook}} {{state}}")]),
        ("Runs that have not ended", "short", [("forewarn_runs_live{$of}", "all"), ("forewarn_runs_waiting{$of}", "{{state}}")]),
        ("How far playbooks may go", "short", [("forewarn_autonomy_level{$of}", "{{playbook}} for {{service}}")]),
    ),
    "The process": (
        ("Memory", "bytes", [("forewarn_resident_bytes{$of}", "process"), ("sum(forewarn_state_bytes{$of})", "learnt state")]),
        ("Memory of a series", "bytes", [("forewarn_series_bytes{$of}", I)]),
        ("Processor", "percentunit", [("rate(forewarn_cpu_seconds{$of}[$__rate_interval])", I)]),
        ("File descriptors", "short", [("forewarn_open_files{$of}", "open"), ("forewarn_open_files_limit{$of}", "most")]),
        ("Free disk", "percentunit", [("forewarn_disk_free_ratio{$of}", I)]),
        ("Database", "bytes", [("forewarn_store_bytes{$of}", I)]),
        ("Checkpoint: age and duration", "s", [("forewarn_checkpoint_age_seconds{$of}", "age"), ("forewarn_checkpoint_seconds{$of}", "duration")]),
        ("Transactions tried again, reloads", "short", [("increase(forewarn_commit_failures_total{$of}[5m])", "tried again"), ("increase(forewarn_config_reloads_total{$of}[5m])", "reload {{outcome}}")]),
    ),
}  # fmt: skip
