"""The whole store as one file, taken while the engine runs, and put back into SQLite or PostgreSQL.

A tar of JSON lines, a table each, read in one transaction; beside them the newest checkpoint. The file says
at which schema it was written: it is loaded at that schema and then brought to ours, so old ones stay good.
"""

import contextlib
import hashlib
import io
import json
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DatabaseError, OperationalError

from aiops.store import checkpoints, migrate
from aiops.store.database import Database, StoreError

FORMAT = 1
MANIFEST = "manifest.json"
_VERSION = "alembic_version"
_PASSING = "spool"
"""Its content is for the seconds to the next checkpoint."""
_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Contents:
    """What a backup holds. ``at``: epoch s; ``rows``: by table."""

    at: float
    version: str
    schema: str
    rows: Mapping[str, int]
    checkpoint: bool


def save(db: Database, folder: Path, out: Path, at: float, version: str) -> Contents:
    """Write the store, and the newest checkpoint in `folder`, to `out`: aside, and renamed when it is whole.

    Raises OSError and `StoreError`.
    """
    aside = out.with_name(out.name + ".writing")
    work = out.with_name(out.name + ".parts")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        with _snapshot(db) as conn:
            manifest = _dump(conn, work)
        manifest |= {"format": FORMAT, "at": at, "version": version}
        with tarfile.open(aside, "w:gz", compresslevel=6) as tar:
            manifest["checkpoint"] = _take_checkpoint(tar, folder)
            _add(tar, MANIFEST, json.dumps(manifest, indent=1).encode())
            for file in sorted(work.iterdir()):
                tar.add(file, f"tables/{file.name}")
        aside.chmod(0o600)
        aside.replace(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        aside.unlink(missing_ok=True)
    return _contents(manifest)


def look(archive: Path) -> Contents:
    """What is in it. Raises `StoreError` for a file that is damaged, or none of ours."""
    with _opened(archive) as tar:
        return _contents(_checked(tar, archive))


def load(db: Database, folder: Path, archive: Path, replace: bool = False) -> Contents:
    """Put it into an empty database, or with `replace` in the place of all that is there.

    All is read and checked before anything is touched. Raises `StoreError` and OSError.
    """
    with _opened(archive) as tar:
        manifest = _checked(tar, archive)
        _make_room(db, replace)
        migrate.upgrade(db, manifest["schema"])
        with db.begin() as conn:
            _fill(conn, tar, manifest)
        migrate.upgrade(db)
        if manifest["checkpoint"]:
            _put_checkpoint(tar, folder)
    return _contents(manifest)


# -- writing


@contextlib.contextmanager
def _snapshot(db: Database) -> Iterator[Connection]:
    """One consistent view, which holds up no writer."""
    if db.is_sqlite:
        with db.read_only() as conn:
            yield conn
    else:
        with db.engine.connect().execution_options(isolation_level="REPEATABLE READ") as conn, conn.begin():
            yield conn


def _dump(conn: Connection, work: Path) -> dict[str, Any]:
    tables = _tables(conn)
    schema = conn.execute(sa.text(f"SELECT version_num FROM {_VERSION}")).scalar_one()
    found: dict[str, Any] = {}
    for table in tables:
        digest, count = hashlib.sha256(), 0
        with (work / f"{table.name}.jsonl").open("wb") as file:
            query = sa.select(table).order_by(*table.primary_key.columns)
            for row in conn.execution_options(yield_per=_ROWS).execute(query).mappings():
                line = json.dumps(dict(row), ensure_ascii=False).encode() + b"\n"
                digest.update(line)
                file.write(line)
                count += 1
        found[table.name] = {"rows": count, "sha256": digest.hexdigest(), "next": _next(conn, table)}
    return {"schema": schema, "tables": found}


def _next(conn: Connection, table: sa.Table) -> int:
    """The highest number that was ever given to a row: not one of a deleted row is given again."""
    if not _numbered(table):
        return 0
    if conn.dialect.name == "sqlite":
        query = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        return int(conn.execute(query, {"name": table.name}).scalar() or 0)
    sequence = conn.execute(sa.select(sa.func.pg_get_serial_sequence(table.name, "id"))).scalar()
    query = sa.text(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}")
    return int(conn.execute(query).scalar() or 0) if sequence else 0


def _take_checkpoint(tar: tarfile.TarFile, folder: Path) -> bool:
    for number in reversed(checkpoints.numbers(folder) if folder.exists() else []):
        parts = sorted((folder / f"{number:010d}").glob("*"))
        try:
            content = [(f"checkpoint/{number:010d}/{part.name}", part.read_bytes()) for part in parts]
        except FileNotFoundError:
            continue  # pruned under our hands: a newer one is there by now, or will be
        for name, data in content:
            _add(tar, name, data)
        return bool(content)
    return False


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    entry.mode = 0o600
    tar.addfile(entry, io.BytesIO(data))


# -- reading


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive, "r:gz") as tar:
            yield tar
    except (tarfile.TarError, zlib.error, EOFError, KeyError, ValueError) as why:
        raise StoreError(f"{archive} is no backup of Forewarn's, or it is damaged: {why}") from why
    except OSError as why:
        if isinstance(why, FileNotFoundError | PermissionError):
            raise
        raise StoreError(f"{archive} is damaged: {why}") from why


def _file(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    found = tar.extractfile(name)
    if found is None:
        raise KeyError(name)
    return found


def _checked(tar: tarfile.TarFile, archive: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.load(_file(tar, MANIFEST))
    if manifest.get("format") != FORMAT:
        raise StoreError(f"{archive}: format {manifest.get('format')}, this version reads {FORMAT}")
    if manifest["schema"] not in migrate.known():
        raise StoreError(
            f"{archive} was written by a newer Forewarn (schema {manifest['schema']}); upgrade first"
        )
    for name, about in manifest["tables"].items():
        digest = hashlib.sha256()
        for line in _file(tar, f"tables/{name}.jsonl"):
            digest.update(line)
        if digest.hexdigest() != about["sha256"]:
            raise StoreError(f"{archive} is damaged: the checksum of table {name} does not match")
    return manifest


def _make_room(db: Database, replace: bool) -> None:
    try:
        _empty(db, replace)
    except DatabaseError as why:
        if not (replace and db.is_sqlite and db.url.database) or isinstance(why, OperationalError):
            raise
        _put_aside(db, Path(db.url.database))


def _put_aside(db: Database, file: Path) -> None:
    """A file too damaged to be emptied stays beside its successor, for whoever wants to look at it."""
    db.engine.dispose()
    for end in ("-wal", "-shm"):
        file.with_name(file.name + end).unlink(missing_ok=True)
    file.replace(file.with_name(file.name + ".damaged"))


def _empty(db: Database, replace: bool) -> None:
    with db.begin() as conn:
        found = sa.MetaData()
        found.reflect(conn)
        used = [t.name for t in found.sorted_tables if t.name != _VERSION and _holds_rows(conn, t)]
        if used and not replace:
            raise StoreError(
                f"the store is in use (rows in {', '.join(used[:4])}); --replace puts the backup in its place"
            )
        found.drop_all(conn)


def _holds_rows(conn: Connection, table: sa.Table) -> bool:
    return conn.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None


def _fill(conn: Connection, tar: tarfile.TarFile, manifest: Mapping[str, Any]) -> None:
    for table in _tables(conn):
        conn.execute(table.delete())  # what migrations put there
        if table.name not in manifest["tables"]:
            continue
        rows: list[dict[str, Any]] = []
        for line in _file(tar, f"tables/{table.name}.jsonl"):
            rows.append(json.loads(line))
            if len(rows) == _ROWS:
                conn.execute(table.insert(), rows)
                rows = []
        if rows:
            conn.execute(table.insert(), rows)
        _go_on_from(conn, table, int(manifest["tables"][table.name]["next"]))


def _go_on_from(conn: Connection, table: sa.Table, last: int) -> None:
    if not (last and _numbered(table)):
        return
    values = {"name": table.name, "last": last}
    if conn.dialect.name == "sqlite":
        conn.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
        conn.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), values)
    else:
        conn.execute(sa.text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"), values)


def _put_checkpoint(tar: tarfile.TarFile, folder: Path) -> None:
    for number in checkpoints.numbers(folder) if folder.exists() else []:
        shutil.rmtree(folder / f"{number:010d}")
    for entry in tar.getmembers():
        parts = Path(entry.name).parts
        if entry.isfile() and len(parts) == 3 and parts[0] == "checkpoint" and ".." not in parts:
            (folder / parts[1]).mkdir(parents=True, exist_ok=True)
            with _file(tar, entry.name) as found, (folder / parts[1] / parts[2]).open("wb") as out:
                shutil.copyfileobj(found, out)


# -- both


def _tables(conn: Connection) -> list[sa.Table]:
    """Those that the database has, parents first: not those that this version would have."""
    found = sa.MetaData()
    found.reflect(conn)
    return [table for table in found.sorted_tables if table.name not in (_VERSION, _PASSING)]


def _numbered(table: sa.Table) -> bool:
    return [column.name for column in table.primary_key.columns] == ["id"]


def _contents(manifest: Mapping[str, Any]) -> Contents:
    rows = {name: int(about["rows"]) for name, about in manifest["tables"].items()}
    return Contents(
        manifest["at"], manifest["version"], manifest["schema"], rows, bool(manifest["checkpoint"])
    )
