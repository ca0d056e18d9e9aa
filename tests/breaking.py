"""A real database that refuses one table's rows until it is mended: a trigger raises."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from aiops.store.database import Database

_POSTGRES = """
CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$ LANGUAGE plpgsql;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON "{table}" FOR EACH ROW EXECUTE FUNCTION refuse();
"""
_SQLITE = """
CREATE TRIGGER refuse_{event} BEFORE {event} ON "{table}" BEGIN SELECT RAISE(ABORT, 'refused'); END
"""


@contextmanager
def refusing(db: Database, table: sa.Table) -> Iterator[None]:
    """While it lasts, any write to `table` fails within its transaction."""
    if db.is_sqlite:
        make = [_SQLITE.format(event=event, table=table.name) for event in ("INSERT", "UPDATE")]
        mend = ["DROP TRIGGER refuse_INSERT", "DROP TRIGGER refuse_UPDATE"]
    else:
        make = [_POSTGRES.format(table=table.name)]
        mend = ["DROP FUNCTION refuse() CASCADE"]
    _run(db, make)
    try:
        yield
    finally:
        _run(db, mend)


def _run(db: Database, statements: list[str]) -> None:
    with db.begin() as conn:
        for statement in statements:
            conn.exec_driver_sql(statement)
