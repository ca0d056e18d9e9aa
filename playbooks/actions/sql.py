"""`sql`: one parameterised statement on PostgreSQL, or on any other database that SQLAlchemy speaks to."""

import asyncio
import datetime
import decimal
from typing import Any, ClassVar

import sqlalchemy as sa
from pydantic import ConfigDict, Field, field_validator
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from aiops.plugin import Action, Fatal, NotConnected, Outcome, Retryable, Secret

MAX_ROWS = 100
"""Rows of an answer that are kept."""

MAX_CELL = 1000


class Sql(Action):
    """Run one SQL statement, by itself in a transaction. Values come in as parameters, never as text.

    The statement is no template; what depends on the problem goes into `parameters` and is named in the
    statement as ``:name``. `expect` sees ``rows`` (a list of objects, the first 100), ``row`` (the first of
    them, else an empty object) and ``count`` (rows read or changed).
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "url": "postgresql+psycopg://forewarn@db.internal/shop",
                    "statement": "SELECT count(*) AS waiters FROM pg_locks WHERE NOT granted",
                    "read_only": True,
                    "expect": "row.waiters == 0",
                },
                {
                    "url": "postgresql+psycopg://forewarn@db.internal/shop",
                    "statement": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = :app AND state = 'idle in transaction'",
                    "parameters": {"app": "reports"},
                    "idempotent": True,
                },
            ]
        }
    )
    literal: ClassVar[frozenset[str]] = frozenset({"statement"})

    url: str = Field(description="SQLAlchemy address of the database, without the password.")
    password: Secret | None = Field(None, description="The user's password.")
    statement: str = Field(min_length=1, description="The statement; `:name` stands for a parameter.")
    parameters: dict[str, str | int | float | bool | None] = Field(
        default_factory=dict, description="Values of the statement's parameters."
    )
    read_only: bool = Field(False, description="The database itself refuses any change.")

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        try:
            made = sa.make_url(value)
        except ArgumentError as why:
            raise ValueError(
                "expected a database address such as postgresql+psycopg://user@host/name"
            ) from why
        if made.password:
            raise ValueError("no password in the address: give `password` by reference")
        return value

    @property
    def target(self) -> str:
        url = sa.make_url(self.url)
        place = f"{url.host or 'local'}" + (f":{url.port}" if url.port else "")
        return f"sql/{place}/{url.database or ''}"[:512]

    def plan(self) -> str:
        line = " ".join(self.statement.split())
        given = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        mode = "read" if self.read_only else "run"
        return f"{mode} on {self.target.removeprefix('sql/')}: {line}" + (f" with {given}" if given else "")

    async def run(self, key: str) -> Outcome:
        try:
            async with asyncio.timeout(self.timeout):
                return await asyncio.to_thread(self._execute)
        except TimeoutError as why:
            raise Retryable(
                f"{self.target}: no answer within {self.timeout:g} s", ambiguous=not self.read_only
            ) from why
        except (OperationalError, InterfaceError) as why:
            # Refused before the statement was sent, unless a connection that stood is the one that broke
            if why.connection_invalidated:
                raise Retryable(f"{self.target}: {_words(why)}", ambiguous=not self.read_only) from why
            raise NotConnected(f"{self.target}: {_words(why)}") from why
        except (DBAPIError, SQLAlchemyError) as why:
            raise Fatal(f"{self.target}: {_words(why)}") from why
        except ModuleNotFoundError as why:
            raise Fatal(f"{self.target}: the driver {why.name} is not installed") from why

    def _execute(self) -> Outcome:
        engine = self._engine()
        try:
            with engine.connect() as conn, conn.begin():
                self._limit(conn)
                result = conn.execute(sa.text(self.statement), self.parameters)
                if not result.returns_rows:
                    count = max(result.rowcount, 0)
                    return Outcome(True, f"{count} rows changed", {"rows": [], "row": {}, "count": count})
                found = result.mappings().fetchmany(MAX_ROWS + 1)
                rows = [{name: _plain(value) for name, value in row.items()} for row in found[:MAX_ROWS]]
        finally:
            engine.dispose()
        count = len(found)
        more = " or more" if count > MAX_ROWS else ""
        shown = "\n".join(", ".join(f"{k}={v}" for k, v in row.items()) for row in rows[:20])
        said = f"{min(count, MAX_ROWS)}{more} rows\n{shown}".strip()
        return Outcome(True, said, {"rows": rows, "row": rows[0] if rows else {}, "count": count})

    def _engine(self) -> sa.Engine:
        url = sa.make_url(self.url)
        if self.password:
            url = url.set(password=self.password.read().get_secret_value())
        arguments: dict[str, Any] = {}
        if url.get_backend_name() == "postgresql":
            arguments = {"connect_timeout": max(2, round(self.timeout)), "application_name": "forewarn"}
        return sa.create_engine(url, poolclass=sa.NullPool, connect_args=arguments)

    def _limit(self, conn: sa.Connection) -> None:
        """The server gives up when we do: nothing acts on behind our back."""
        if conn.dialect.name == "postgresql":
            conn.execute(sa.text(f"SET LOCAL statement_timeout = {int(self.timeout * 1000)}"))
            if self.read_only:
                conn.execute(sa.text("SET TRANSACTION READ ONLY"))
        elif conn.dialect.name == "sqlite" and self.read_only:
            conn.execute(sa.text("PRAGMA query_only = 1"))


def _plain(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)[:MAX_CELL]


def _words(why: SQLAlchemyError) -> str:
    return str(getattr(why, "orig", None) or why).strip().splitlines()[0]
