"""What the bench of real KPIs says of `adaptive`: by its own score."""

import pytest

from tests.bench.kpi import summary


def test_the_share_is_of_its_own_score_and_the_mean_of_both_sets() -> None:
    figures = {
        f"{data} {kind} {metric}": f1
        for data in ("aiops", "wsd")
        for kind, f1 in (("residual", 0.8), ("adaptive", 0.2))
        for metric in ("ev7", "pa7")
    }
    told = summary(figures | {"wsd adaptive ev7": 0.4})
    assert told["adaptive_share"] == pytest.approx(0.375)
    assert told["wsd_ev7"] == 0.8
