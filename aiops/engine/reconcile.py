"""The sweep: now and then every ticket is looked at, counted if it is wrong, and put right.

A ticket is *lost* when the other side has none with our key, a *duplicate* when it has several, and has
*drifted* when one side is over and the other is not. What is found once may be under way; what is found twice
in a row is wrong. A ticket that people closed is heard as such; one that is gone is opened anew while its
problem lasts; one that stayed open is closed. Of duplicates only people know which to keep.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from prometheus_client import Counter, Gauge
from sqlalchemy.exc import SQLAlchemyError

from aiops.engine.clock import Clock
from aiops.model.problem import NotifyReason
from aiops.plugin import PluginError, Sink, SinkChange
from aiops.plugin.sink import TicketSeen
from aiops.store import sweep
from aiops.store.database import Database
from aiops.store.sweep import Known

log = logging.getLogger("aiops.reconcile")

EVERY = 600.0
"""Seconds between two sweeps."""
PACE = 0.2
"""Seconds between two questions to one sink."""
MOST = 500
"""Tickets of one sink in one sweep; the next goes on behind them."""
LATELY = 86400.0
"""Seconds for which the ticket of a problem that is over is still looked at."""

Hear = Callable[[str, Sequence[SinkChange]], Awaitable[int]]


class Reconciler:
    """`run` sweeps for ever. `hear` takes what people did, as `Inbound.take` does."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        sinks: Callable[[], Mapping[str, Sink]],
        hear: Hear,
        wrong: Gauge,
        healed: Counter,
    ) -> None:
        self._db, self._clock, self._sinks, self._hear = db, clock, sinks, hear
        self._wrong, self._healed = wrong, healed
        self._after: dict[str, int] = {}
        self._suspects: dict[str, dict[int, str]] = {}
        """Per sink: problem -> what was wrong with its ticket at the last look."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(EVERY)
            for name, sink in self._sinks().items():
                await self.sweep(name, sink)

    async def sweep(self, name: str, sink: Sink) -> dict[str, int]:
        """Look at the tickets of one sink; how many were lost, duplicate and drifted."""
        found = {"lost": 0, "duplicate": 0, "drifted": 0}
        now = self._clock.now()
        try:
            after = self._after.get(name, 0)
            known = await self._db.read(sweep.tickets, name, now - LATELY, after, MOST)
            self._after[name] = known[-1].problem_id if len(known) == MOST else 0
            for one in known:
                seen = await sink.seen(one.key)
                if seen is None:
                    return found
                await self._judge(name, one, seen, found)
                await self._clock.sleep(PACE)
        except (PluginError, SQLAlchemyError, OSError) as why:
            log.warning("sink %s: cannot look at its tickets: %s", name, why)
            return found
        except Exception:
            log.exception("sink %s: failed in a way that it does not classify", name)
            return found
        for how, count in found.items():
            self._wrong.labels(name, how).set(count)
        return found

    async def _judge(
        self, name: str, known: Known, seen: Sequence[TicketSeen], found: dict[str, int]
    ) -> None:
        how = _fault(known, seen)
        suspects = self._suspects.setdefault(name, {})
        before = suspects.pop(known.problem_id, "")
        if not how:
            return
        found[how] += len(seen) - 1 if how == "duplicate" else 1
        suspects[known.problem_id] = how
        if before == how:
            await self._heal(name, known, seen, how)

    async def _heal(self, name: str, known: Known, seen: Sequence[TicketSeen], how: str) -> None:
        now = self._clock.now()
        refs = ", ".join(one.ref for one in seen)
        log.warning(
            "sink %s: the ticket of problem %d is %s: %s", name, known.problem_id, how, refs or known.ref
        )
        if how == "lost" and not known.resolved:
            why = f"ticket {known.ref} is gone"
            done = await self._db.run(sweep.open_anew, known, name, why, now)
        elif how == "drifted" and known.resolved:
            why, closed = f"ticket {known.ref} was still open", NotifyReason.RESOLVED
            done = await self._db.run(sweep.tell_again, known, name, closed, why, now)
        elif how == "drifted":
            change = SinkChange(known.ref, "closed", now, id=f"sweep-{known.ref}-{int(now)}")
            done = bool(await self._hear(name, [change]))
        else:
            return
        if done:
            self._suspects[name].pop(known.problem_id, None)
            self._healed.labels(name, how).inc()


def _fault(known: Known, seen: Sequence[TicketSeen]) -> str:
    if not seen:
        return "" if known.resolved else "lost"
    if len(seen) > 1:
        return "duplicate"
    (one,) = seen
    return "drifted" if one.open is not None and one.open is known.resolved else ""
