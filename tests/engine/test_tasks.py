"""An engine's tasks: begun, watched, ended."""

import asyncio
import gc

import pytest

from aiops.engine.tasks import Tasks


async def test_what_is_ended_before_its_first_step_leaves_nothing_unawaited(
    recwarn: pytest.WarningsRecorder,
) -> None:
    tasks = Tasks()
    tasks.begin(early=asyncio.sleep(3600.0))
    await tasks.close()
    await asyncio.sleep(0)
    gc.collect()
    assert not recwarn.list
    assert not tasks.failed.is_set()


async def test_a_task_that_dies_of_a_fault_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def faulty() -> None:
        raise ValueError("of its own")

    tasks = Tasks()
    tasks.begin(faulty=faulty())
    await tasks.end("faulty", within=5.0)
    assert tasks.failed.is_set()
    assert not tasks.live("faulty")
    assert "task faulty stopped by a fault" in caplog.text
    await tasks.close()
