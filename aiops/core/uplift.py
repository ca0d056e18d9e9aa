"""Whether playbooks help: how often the same problems heal with them, against without. Pure.

Two comparisons, each with an interval of 95 %:

    history      problems that a playbook acted on, against those of the same kind that nothing acted on:
                 before it was there, while it only planned, or when nobody approved. What was let be may have
                 been milder, so this is no proof.
    randomised   of runs that would have begun at once, those that were held back by a die
                 (`remediation.hold_back`) against those that were not, both looked at when the delay was
                 over. This is.

A problem has healed when it was over within the window and no person had ended it; one that was acted on has
only when the run was verified, too.

Interval of a share: E. B. Wilson 1927. Of a difference of two: R. G. Newcombe 1998, method 10.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

Z = 1.959964
"""Of a normal distribution: 95 % lie within."""


@dataclass(frozen=True, slots=True)
class Course:
    """How one problem went after a playbook fitted it. Epoch seconds; NaN: never."""

    began: float
    """When the run was queued; without one, when the problem opened."""
    over: float
    acted: bool
    verified: bool = False
    by_hand: bool = False
    """A person ended it."""
    held_until: float = math.nan
    """The run was held back until then."""
    eligible: bool = False
    """It might have been held back."""


@dataclass(frozen=True, slots=True)
class Share:
    """`healed` of `of`, and the interval in which the true share lies; NaN of nothing."""

    healed: int
    of: int

    @property
    def share(self) -> float:
        return self.healed / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's."""
        if not self.of:
            return math.nan, math.nan
        p, n, z2 = self.share, self.of, Z * Z
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class Uplift:
    """The share that heals with the playbook, that without, and by how much they differ."""

    acted: Share
    left: Share

    @property
    def difference(self) -> float:
        return self.acted.share - self.left.share

    @property
    def interval(self) -> tuple[float, float]:
        """Newcombe's; NaN while either side is empty."""
        (low, high), (other_low, other_high) = self.acted.interval, self.left.interval
        p, q, d = self.acted.share, self.left.share, self.difference
        return (
            d - math.hypot(p - low, other_high - q),
            d + math.hypot(high - p, q - other_low),
        )


def by_history(courses: Iterable[Course], window: float, now: float) -> Uplift:
    """All but those that were held back: these would count for whichever side they ended on."""
    known = [one for one in courses if math.isnan(one.held_until)]
    return _split(known, window, now)


def randomised(courses: Iterable[Course], now: float) -> tuple[Uplift, float] | None:
    """The comparison, and the delay (s) after which both sides were looked at; None without one."""
    known = list(courses)
    held = [one for one in known if not math.isnan(one.held_until)]
    if not held:
        return None
    delay = min(one.held_until - one.began for one in held)
    went = [one for one in known if math.isnan(one.held_until) and one.eligible and one.acted]
    left = [_untouched(one) for one in held]
    return _split([*went, *left], delay, now), delay


def _untouched(one: Course) -> Course:
    """As it was while it was held back."""
    return Course(one.began, one.over, acted=False, by_hand=one.by_hand)


def _split(courses: Iterable[Course], window: float, now: float) -> Uplift:
    ended = [(one, _healed(one, window)) for one in courses if one.began + window <= now]
    acted = [healed for one, healed in ended if one.acted]
    left = [healed for one, healed in ended if not one.acted]
    return Uplift(Share(sum(acted), len(acted)), Share(sum(left), len(left)))


def _healed(one: Course, window: float) -> bool:
    within = one.over <= one.began + window
    return within and not one.by_hand and (one.verified or not one.acted)
