"""A config file -> a checked `Config`, or everything that is wrong with it, with file, line and key."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from aiops.config.complaint import Complaint, ConfigError
from aiops.config.document import Document, dotted, parse
from aiops.config.explain import explain
from aiops.config.faults import broken_references
from aiops.config.models import Config
from aiops.config.playbooks import PlaybookError, load_playbooks
from aiops.config.secret_files import secrets_of
from aiops.plugin import Connector
from aiops.plugin.load import HOUSE

PACKAGED = Path(__file__).resolve().parent.parent / "default.yaml"
"""What runs when there is no other file: it watches this host."""

LIBRARY = Path("playbooks/library")
"""Playbooks that ship with Forewarn; a file beside the config goes first."""


def find(path: Path | None = None) -> Path:
    """The file that is meant: `path`, else ``forewarn.yaml`` here, else the one that ships with Forewarn."""
    here = Path("forewarn.yaml")
    return path or (here if here.exists() else PACKAGED)


def read(path: Path | str, data: Path | None = None) -> Config:
    """The checked config of a file, moved to another data folder if one is given. Raises `ConfigError`."""
    text = load_text(path)
    config, complaints = check(text, str(path))
    if config is None:
        raise ConfigError(complaints, text)
    if data is not None:
        move_data(config, data)
    return config


def load_text(path: Path | str) -> str:
    """The file's text. Raises `ConfigError` when it cannot be read or is no UTF-8."""
    try:
        return Path(path).read_text("utf-8")
    except OSError as why:
        message = f"the file cannot be read: {why.strerror}"
        raise ConfigError([Complaint(str(path), 0, 0, "", message)], "") from why
    except UnicodeDecodeError as why:
        message = f"the file is no UTF-8 text: byte {why.start + 1} cannot be read"
        raise ConfigError([Complaint(str(path), 0, 0, "", message)], "") from why


def check(text: str, filename: str) -> tuple[Config | None, list[Complaint]]:
    """The config, or None and every fault found in `text`; relative paths start at the folder of `filename`.

    ``data``, and whatever lies in that folder, is relative to the working directory instead, as the store is.
    """
    document = parse(text, filename)
    config = None if document.complaints and document.data is None else _validate(document)
    if config is not None:
        resolve(config, Path(filename).resolve().parent)
        _check_playbooks(config, document)
        _check_queries(config, document)
    complaints = sorted(document.complaints, key=lambda c: (c.line, c.column))
    return (None if complaints else config), complaints


def _validate(document: Document) -> Config | None:
    if not isinstance(document.data, dict):
        message = "the file is empty" if document.data is None else "expected keys and values"
        document.complain((), message, "the smallest working file is `sources: [{kind: host}]`")
        return None
    try:
        return Config.model_validate(document.data)
    except ValidationError as error:
        explain(error, document, Config)
    # The models look at references only once all else is right: so that no fault waits for another
    known = {complaint.key for complaint in document.complaints}
    for path, message, hint in broken_references(document.data):
        if dotted(path) not in known:
            document.complain(path, message, hint)
    return None


def resolve(config: Config, folder: Path) -> None:
    """Make relative paths start at `folder`, but for those in the data folder; see `check`."""
    _resolve(config, folder, config.data)


def move_data(config: Config, data: Path) -> None:
    """Put the data folder elsewhere, and with it whatever lies in it: the SQLite file, generated secrets."""
    prefix = "sqlite:///"
    store = Path(config.store.removeprefix(prefix))
    if config.store.startswith(prefix) and store.is_relative_to(config.data):
        config.store = f"{prefix}{data / store.relative_to(config.data)}"
    for secret in secrets_of(config):
        if secret.file and secret.file.is_relative_to(config.data):
            secret.file = data / secret.file.relative_to(config.data)
    config.data = data


def _resolve(block: BaseModel, folder: Path, data: Path) -> None:
    for name in type(block).model_fields:
        value = getattr(block, name)
        moved = _resolved(value, folder, data)
        if moved is not value and not (isinstance(block, Config) and name == "data"):
            setattr(block, name, moved)


def _resolved(value: Any, folder: Path, data: Path) -> Any:
    if isinstance(value, BaseModel):
        _resolve(value, folder, data)
    elif isinstance(value, list):
        return [_resolved(one, folder, data) for one in value]
    elif isinstance(value, dict):
        return {key: _resolved(one, folder, data) for key, one in value.items()}
    elif isinstance(value, Path) and not (value.is_absolute() or value.is_relative_to(data)):
        beside, shipped = folder / value, HOUSE / value
        # The library is at hand wherever the config lies
        return shipped if value.is_relative_to(LIBRARY) and not beside.exists() else beside
    return value


def _check_queries(config: Config, document: Document) -> None:
    """An SLI's query goes to a source that answers queries."""
    sources = {source.name: source for source in config.sources}
    for place, sli in enumerate(config.slis):
        source = sources.get(sli.of.source)
        if sli.of.query and (not isinstance(source, Connector) or type(source).watch is Connector.watch):
            message = f"the source `{sli.of.source}` answers no queries"
            hint = "select a series that it yields: `of: {match: ...}`"
            document.complain(("slis", place, "of", "query"), message, hint)


def _check_playbooks(config: Config, document: Document) -> None:
    """Read the playbooks only for their faults: the engine reads them again when it builds its graph."""
    sinks = [sink.name for sink in config.sinks]
    for place, path in enumerate(config.playbooks):
        at = ("playbooks", place)
        if not path.exists():
            document.complain(at, f"there is no file or folder {path}")
            continue
        try:
            # Up to here, so that a name given twice is told at its second place
            found = load_playbooks(config.playbooks[: place + 1])
        except PlaybookError as why:
            document.complaints += [_quoted(complaint) for complaint in why.complaints]
            return
        for playbook in found:
            to = playbook.escalate.to
            if to and to not in sinks:
                message = f"playbook `{playbook.name}` escalates to {to!r}, which is no sink"
                document.complain(at, message, f"there are: {', '.join(sinks)}" if sinks else "")


def _quoted(complaint: Complaint) -> Complaint:
    """With its own line, as it is in another file than the one that is checked."""
    lines = Path(complaint.file).read_text("utf-8", "replace").splitlines() if complaint.line else []
    return replace(complaint, excerpt=lines[complaint.line - 1] if complaint.line <= len(lines) > 0 else "")
