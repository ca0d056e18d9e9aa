"""How long the relay waits for what, and when it gives up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """Times in seconds."""

    parallel: int = 8
    """Attempts at one time to one sink."""
    poll: float = 1.0
    """A lane looks into the outbox at least this often."""
    lease: float = 75.0
    """After a crash a claimed message waits this long; must be longer than `limit`."""
    limit: float = 60.0
    """Longest attempt, whatever the sink's own timeout: some make five exchanges, each with its own."""
    patience: float = 15.0
    """Longest that a sink itself waits for one answer."""
    attempts: int = 10
    """Then it is a dead letter. Attempts that reached nobody do not count."""
    first_wait: float = 1.0
    longest_wait: float = 1800.0
    settle: float = 2.0
    """Shortest wait after a lost answer: what was cut off has taken effect by then, or never will."""
    break_after: int = 5
    first_pause: float = 2.0
    longest_pause: float = 30.0
    drain: float = 10.0
    """Longest wait for attempts under way when stopping."""
