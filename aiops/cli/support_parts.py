"""The parts of a support bundle, each as plain data or text. Who writes them down takes the secrets out."""

import os
import platform
import resource
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import aiops
from aiops.cli import logs
from aiops.cli.api import Api, address
from aiops.config import Config
from aiops.engine.vitals import store_bytes
from aiops.store import migrate
from aiops.store.database import Database
from aiops.store.tables import audit
from aiops.store.tables import metadata as tables
from aiops.web.redact import redacted

_QUIET = ("/-/ready", "/-/healthy")


def about(now: float) -> dict[str, Any]:
    """Versions of all that is installed; `now`: epoch s."""
    return {
        "at": now,
        "forewarn": aiops.__version__,
        "python": sys.version,
        "platform": platform.platform(),
        "packages": dict(
            sorted((one.metadata["Name"] or "", one.version) for one in metadata.distributions())
        ),
    }


def config(settings: Config) -> dict[str, Any]:
    """As it runs, with every default."""
    return redacted(settings)


def findings(path: Path | None, data: Path | None, url: str) -> list[dict[str, str]]:
    """What `forewarn doctor` finds."""
    from aiops.cli.doctor import look

    return [
        {"what": one.what, "health": one.health.value, "said": one.said, "do": one.do}
        for one in look(path, data, url)
    ]


def environment(told: Sequence[str]) -> dict[str, Any]:
    """Limits and processors; of variables only those in `told`, and the names of our own others."""
    ours = sorted(name for name in os.environ if name.startswith("FOREWARN_"))
    limits = {
        name: resource.getrlimit(getattr(resource, name))
        for name in ("RLIMIT_NOFILE", "RLIMIT_AS", "RLIMIT_FSIZE", "RLIMIT_NPROC")
    }
    return {
        "processors": os.cpu_count(),
        "load": os.getloadavg(),
        "uid": os.geteuid(),
        "limits": limits,
        "set": ours,
        "variables": {name: os.environ[name] for name in told if name in os.environ},
    }


def store(settings: Config) -> dict[str, Any]:
    """Schema, size and rows of the database."""
    db = _existing(settings)
    try:
        with db.read_only() as conn:
            there = set(sa.inspect(conn).get_table_names())
            rows = {
                table.name: conn.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for table in tables.sorted_tables
                if table.name in there
            }
            size = store_bytes(conn)
        found, head = migrate.current(db), migrate.head()
        kind = db.url.get_backend_name()
        return {"kind": kind, "schema": found, "head": head, "bytes": size, "rows": rows}
    finally:
        db.close()


def audit_rows(settings: Config, count: int) -> list[dict[str, Any]]:
    """The newest `count`, oldest first."""
    db = _existing(settings)
    try:
        with db.read_only() as conn:
            query = sa.select(audit).order_by(audit.c.id.desc()).limit(count)
            return [dict(row) for row in conn.execute(query).mappings()][::-1]
    finally:
        db.close()


def log_lines(settings: Config, count: int) -> str:
    return "\n".join(logs.last(settings.data, count)) + "\n"


def metrics(settings: Config, url: str) -> str:
    return _api(settings, url).text("/metrics")


def health(settings: Config, url: str) -> dict[str, Any]:
    """What the running engine says of itself."""
    api = _api(settings, url)
    found: dict[str, Any] = {path: api.text(path).strip() for path in _QUIET}
    found["sources"] = api.get("/sources")["items"]
    found["deliveries that are dead"] = api.get("/deliveries", state="dead", limit=100)["items"]
    return found


def _api(settings: Config, url: str) -> Api:
    tls = settings.web.tls
    return Api(url or address(settings.web.listen, bool(tls)), tls.cert if tls and not url else None)


def _existing(settings: Config) -> Database:
    """Raises FileNotFoundError for a SQLite file that is not there: a look makes none."""
    file = Path(settings.store.removeprefix("sqlite:///"))
    if settings.store.startswith("sqlite:///") and not file.exists():
        raise FileNotFoundError(2, "there is no database yet", str(file))
    return Database(settings.store)
