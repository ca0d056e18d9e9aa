"""What `forewarn doctor` sees of `store_keys`: whether they open what is sealed, and seal what should be."""

from collections import Counter
from collections.abc import Iterator

from aiops.cli.finding import Finding, fail, ok, warn
from aiops.config import Config
from aiops.store import migrate, sealing
from aiops.store.database import Database

MOST = 20_000
"""Values of a column that are looked at, the oldest first: those under an old key, or none."""
_WHAT = "store keys"


def keys(db: Database, config: Config) -> list[Finding]:
    """Findings on what is sealed; nothing while the schema is another version's, or a key cannot be read."""
    try:
        known = [key.read().get_secret_value() for key in config.store_keys]
    except ValueError:
        return []  # the finding on secrets says so
    if migrate.current(db) != migrate.head():
        return []
    with db.read_only() as conn:
        found = sealing.survey(conn, known, MOST)
    total = Counter[int | None]()
    for each in found.values():
        total.update(each)
    locked = [name for name, each in found.items() if each[sealing.LOCKED]]
    return list(_told(total, len(known), " and ".join(locked)))


def _told(found: Counter[int | None], keys: int, locked: str) -> Iterator[Finding]:
    plain, shut = found[sealing.PLAIN], found[sealing.LOCKED]
    sealed = found.total() - plain - shut
    if shut:
        said = f"{shut} values of {locked} are sealed, and " + (
            "none of the keys opens them" if keys else "`store_keys` is empty"
        )
        yield fail(_WHAT, said, "put the key that sealed them behind the others in `store_keys`, and restart")
    if keys and plain:
        said = f"{plain} values are not sealed: they are older than the keys"
        yield warn(_WHAT, said, "`forewarn db seal`, once all engines run with the keys")
    for place in range(1, keys):
        if found[place]:
            said = f"key {place + 1} of `store_keys` still opens {found[place]} values"
            yield warn(_WHAT, said, "`forewarn db seal` seals them under the first; then it can go")
        else:
            yield warn(_WHAT, f"key {place + 1} of `store_keys` is not needed any more", "take it out")
    if keys and not (shut or plain or found.total() - found[0]):
        yield ok(_WHAT, f"{sealed} values, all under the first key" if sealed else "nothing to seal yet")
    elif not keys and not shut:
        yield ok(_WHAT, "none, and nothing is sealed")
