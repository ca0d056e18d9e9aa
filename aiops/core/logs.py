"""From lines to what is said about them: counts a template and stream, series of rates, and findings."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from aiops.core.log_groups import ends_in_trace, grouped, rest_of_event
from aiops.core.log_redact import redacted
from aiops.core.log_sessions import Open, SessionKeys
from aiops.core.log_source import ERRORS, ODD, PATTERN, SILENCE, TOTAL, Counts, Finding, LogSource
from aiops.model.frame import Frame, Lines
from aiops.model.series import NAME, Labels, SeriesIndex, labels_of
from aiops.model.signal import Alert, AlertKind, Signal
from aiops.plugin import Miner

EXAMPLES = 3
"""Lines kept of a template."""
MOST_LAST = 10_000
GAP = 6
"""Steps at once that are taken for time jumped: a source that was away is not silent."""


class LogSettings(Protocol):
    every: float
    warm_up_lines: int
    warm_up_time: float
    hold: float
    session: str
    session_idle: float


@dataclass(frozen=True, slots=True)
class LogRow:
    """One step of one source: its rates as a frame (T = 1), and what else there is to say."""

    frame: Frame
    signals: list[Signal]


@dataclass
class _Inbox:
    """What was taken since the last `commit`: undone by a restart, as its source gives it again."""

    counts: Counts = field(default_factory=dict)
    examples: dict[int, str] = field(default_factory=dict)
    sessions: dict[str, Open] = field(default_factory=dict)


class Logs:
    """All log sources of one installation. Lines are taken, committed, and judged when their step is over."""

    def __init__(self, index: SeriesIndex, miner: Miner, settings: LogSettings) -> None:
        self._index = index
        self.miner = miner
        self._settings = settings
        self._sources: dict[str, LogSource] = {}
        self._inbox: dict[str, _Inbox] = {}
        self._examples: dict[int, deque[str]] = {}
        self._renewed: dict[int, int] = {}
        """In which step a template was last given an example."""
        self._slots: dict[tuple[Labels, int], tuple[int, Labels]] = {}
        self._evictions = index.evictions
        self._last: dict[tuple[str, Labels], bool] = {}
        """Streams that lines came from: whether the last was inside a Python trace."""
        self._keys = SessionKeys(settings.session)
        self._catalogued: dict[int, float] = {}
        self._merged: list[tuple[str, str]] = []

    def take(self, source: str, lines: Lines) -> None:
        """Mine a batch; nothing of it counts before `commit`."""
        lines = self._from_next_event(source, lines)
        if not lines.text:
            return
        starts, gists, whole = grouped(lines.text)
        ids = self.miner.add(gists)
        steps = np.asarray(lines.times, float)[starts] // self._settings.every
        inbox = self._inbox.setdefault(source, _Inbox())
        first = steps[0]
        if (steps == first).all():
            _add(inbox.counts, int(first), lines.labels, Counter(ids))
        else:
            parts: dict[int, list[int]] = {}
            for step, ident in zip(steps.astype(int).tolist(), ids, strict=True):
                parts.setdefault(step, []).append(ident)
            for step, part in parts.items():
                _add(inbox.counts, step, lines.labels, Counter(part))
        inbox.examples |= dict(zip(ids, whole, strict=True))
        for key, more in self._keys.of(lines.labels, steps, ids, whole).items():
            known = inbox.sessions.setdefault(key, Open(more.labels, more.last))
            known.last = max(known.last, more.last)
            known.lines.update(more.lines)

    def commit(self, source: str, until: float) -> None:
        """All that was taken of `source` so far counts from now on. `until`: no line is later than that."""
        inbox = self._inbox.pop(source, None)
        self._follow_merges()
        if inbox is None:
            return
        state = self._source(source)
        latest = int(until // self._settings.every)
        for step, streams in inbox.counts.items():
            for labels, counts in streams.items():
                _add(state.open, min(max(step, state.closed), latest), labels, counts)
        state.sessions.take(inbox.sessions)
        for ident, line in inbox.examples.items():
            self._keep_example(ident, line, latest)

    def close(self, source: str, until: float) -> Iterator[LogRow]:
        """The steps of `source` that are over by `until` (epoch s), oldest first, judged and learnt."""
        if source not in self._sources:
            return
        state, end = self._sources[source], int(until // self._settings.every)
        begin = state.closed or min(state.open, default=end)
        jumped = end - begin > GAP
        steps = sorted({*(s for s in state.open if s < end), end - 1}) if jumped else range(begin, end)
        for step in steps:
            counts = state.open.pop(step, {})
            state.closed = step + 1
            yield self._row(source, state, counts, (step + 1) * self._settings.every)

    def believed(self, source: str, anomalies: Iterable[Signal]) -> list[Signal]:
        """Of the anomalies in the last row of `source`, those that its counts bear out, one a stream."""
        state = self._sources[source]
        keys = {self._slot(*key)[1]: key for key in state.credible}
        found = {keys[one.labels]: one for one in anomalies if one.labels in keys}
        return [found[key] for key in state.believed({key: one.score for key, one in found.items()})]

    def sources(self) -> set[str]:
        """The sources that lines came from."""
        return set(self._sources)

    def illustrate(self, alerts: Iterable[Alert]) -> None:
        """Give alerts on the rate of a template its pattern and last lines."""
        for alert in alerts:
            if alert.kind is AlertKind.ANOMALY and alert.metric == PATTERN and not alert.examples:
                ident = self._slot_owner(alert.labels)
                alert.examples = list(self.examples(ident)) if ident is not None else []

    def examples(self, ident: int) -> tuple[str, ...]:
        """The pattern, then lines of it, redacted."""
        template = self.miner.find(ident)
        pattern = redacted(template.text) if template else ""
        return (pattern, *self._examples.get(ident, ()))

    def lines_of(self, name: str) -> list[str]:
        """The last lines of the template of that name, redacted."""
        known = ((self.miner.find(ident), kept) for ident, kept in self._examples.items())
        return [line for template, kept in known if template and template.name == name for line in kept]

    def catalogue(self) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
        """(templates that had lines, (name, name it was merged into)) since the last call, for the store."""
        seen: dict[int, tuple[float, float]] = {}
        for source in self._sources.values():
            for ident, one in source.novelty.known.items():
                if one.last > self._catalogued.get(ident, 0.0):
                    first, last = seen.get(ident, (one.first, one.last))
                    seen[ident] = min(first, one.first), max(last, one.last)
        rows = []
        for ident, (first, last) in seen.items():
            self._catalogued[ident] = last
            template = self.miner.find(ident)
            if template and template.id == ident:
                row = {"name": template.name, "text": redacted(template.text), "level": template.level}
                rows.append(row | {"lines": template.lines, "first_seen": first, "last_seen": last})
        merged, self._merged = self._merged, []
        return list({row["name"]: row for row in rows}.values()), merged

    # -- checkpoint

    def snapshot(self) -> dict[str, Any]:
        """JSON-able; without what was not committed."""
        return {
            "miner": self.miner.snapshot(),
            "examples": [[ident, list(lines)] for ident, lines in self._examples.items()],
            "sources": {name: source.snapshot() for name, source in self._sources.items()},
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Raises ValueError, changing nothing but the miner, when it is no snapshot."""
        self.miner.restore(data["miner"])
        try:
            saved = data["sources"].items()
            sources = {name: LogSource.restore(self._settings, self.miner, one) for name, one in saved}
        except (KeyError, TypeError) as why:
            raise ValueError(f"no snapshot of logs: {why!r}") from why
        self._sources = sources
        self._examples = {int(i): deque(lines, maxlen=EXAMPLES) for i, lines in data["examples"]}

    # -- parts

    def _source(self, name: str) -> LogSource:
        found = self._sources.get(name)
        if found is None:
            found = self._sources[name] = LogSource(self._settings, self.miner)
        return found

    def _from_next_event(self, source: str, lines: Lines) -> Lines:
        """Without the rest of an event that was read in part before: it is counted already."""
        key = source, lines.labels
        in_trace = self._last.get(key)
        if len(self._last) >= MOST_LAST:
            self._last.clear()
        self._last[key] = ends_in_trace(lines.text, bool(in_trace))
        if in_trace is None:
            return lines
        rest = rest_of_event(lines.text, in_trace)
        return Lines(lines.labels, lines.times[rest:], lines.text[rest:]) if rest else lines

    def _keep_example(self, ident: int, line: str, step: int) -> None:
        """The last lines of a template, one a step: to redact each would cost a tenth of all."""
        kept = self._examples.setdefault(ident, deque(maxlen=EXAMPLES))
        if len(kept) == EXAMPLES and self._renewed.get(ident) == step:
            return
        self._renewed[ident] = step
        text = redacted(line)
        if text not in kept:
            kept.append(text)

    def _follow_merges(self) -> None:
        for merge in self.miner.take_merges():
            into = self.miner.find(merge.into)
            if into:
                self._merged.append((merge.name, into.name))
            self._catalogued.pop(merge.gone, None)
            for source in self._sources.values():
                source.merged(merge.gone, merge.into)
            self._renewed.pop(merge.gone, None)
            lines = self._examples.pop(merge.gone, None)
            if lines:
                self._examples.setdefault(merge.into, deque(maxlen=EXAMPLES)).extend(lines)
        for ident in self.miner.take_forgotten():
            self._catalogued.pop(ident, None)
            self._examples.pop(ident, None)
            self._renewed.pop(ident, None)
            for source in self._sources.values():
                source.forget(ident)

    def _row(self, name: str, state: LogSource, counts: dict[Labels, Counter[int]], time: float) -> LogRow:
        findings = state.step(counts, time)
        rates = state.rates()
        slots = [self._slot(labels, ident)[0] for labels, ident in rates]
        values = np.array([list(rates.values())], float) / self._settings.every
        frame = Frame(np.array([time]), np.array(slots, np.int32), values.reshape(1, len(slots)))
        return LogRow(frame, [self._signal(finding) for finding in findings])

    def _slot(self, labels: Labels, ident: int) -> tuple[int, Labels]:
        if self._evictions != self._index.evictions:
            self._slots.clear()
            self._evictions = self._index.evictions
        found = self._slots.get((labels, ident))
        if found is None:
            series = self._series(labels, ident)
            found = self._slots[labels, ident] = self._index.slot(series), series
        return found

    def _series(self, labels: Labels, ident: int) -> Labels:
        if ident == TOTAL:
            return labels_of((*labels, (NAME, "log_lines_per_second")))
        if ident == ERRORS:
            return labels_of((*labels, (NAME, "log_error_lines_per_second")))
        if ident == ODD:
            return labels_of((*labels, (NAME, "log_odd_sessions_per_second")))
        template = self.miner.find(ident)
        return labels_of((*labels, (NAME, PATTERN), ("template", template.name if template else "gone")))

    def _slot_owner(self, series: Labels) -> int | None:
        slot = self._index.find(series)
        return next((ident for (_, ident), (own, _) in self._slots.items() if own == slot), None)

    def _signal(self, finding: Finding) -> Signal:
        ident = finding.ident if finding.ident >= 0 else finding.example
        series, every = self._slot(finding.labels, finding.ident)[1], self._settings.every
        examples = self.examples(ident) if ident >= 0 else ()
        if finding.session:
            every = 1.0
            named = {**dict(series), NAME: "log_session_lines", "session": redacted(finding.session)}
            series = labels_of(named)
        return Signal(
            series,
            AlertKind.SILENCE if finding.rule == SILENCE else AlertKind.LOG,
            finding.rule,
            True,
            finding.severity,
            observed=finding.observed / every,
            score=finding.score,
            expected=finding.expected / every,
            examples=examples,
        )


def _add(counts: Counts, step: int, labels: Labels, more: Counter[int]) -> None:
    streams = counts.setdefault(step, {})
    if labels in streams:
        streams[labels].update(more)
    else:
        streams[labels] = Counter(more)
