"""The console's pages, as every test that goes through them all does: on the world of `tests.world`."""

from tests.world import NOW

PATTERN = {"name": "T77", "text": "session <*> renewed", "level": "info", "lines": 40} | {
    "first_seen": NOW - 3000,
    "last_seen": NOW - 5,
}
"""A log pattern, which the world of metrics alone has none of: `conftest.engine` gives it this one."""
PAGES = [
    "/",
    "/problems",
    "/problems/1",
    "/problems/2",
    "/problems/3",
    "/problems/4",
    "/alerts",
    "/alerts/1",
    "/series",
    "/runs",
    "/runs/1",
    "/deliveries",
    "/deliveries/1",
    "/silences",
    "/sources",
    "/patterns",
    "/patterns/T77",
    "/topology",
    "/ledger",
    "/uplift",
    "/audit",
    "/settings",
    "/access",
    "/sign-in",
]
