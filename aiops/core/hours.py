"""Hours of the week in some time zone, such as an office's: whether they are open, and time that counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
LONGEST = 400
"""Days that are looked ahead or back: an office that never opens is not waited for."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Open from `start` to `end` of the wall clock in `zone`, on weekdays `days` (Monday is 0).

    An `end` not later than `start` is on the next day: the day on which it starts counts. On `holidays` it
    does not start. A day on which the clocks change is as much shorter or longer.
    """

    days: frozenset[int] = frozenset(range(7))
    start: time = time(0)
    end: time = time(0)
    zone: str = "UTC"
    holidays: frozenset[date] = frozenset()

    def open_at(self, at: float) -> bool:
        """Whether `at` (epoch s) lies within."""
        day = self._local(at).date()
        return any(begin <= at < end for begin, end in map(self._span, (day - DAY, day)) if end > begin)

    def open_from(self, at: float) -> float:
        """The first moment, not before `at`, that lies within; infinity when none does."""
        return next((max(at, begin) for begin, end in self._spans(at) if end > at), float("inf"))

    def after(self, since: float, seconds: float) -> float:
        """When `seconds` of open time have passed since `since`; infinity when they never do."""
        left = seconds
        for begin, end in self._spans(since):
            begin = max(begin, since)
            if end - begin >= left:
                return begin + left
            left -= max(0.0, end - begin)
        return float("inf")

    def _spans(self, since: float) -> Iterator[tuple[float, float]]:
        """The open spans that end after `since`, in order."""
        day = self._local(since).date() - DAY
        for _ in range(LONGEST):
            begin, end = self._span(day)
            if end > max(begin, since):
                yield begin, end
            day += DAY

    def _span(self, day: date) -> tuple[float, float]:
        """Of what starts on `day`, in epoch s; empty when nothing does."""
        if day.weekday() not in self.days or day in self.holidays:
            return 0.0, 0.0
        last = day if self.end > self.start else day + DAY
        return self._moment(day, self.start), self._moment(last, self.end)

    def _moment(self, day: date, clock: time) -> float:
        return datetime.combine(day, clock, ZoneInfo(self.zone)).timestamp()

    def _local(self, at: float) -> datetime:
        return datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(self.zone))
