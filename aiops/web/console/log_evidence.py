"""What the console shows of an alert on log lines."""

import math
from collections.abc import Mapping
from typing import Any

from aiops.core.log_shown import Shown, shown


def log_shown(alert: Mapping[str, Any]) -> Shown | None:
    """Pattern, example lines and rates of an alert's row; None when it shows none."""
    labels = dict(alert["labels"])
    if not labels.get("__name__", "").startswith("log_"):
        # what other systems tell of has examples too, which are no lines of a pattern
        return Shown("", "", tuple(alert["examples"]), math.nan, math.nan) if alert["examples"] else None
    return shown(labels, alert["examples"], _number(alert["observed"]), _number(alert["expected"]))


def _number(value: float | None) -> float:
    return math.nan if value is None else value
