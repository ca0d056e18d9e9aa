"""The line that says what a takeover took, part by part."""

import re

from aiops.engine.laps import Laps


def test_laps_are_told_in_their_order_with_the_whole_before_them() -> None:
    laps = Laps()
    laps.lap("state")
    laps.lap("what was pushed")
    pattern = r"\d+\.\d s \(\d+\.\d of a processor\): state \d+\.\d s \(\d+\.\d\), what was pushed .*\)"
    assert re.fullmatch(pattern, str(laps))
