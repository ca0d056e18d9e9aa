"""One YAML file -> checked models. Unknown keys are refused; every error names file, line and key."""

from aiops.config.models import (
    Alerting,
    BreachRule,
    Config,
    Detection,
    EscalateAfter,
    Flapping,
    Grouping,
    Limit,
    Maintenance,
    Remediation,
    Retention,
    RouteRule,
    SilenceRule,
    Sli,
    SliOf,
    Web,
)

__all__ = [
    "Alerting",
    "BreachRule",
    "Config",
    "Detection",
    "EscalateAfter",
    "Flapping",
    "Grouping",
    "Limit",
    "Maintenance",
    "Remediation",
    "Retention",
    "RouteRule",
    "SilenceRule",
    "Sli",
    "SliOf",
    "Web",
]
