"""All scenarios, in the order in which they are run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.chaos.report import Report
from tests.e2e.chaos.scenarios import (
    approval_timeout,
    consumer_stopped,
    disk_full,
    engine_killed,
    heals_while_waiting,
    itsm_frozen,
    nginx_config,
    nginx_flapping,
    nginx_killed,
    port_stolen,
    postgres_lock,
    redis_memory,
    ticket_closed,
    worker_leaks,
)

IN_TIME = 30.0
"""Seconds from fault to resolved, or to a person, with a scrape a second."""


@dataclass(frozen=True)
class Scenario:
    run: Callable[[Path], Report]
    """Takes a folder of its own and leaves no process behind. Raises AssertionError or TimeoutError."""
    in_time: bool = True
    """Whether its end has to come within `IN_TIME`."""


SCENARIOS = {
    "nginx-killed": Scenario(nginx_killed.run),
    "worker-leaks": Scenario(worker_leaks.run),
    "disk-full": Scenario(disk_full.run),
    "consumer-stopped": Scenario(consumer_stopped.run),
    "postgres-lock": Scenario(postgres_lock.run),
    "redis-memory": Scenario(redis_memory.run),
    "port-stolen": Scenario(port_stolen.run),
    "engine-killed": Scenario(engine_killed.run),
    "nginx-flapping": Scenario(nginx_flapping.run, in_time=False),
    "itsm-frozen": Scenario(itsm_frozen.run),
    "nginx-config": Scenario(nginx_config.run),
    "approval-timeout": Scenario(approval_timeout.run),
    "ticket-closed": Scenario(ticket_closed.run),
    "heals-while-waiting": Scenario(heals_while_waiting.run),
}
