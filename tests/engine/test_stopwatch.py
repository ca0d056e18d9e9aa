"""The words that say what a takeover took."""

import re

from aiops.engine.stopwatch import Stopwatch


def test_it_tells_the_time_that_has_passed_and_what_the_processor_did() -> None:
    watch = Stopwatch()
    watch._begun -= 20.0
    assert re.fullmatch(r"2\d\.\d s, \d\.\d of a processor", str(watch))
