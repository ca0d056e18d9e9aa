"""The past that a year-old installation has: most problems over, a few with thousands of alerts.

Sizes of problems are Pareto's (half of them have a handful of alerts); ids follow time. The latest problems
are the open ones.
"""

import numpy as np
from numpy.typing import NDArray

from aiops.model.series import NAME

NOW = 1_767_974_400.0
SPAN = 90 * 86400.0
SERVICES, METRICS = 500, 40
LARGEST = 4000
"""Alerts of the largest problems, of which the very last, which is open, is one."""


class Past:
    """The same for the same numbers. ``opened [problems]``: epoch s, ascending; ``sizes [problems]``."""

    def __init__(self, problems: int, alerts: int) -> None:
        self.rng = np.random.default_rng(11)
        self.problems = problems
        self.opened = np.sort(NOW - 600 - self.rng.uniform(0, SPAN, problems))
        self.open_from = problems - max(1, problems // 50)
        self.states = np.full(problems, "resolved", object)
        self.states[self.open_from :] = self.rng.choice(
            ["open", "open", "escalated"], problems - self.open_from
        )
        self.sizes = _sizes(self.rng, problems, alerts)
        self.largest = [int(i) + 1 for i in np.argsort(self.sizes, kind="stable")[-8:]]
        owner = np.repeat(np.arange(problems), self.sizes)
        fired = np.minimum(self.opened[owner] + self.rng.exponential(400, alerts), NOW)
        order = np.argsort(fired, kind="stable")
        self.owner, self.fired = owner[order], fired[order]

    def service(self, i: int) -> str:
        return f"s{(i * 7919) % SERVICES}"


def _sizes(rng: np.random.Generator, problems: int, alerts: int) -> NDArray[np.int64]:
    sizes = np.minimum(1 + rng.pareto(0.9, problems), LARGEST)
    large = min(LARGEST, max(1, alerts // 20))
    sizes[[*rng.choice(problems, min(8, problems), replace=False), problems - 1]] = large
    whole: NDArray[np.int64] = np.maximum(1, sizes * (alerts / sizes.sum())).astype(np.int64)
    whole[-1] = large
    rest = alerts - int(whole.sum())
    few = (
        np.argsort(whole, kind="stable")[: abs(rest)]
        if rest > 0
        else np.argsort(-whole, kind="stable")[1 : 1 - rest]
    )
    whole[few] += 1 if rest > 0 else -1
    return whole


def labels_of_series(n: int) -> dict[str, str]:
    service = f"s{(n // METRICS) % SERVICES}"
    return {
        NAME: f"m{n % METRICS}_seconds",
        "service": service,
        "pod": f"{service}-{n // 20_000:x}",
        "zone": "b",
    }
