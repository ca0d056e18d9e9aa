"""What is compiled beforehand is all that an engine calls later."""

import numpy as np

from aiops.engine.warm import use
from aiops.model.frame import Frame
from detectors import _adaptive_kernel
from detectors.adaptive import Adaptive


def test_the_first_anomaly_waits_for_no_compiler() -> None:
    """Its explanation scores another value, alone: 48 s of compiling once stopped a busy engine there."""
    detector = Adaptive()
    use(detector)
    known = len(_adaptive_kernel.advance.signatures)  # type: ignore[attr-defined]
    times, values = np.arange(1.0, 41.0), np.zeros((40, 9))
    for part in (times, values):
        part.flags.writeable = False  # as a decoder leaves them
    slots = np.arange(9, dtype=np.int32)
    detector.learn(Frame(times[:20], slots, values[:20]), np.ones((40, 9), np.bool_)[:20])
    for row in range(20, 40):
        detector.update(Frame(times[row : row + 1], slots, values[row : row + 1]), np.zeros(9, np.bool_))
    detector.score(Frame(np.array([50.0]), np.array([3], np.int32), np.array([[4.0]])))
    assert len(_adaptive_kernel.advance.signatures) == known  # type: ignore[attr-defined]
