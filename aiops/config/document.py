"""YAML text -> plain data, and where each key and value stands in the text.

Works on the parser's node graph, not on loaded objects: so every fault is found in one pass, doubled keys
included, and no constructor of a tag ever runs.
"""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from aiops.config.complaint import Complaint

Path: TypeAlias = tuple[str | int, ...]

LARGEST = 1_000_000
"""Characters; the largest real configuration seen is a hundredth of it."""
MOST_VALUES = 100_000
"""Aliases can make a short text expand without end."""
DEEPEST = 60

_TAG = "tag:yaml.org,2002:"
_NUMBERS = (_TAG + "int", _TAG + "float", _TAG + "bool", _TAG + "null")
_PLAIN = (_TAG + "str", _TAG + "timestamp")

_EXPLAINED = {
    "mapping values are not allowed here": (
        "a `key: value` cannot stand here",
        "check the indentation, or quote a text that holds `: `",
    ),
    "found character '\\t'": ("a tab in the indentation", "indent with spaces"),
    "that cannot start any token": ("a plain text cannot begin with this character", "quote the text"),
    "<block end>": ("this line does not fit the lines above it", "check its indentation"),
    "found unexpected end of stream": (
        "a quote is opened here and never closed",
        "close it with the same quote",
    ),
    "expected the node content": ("a value is missing here", "close the bracket, or write the value"),
    "expected ',' or": (
        "a bracket or brace is not closed",
        "separate items with `,` and close with `]` or `}`",
    ),
    "could not find expected ':'": (
        "a key without its `:`",
        "write `key: value`, or quote the text if it goes over lines",
    ),
    "found undefined alias": ("an alias (`*name`) to no anchor", "quote the text if `*` is part of it"),
    "found another document": ("a second document begins here", "one file holds one document: remove `---`"),
    "maximum depth": ("nested too deeply", ""),
    "unacceptable character": ("a character that YAML does not allow", "remove it"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key and its value stand; all count from 1. For a list's item both are the same."""

    line: int
    column: int
    width: int
    value_line: int
    value_column: int
    value_width: int


@dataclass(slots=True)
class Document:
    """``data``: dict, list, str, int, float, bool, None. ``places``: path -> `Place`; () is all of it."""

    file: str
    data: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)

    def complain(self, path: Path, message: str, hint: str = "", *, at_key: bool = False) -> Complaint:
        """Note a fault at the value (or key) of `path`, or of the nearest part of it that is in the text."""
        known = path
        while known and known not in self.places:
            known = known[:-1]
        spot = self.places.get(known, Place(1, 1, 1, 1, 1, 1))
        # A value that begins below its key is a block: the key is what people look for
        if at_key or known != path or spot.value_line != spot.line:
            where = spot.line, spot.column, spot.width
        else:
            where = spot.value_line, spot.value_column, spot.value_width
        made = Complaint(self.file, where[0], where[1], dotted(path), message, hint, where[2])
        self.complaints.append(made)
        return made


def dotted(path: Path) -> str:
    """``("sources", 0, "every")`` -> ``sources[0].every``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def parse(text: str, file: str) -> Document:
    """Read `text`. Whatever is wrong with it is in the document's complaints; nothing is raised."""
    document = Document(file)
    if len(text) > LARGEST:
        document.complain((), f"the file has {len(text)} characters; the most is {LARGEST}")
        return document
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = DEEPEST
    yaml.composer.warn_double_anchors = False  # YAML lets a later anchor take the name
    try:
        node = yaml.compose(text)
    except RecursionError:
        document.complain((), "the file is nested too deeply")
        return document
    except YAMLError as why:
        document.complaints.append(_broken(why, text, file))
        return document
    if node is not None:
        walk = _Walk(document, yaml)
        document.data = walk.value(node, ())
    return document


def _broken(why: YAMLError, text: str, file: str) -> Complaint:
    problem = str(getattr(why, "problem", None) or why)
    mark = why.problem_mark if isinstance(why, MarkedYAMLError) else None
    if isinstance(why, MarkedYAMLError) and why.context_mark and "end of stream" in problem:
        mark = why.context_mark
    if mark is not None:
        line, column = mark.line + 1, mark.column + 1
    else:
        before = text[: getattr(why, "position", 0) or 0]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    for sign, (message, hint) in _EXPLAINED.items():
        if sign in problem:
            return Complaint(file, line, column, "", f"broken YAML: {message}", hint)
    return Complaint(file, line, column, "", "broken YAML: the text cannot be read from here on")


class _Walk:
    """One pass over the node graph."""

    def __init__(self, document: Document, yaml: YAML) -> None:
        self.document = document
        self.yaml = yaml
        self.open: list[Node] = []
        self.count = 0

    def value(self, node: Node, path: Path) -> Any:
        self.count += 1
        self.document.places.setdefault(path, Place(*_span(node), *_span(node)))
        if any(node is one for one in self.open):
            self.document.complain(path, "an alias that contains itself")
            return None
        if self.count > MOST_VALUES or len(self.open) > DEEPEST:
            # Once is enough: every further value would say the same
            if self.count <= MOST_VALUES + 1:
                self.document.complain(path, "too many values, or nested too deeply")
            return None
        self.open.append(node)
        try:
            return self._made(node, path)
        finally:
            self.open.pop()

    def _made(self, node: Node, path: Path) -> Any:
        if isinstance(node, MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path)
        if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
            return [self.value(item, (*path, place)) for place, item in enumerate(node.value)]
        if isinstance(node, ScalarNode) and node.tag in _PLAIN:
            return str(node.value)
        if isinstance(node, ScalarNode) and node.tag in _NUMBERS:
            return self._number(node, path)
        self.document.complain(path, "a YAML tag that has no meaning here", "remove the `!` tag")
        return None

    def _number(self, node: ScalarNode, path: Path) -> Any:
        try:
            return self.yaml.constructor.construct_object(node)
        except (ValueError, OverflowError, KeyError, IndexError):
            self.document.complain(path, "this cannot be read as its YAML tag says", "quote the text")
            return None

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        made: dict[str, Any] = {}
        merged: list[Node] = []
        first: dict[str, int] = {}
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                merged += value.value if isinstance(value, SequenceNode) else [value]
                continue
            name = self._key(key, path)
            if name is None:
                continue
            inner = (*path, name)
            if name in made:
                self._twice(key, inner, first[name])
                continue
            self.document.places[inner] = Place(*_span(key), *_span(value))
            first[name] = key.start_mark.line + 1
            made[name] = self.value(value, inner)
        for base in merged:
            self._merge(base, path, made)
        return made

    def _twice(self, key: Node, path: Path, first: int) -> None:
        line, column, width = _span(key)
        message, hint = f"`{path[-1]}` is written twice", f"the first is on line {first}; remove one"
        file = self.document.file
        self.document.complaints.append(Complaint(file, line, column, dotted(path), message, hint, width))

    def _merge(self, base: Node, path: Path, made: dict[str, Any]) -> None:
        if not isinstance(base, MappingNode):
            self.document.complain(path, "`<<` merges blocks of keys only")
            return
        for key, value in base.value:
            name = self._key(key, path)
            if name is not None and name not in made:
                self.document.places[(*path, name)] = Place(*_span(key), *_span(value))
                made[name] = self.value(value, (*path, name))

    def _key(self, key: Node, path: Path) -> str | None:
        if isinstance(key, ScalarNode) and key.tag in (*_PLAIN, *_NUMBERS):
            return str(key.value)
        line, column, width = _span(key)
        hint = "quote the text: `{` and `[` begin a YAML block"
        self.document.complaints.append(
            Complaint(self.document.file, line, column, dotted(path), "a key must be text", hint, width)
        )
        return None


def _span(node: Node) -> tuple[int, int, int]:
    """Line, column and width on that line, all from 1."""
    start, end = node.start_mark, node.end_mark
    width = end.column - start.column if end.line == start.line else 1
    return start.line + 1, start.column + 1, max(1, width)
