"""Raw samples onto a grid, against a naive oracle."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aiops.model.series import Labels, labels_of
from connectors._prometheus_grid import Last, Raw, place

NAN = float("nan")


def naive(
    samples: dict[Labels, list[tuple[float, float]]], grid: list[float], step: float, gap: float
) -> dict[Labels, list[float]]:
    """One series and one point at a time, from all samples ever."""
    found: dict[Labels, list[float]] = {}
    for labels, all_ in samples.items():
        kept = [s for s in all_ if np.isfinite(s[1])]
        row = []
        for point in grid:
            new = [s for s in kept if point - step < s[0] <= point]
            old = [s for s in kept if s[0] <= point - step]
            if not new:
                row.append(NAN)
            elif not dict(labels)["__name__"].endswith("_total"):
                row.append(new[-1][1])
            else:
                base = old[-1:] or new[:1]
                chain = base + (new if old else new[1:])
                rise = sum(b[1] - a[1] if b[1] >= a[1] else b[1] for a, b in pairwise(chain))
                span = chain[-1][0] - chain[0][0]
                row.append(rise / span if 0 < span <= gap else NAN)
        found[labels] = row
    return found


_samples = st.lists(
    st.tuples(st.integers(0, 400), st.one_of(st.integers(0, 50).map(float), st.just(NAN))),
    max_size=25,
    unique_by=lambda s: s[0],
).map(lambda s: [(float(t) / 4, v) for t, v in sorted(s)])


@given(st.lists(_samples, min_size=1, max_size=4), st.booleans(), st.sampled_from([30.0, 1000.0]))
def test_grid_equals_the_oracle(many: list[list[tuple[float, float]]], counter: bool, gap: float) -> None:
    name = "x_total" if counter else "x"
    samples = {labels_of({"__name__": name, "n": str(i)}): one for i, one in enumerate(many)}
    step, last = 10.0, Last()
    got: dict[Labels, list[float]] = {labels: [] for labels in samples}
    for first in (10.0, 50.0):  # two pulls, the second on what the first remembers
        grid = np.arange(first, first + 40, step)
        window = {k: [s for s in v if s[0] > first - step - 20] for k, v in samples.items()}
        raw = Raw(
            list(window),
            np.cumsum([0] + [len(v) for v in window.values()]),
            np.array([t for v in window.values() for t, _ in v]),
            np.array([x for v in window.values() for _, x in v]),
        )
        for labels, row in zip(raw.labels, place(raw, first - step, grid, last, gap, True).T, strict=True):
            got[labels] += row.tolist()
    expected = naive(samples, list(np.arange(10.0, 90.0, step)), step, gap)
    for labels in samples:
        np.testing.assert_allclose(got[labels], expected[labels], err_msg=str(samples[labels]))
