"""A circuit breaker: after failures in a row it lets nothing through for a while, then single probes."""

from dataclasses import dataclass


@dataclass(slots=True)
class Breaker:
    """Closed while all is well; open after `most` failures in a row; half open once the pause is over.

    Times are seconds since the epoch, and arguments. The pause doubles with every failed probe.
    """

    most: int
    first_pause: float
    longest_pause: float
    failures: int = 0
    opened: bool = False
    until: float = 0.0
    """Nothing goes through before this, whether open or only asked to wait."""
    pause: float = 0.0

    def room(self, now: float, busy: int, parallel: int) -> int:
        """How many attempts more may start, while `busy` are under way."""
        if now < self.until:
            return 0
        return max(0, (1 if self.opened else parallel) - busy)

    def succeeded(self) -> bool:
        """Close it; returns whether it was open."""
        was, self.opened, self.failures, self.pause = self.opened, False, 0, 0.0
        return was

    def failed(self, now: float) -> bool:
        """Count a failure; returns whether a pause begins. A pause is not lengthened by stragglers."""
        self.failures += 1
        if now < self.until or (not self.opened and self.failures < self.most):
            return False
        self.opened = True
        self.pause = min(self.longest_pause, self.pause * 2 or self.first_pause)
        self.until = now + self.pause
        return True

    def hold(self, until: float) -> None:
        """The other side asked us to wait."""
        self.until = max(self.until, until)
