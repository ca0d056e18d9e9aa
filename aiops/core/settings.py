"""The parts of the configuration that the core reads, as protocols: core knows no YAML."""

from typing import Protocol


class FlappingSettings(Protocol):
    count: int
    window: float
    max_hold: float


class AlertingSettings(Protocol):
    fire: int
    of: int
    resolve_after: float
    stale_after: float

    @property
    def flapping(self) -> FlappingSettings: ...


class GroupingSettings(Protocol):
    by: list[str]
    window: float
    reopen_within: float
    resolve_after: float
    open_at: int
    calls: dict[str, list[str]]
    call_labels: list[tuple[str, str]]
    need_labels: list[tuple[str, str]]
