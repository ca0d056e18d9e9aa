"""What is compiled beforehand is all that an engine calls later."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiops.config import Detection
from aiops.engine import warm
from aiops.engine.warm import use
from aiops.model.frame import Frame
from aiops.model.series import SeriesIndex
from aiops.plugin import Detector, _tail_kernel
from detectors import _adaptive_kernel, _novelty_kernel, _residual_kernel
from detectors.adaptive import Adaptive
from detectors.novelty import Novelty
from detectors.peers import Peers
from detectors.residual import Residual
from tests.making import labels

HEADS: list[tuple[type[Detector], list[Callable[..., int]]]] = [
    (Adaptive, [_adaptive_kernel.advance]),
    (Residual, [_residual_kernel.advance]),
    (Novelty, [_novelty_kernel.advance]),
    (Peers, [_tail_kernel.advance, _tail_kernel.edges]),
]


def signatures(kernels: list[Any]) -> list[int]:
    return [len(kernel.signatures) for kernel in kernels]


def detectors(*kinds: str) -> list[Detector]:
    """As a configuration has them."""
    return Detection.model_validate({"detectors": [{"kind": kind} for kind in kinds]}).detectors


@pytest.mark.parametrize(("kind", "kernels"), HEADS)
def test_the_first_anomaly_waits_for_no_compiler(
    kind: Callable[[], Detector], kernels: list[Callable[..., int]]
) -> None:
    """Its explanation scores another value, alone: 48 s of compiling once stopped a busy engine there."""
    use(kind())
    known = signatures(kernels)
    assert min(known) > 0
    detector, index = kind(), SeriesIndex()
    slots = index.slots(labels("queue_length", service="web", pod=f"web-{n}") for n in range(9))
    detector.open(index)
    times, values = np.arange(1.0, 41.0), np.zeros((40, 9))
    for part in (times, values):
        part.flags.writeable = False  # as a decoder leaves them
    detector.learn(Frame(times[:20], slots, values[:20]), np.ones((40, 9), np.bool_)[:20])
    for row in range(20, 40):
        detector.update(Frame(times[row : row + 1], slots, values[row : row + 1]), np.zeros(9, np.bool_))
    detector.score(Frame(np.array([50.0]), np.array([3], np.int32), np.array([[4.0]])))
    detector.explain(3)
    assert signatures(kernels) == known


def test_what_is_compiled_is_kept_on_disk() -> None:
    for kind, kernels in HEADS:
        use(kind())
        for kernel in kernels:
            stats = kernel.stats  # type: ignore[attr-defined]
            assert stats.cache_path
            assert sum(stats.cache_hits.values()) + sum(stats.cache_misses.values()) > 0


async def test_a_start_compiles_what_is_configured_and_was_not_compiled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a process of its own, once for each kind; what needs parameters is left."""
    monkeypatch.setattr(warm, "_stamps", lambda kind: [tmp_path / kind])
    asked = tmp_path / "asked"
    script = f"import sys; open({str(asked)!r}, 'w').write(' '.join(sys.argv[1:]))"
    monkeypatch.setattr(warm, "COMPILE", script)
    configured = detectors("peers", "adaptive", "adaptive")
    await warm.compile_aside(configured)
    assert asked.read_text() == "adaptive peers"
    warm.compile_here(["peers"])
    await warm.compile_aside(configured)
    assert asked.read_text() == "adaptive"
    asked.unlink()
    await warm.compile_aside(detectors("peers"))
    assert not asked.exists()
    warm.compile_here(["river_model"])
    assert (tmp_path / "river_model").exists()


def test_a_kind_is_compiled_once_however_often_it_is_configured() -> None:
    assert warm.kinds_of(detectors("residual", "adaptive", "residual")) == ["adaptive", "residual"]
