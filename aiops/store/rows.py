"""Between dataclasses and rows: NaN is NULL, label sets are JSON objects."""

import math
from collections.abc import Mapping

from aiops.model.series import Labels, labels_of


def null(value: float) -> float | None:
    """What is not known is NULL in a table."""
    return value if math.isfinite(value) else None


def nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def labels_in(labels: Labels) -> dict[str, str]:
    return dict(labels)


def labels_out(stored: Mapping[str, str]) -> Labels:
    return labels_of(stored)
