"""Text with ``{{ problem... }}`` in it, rendered without any way to run code, exhaust memory or stall.

The sandbox alone stops neither ``'x' * 10**9`` nor nested loops, so what may be written is a short list of
syntax nodes and filters, checked before anything is compiled, and the parts that grow have caps.
"""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache, wraps
from typing import Any

from jinja2 import StrictUndefined, TemplateError, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_SOURCE = 4096
MAX_OUTPUT = 16_384
MAX_VALUE = 4096
"""Characters of one text in the problem: labels are a stranger's input."""

# fmt: off
_FILTERS = (
    "abs", "capitalize", "count", "default", "d", "first", "float", "int", "join", "last", "length",
    "list", "lower", "map", "max", "min", "reject", "rejectattr", "round", "select", "selectattr",
    "sort", "string", "sum", "title", "tojson", "trim", "unique", "upper", "urlencode",
)
# fmt: on

_ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.List,
    nodes.Tuple,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Slice,
    nodes.Filter,
    nodes.Test,
    nodes.If,
    nodes.For,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Neg,
    nodes.Pos,
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.Pow,
    nodes.Keyword,
)

_INSTEAD = {
    nodes.Concat: "write the parts side by side: {{ a }}{{ b }}",
    nodes.Call: "use a filter, such as {{ problem.title | lower }}",
    nodes.Assign: "values cannot be kept; write the expression where it is needed",
}


class BadTemplate(ValueError):
    """The text is no template we run, or it cannot be rendered for this problem; the message says why."""


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic is for numbers: on texts ``*``, ``+`` and ``%`` are ways to fill the memory."""
        numbers = all(isinstance(side, int | float) and abs(side) < 1e300 for side in (left, right))
        if not numbers:
            raise SecurityError(f"`{operator}` is for numbers only")
        if operator == "**" and (abs(left) > 1e6 or abs(right) > 16):
            raise SecurityError("`**` with numbers this large")
        return super().call_binop(context, operator, left, right)


def _capped(name: str, filter_: Callable[..., Any]) -> Callable[..., Any]:
    """Chained, `join` and `tojson` multiply what they are given: each link's result has the output's cap."""

    @wraps(filter_)
    def inside(*args: Any, **kwargs: Any) -> Any:
        if name == "join" and any(isinstance(a, str) and len(a) > 16 for a in (*args[2:], *kwargs.values())):
            raise SecurityError("`join` takes at most 16 characters to join by")
        result = filter_(*args, **kwargs)
        if isinstance(result, str) and len(result) > MAX_OUTPUT:
            raise SecurityError(f"`{name}` gives more than {MAX_OUTPUT} characters")
        return result

    return inside


def _environment() -> _Environment:
    # Not optimized: folding constants re-evaluates a chain of filters at every link (3 s for 100 links)
    made = _Environment(
        undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, optimized=False
    )
    made.globals.clear()
    made.filters = {name: _capped(name, made.filters[name]) for name in _FILTERS}
    return made


_ENVIRONMENT = _environment()


def is_template(text: str) -> bool:
    return "{{" in text or "{%" in text or "{#" in text


def check_template(text: str) -> None:
    """Raise `BadTemplate` unless `text` is short enough and uses only what is allowed."""
    if len(text) > MAX_SOURCE:
        raise BadTemplate(f"the text is {len(text)} characters long; the most is {MAX_SOURCE}")
    try:
        for node in _walk(_ENVIRONMENT.parse(text), 0):
            _check_node(node, text)
    except TemplateError as why:
        raise BadTemplate(f"{_short(text)} is no template: {why.message}") from why
    except RecursionError as why:
        raise BadTemplate(f"{_short(text)} is nested too deeply") from why


def names_in(text: str) -> set[str]:
    """What the template asks its context for. Raises `BadTemplate` as `check_template` does."""
    check_template(text)
    return meta.find_undeclared_variables(_ENVIRONMENT.parse(text))


def render(text: str, context: Mapping[str, Any]) -> str:
    """`text` with its expressions filled in from `context`.

    Raises `BadTemplate` for an unknown name, a text in `context` longer than `MAX_VALUE`, or an output
    longer than `MAX_OUTPUT`.
    """
    if not is_template(text):
        return text
    template = _compiled(text)
    _check_values(context, "")
    size = 0
    parts: list[str] = []
    try:
        for part in template(dict(context)):
            size += len(part)
            if size > MAX_OUTPUT:
                raise BadTemplate(f"{_short(text)} gives more than {MAX_OUTPUT} characters")
            parts.append(part)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as why:
        if isinstance(why, BadTemplate):
            raise
        raise BadTemplate(f"{_short(text)} cannot be rendered: {why}") from why
    return "".join(parts)


def render_all(value: Any, context: Mapping[str, Any]) -> Any:
    """A copy of `value` in which every text, at any depth of lists and mappings, is rendered."""
    if isinstance(value, str):
        return render(value, context)
    if isinstance(value, Mapping):
        return {key: render_all(inner, context) for key, inner in value.items()}
    if isinstance(value, list):
        return [render_all(inner, context) for inner in value]
    return value


def texts(value: Any, path: tuple[str | int, ...] = ()) -> Iterable[tuple[tuple[str | int, ...], str]]:
    """Every template within lists and mappings, with the path to it."""
    if isinstance(value, str):
        if is_template(value):
            yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from texts(inner, (*path, str(key)))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from texts(inner, (*path, place))


@lru_cache(maxsize=512)
def _compiled(text: str) -> Callable[[dict[str, Any]], Iterable[str]]:
    check_template(text)
    try:
        return _ENVIRONMENT.from_string(text).generate
    except (TemplateError, SyntaxError, RecursionError, MemoryError) as why:
        # CPython's own parser says MemoryError or SyntaxError for expressions nested too deeply
        raise BadTemplate(f"{_short(text)} is no template: {why}") from why


def _walk(node: nodes.Node, loops: int) -> Iterable[nodes.Node]:
    yield node
    loops += isinstance(node, nodes.For)
    if loops > 1:
        raise BadTemplate("a `for` within a `for`")
    for child in node.iter_child_nodes():
        yield from _walk(child, loops)


def _check_node(node: nodes.Node, text: str) -> None:
    if not isinstance(node, _ALLOWED):
        instead = _INSTEAD.get(type(node), "write a plain expression, an `if` or one `for`")
        raise BadTemplate(f"{_short(text)}: {type(node).__name__.lower()} is not allowed; {instead}")
    if isinstance(node, nodes.Filter) and node.name not in _ENVIRONMENT.filters:
        near = get_close_matches(node.name, _FILTERS, 1)
        hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(_FILTERS)}"
        raise BadTemplate(f"{_short(text)}: no filter `{node.name}`; {hint}")
    if isinstance(node, nodes.For) and node.recursive:
        raise BadTemplate(f"{_short(text)}: a recursive `for`")
    if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        raise BadTemplate(f"{_short(text)}: `{node.attr}` is not open to templates")


def _check_values(value: Any, path: str) -> None:
    if isinstance(value, str):
        if len(value) > MAX_VALUE:
            raise BadTemplate(f"{path} is {len(value)} characters long; the most is {MAX_VALUE}")
        if "\x00" in value:
            raise BadTemplate(f"{path} holds a NUL character")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _check_values(inner, f"{path}.{str(key)[:64]}".lstrip("."))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            _check_values(inner, f"{path}[{place}]")


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
