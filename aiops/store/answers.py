"""Answers to requests that carried an Idempotency-Key, so that a repeat is answered and not done again."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from aiops.store.tables import answer

KEEP = 86400.0
"""Seconds for which a repeat is known."""
UNDER_WAY = 60.0
"""Seconds after which a request without an answer is taken to have died."""


@dataclass(frozen=True, slots=True)
class Known:
    """What was asked under the key, and the answer; ``status`` None while there is none yet."""

    asked: str
    status: int | None
    media_type: str
    body: str


def claim(conn: Connection, key: str, holder: str, asked: str, now: float) -> Known | None:
    """Take the key for this request; or what is known of the former one, which keeps it."""
    mine = (answer.c.key == key) & (answer.c.holder == holder)
    row = conn.execute(sa.select(answer).where(mine).with_for_update()).mappings().first()
    if row is not None:
        died = row["status"] is None and row["at"] < now - UNDER_WAY
        if not died and row["at"] >= now - KEEP:
            return Known(row["asked"], row["status"], row["media_type"], row["body"])
        conn.execute(answer.delete().where(mine))
    conn.execute(answer.insert().values(key=key, holder=holder, asked=asked, at=now))
    return None


def settle(conn: Connection, key: str, holder: str, status: int, media_type: str, body: str) -> None:
    """This is what repeats are answered."""
    mine = (answer.c.key == key) & (answer.c.holder == holder)
    conn.execute(answer.update().where(mine).values(status=status, media_type=media_type, body=body))


def release(conn: Connection, key: str, holder: str) -> None:
    """The request came to nothing: it may be tried again under the same key."""
    conn.execute(answer.delete().where((answer.c.key == key) & (answer.c.holder == holder)))


def old(now: float) -> sa.ColumnElement[bool]:
    """Kept for long enough at `now` (epoch s)."""
    return answer.c.at < now - KEEP


def purge(conn: Connection, now: float) -> int:
    return conn.execute(answer.delete().where(old(now))).rowcount
