"""One YAML file -> checked models. Unknown keys are refused; every error names file, line and key."""

from aiops.config.models import (
    Alerting,
    BreachRule,
    Config,
    Detection,
    Flapping,
    Grouping,
    Limit,
    SilenceRule,
    Sli,
    SliOf,
)
from aiops.config.operation import Retention
from aiops.config.remediation import Maintenance, Remediation
from aiops.config.routing import EscalateAfter, HoursRule, RouteRule, Storm
from aiops.config.tickets import Tickets, TicketStyle
from aiops.config.web import Oidc, Web

__all__ = [
    "Alerting",
    "BreachRule",
    "Config",
    "Detection",
    "EscalateAfter",
    "Flapping",
    "Grouping",
    "HoursRule",
    "Limit",
    "Maintenance",
    "Oidc",
    "Remediation",
    "Retention",
    "RouteRule",
    "SilenceRule",
    "Sli",
    "SliOf",
    "Storm",
    "TicketStyle",
    "Tickets",
    "Web",
]
