"""What the bench of real KPIs says of `adaptive`: by which of its scores."""

import pytest

from tests.bench.kpi import summary


def test_the_share_of_its_own_score_is_told_beside_that_of_the_calibrator() -> None:
    figures = {
        f"{data} {kind} {metric}": f1
        for data in ("aiops", "wsd")
        for kind, f1 in (("residual", 0.8), ("adaptive", 0.2), ("adaptive calibrated", 0.6))
        for metric in ("ev7", "pa7")
    }
    told = summary(figures | {"wsd adaptive ev7": 0.4})
    assert told["adaptive_share"] == pytest.approx(0.75)
    assert told["adaptive_share_own"] == pytest.approx(0.375)
    assert told["wsd_ev7"] == 0.8
