"""Playbook files -> checked `Playbook`s, or everything that is wrong with them, with file, line and key."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from aiops.config.complaint import Complaint, ConfigError
from aiops.config.document import parse
from aiops.config.explain import explain
from aiops.core.playbook import Playbook
from aiops.core.playbook_cases import Cases

_ENDINGS = (".yaml", ".yml")
_CASES = ".test"


class PlaybookError(ConfigError):
    """The file is no playbook. Its text is all complaints, each with its line and a caret.

    `complaints` are in file order; `file`, `line`, `key`, `message` and `hint` are those of the first.
    """

    def __init__(self, complaints: list[Complaint], text: str = "") -> None:
        super().__init__(complaints, text)
        first = complaints[0]
        self.file, self.line, self.key = first.file, first.line, first.key
        self.message, self.hint = first.message, first.hint


def read_playbook(text: str, file: str) -> Playbook:
    """The playbook that `text` says; `file` is what errors call it. Raises `PlaybookError`."""
    document = parse(text, file)
    if not document.complaints and not isinstance(document.data, dict):
        document.complain((), "expected keys and values", "a playbook begins with `playbook: its-name`")
    if not document.complaints:
        try:
            return Playbook.of(document.data, text)
        except ValidationError as error:
            explain(error, document, Playbook)
    raise PlaybookError(sorted(document.complaints, key=lambda c: (c.line, c.column)), text)


def cases_beside(path: Path) -> Path:
    """Where the tests of the playbook at `path` stand."""
    return path.with_name(f"{path.stem}{_CASES}{path.suffix}")


def read_cases(text: str, file: str) -> Cases:
    """A playbook's tests. Raises `PlaybookError`."""
    document = parse(text, file)
    if not document.complaints:
        try:
            return Cases.model_validate(document.data)
        except ValidationError as error:
            explain(error, document, Cases)
    raise PlaybookError(sorted(document.complaints, key=lambda c: (c.line, c.column)), text)


def playbook_files(paths: Iterable[Path]) -> list[Path]:
    """The files that `paths` name; of folders all but the tests, by name. Raises `PlaybookError`."""
    return [file for given in paths for file in _files(given)]


def load_playbooks(paths: Iterable[Path]) -> list[Playbook]:
    """The playbooks of files, and of all ``*.yaml`` in folders, in the order given; folders by file name.

    Raises `PlaybookError` for the first file that is wrong, or when two playbooks have one name.
    """
    found: dict[str, tuple[Playbook, Path]] = {}
    for path in playbook_files(paths):
        try:
            made = read_playbook(path.read_text("utf-8"), str(path))
        except OSError as why:
            raise _about(path, f"the file cannot be read: {why.strerror}") from why
        except UnicodeDecodeError as why:
            raise _about(path, f"the file is no UTF-8 text: byte {why.start + 1} cannot be read") from why
        earlier = found.get(made.name)
        if earlier and earlier[1] != path:
            message = f"the playbook {made.name!r} is already defined in {earlier[1]}"
            raise _about(path, message, "give each playbook a name of its own")
        found[made.name] = (made, path)
    return [playbook for playbook, _ in found.values()]


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.suffix in _ENDINGS and not p.stem.endswith(_CASES))
    if not path.exists():
        raise _about(path, f"there is no file or folder {path}")
    return [path]


def _about(path: Path, message: str, hint: str = "") -> PlaybookError:
    return PlaybookError([Complaint(str(path), 0, 0, "playbook", message, hint)])
