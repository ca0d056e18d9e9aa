"""A short cut for lines with endless identifiers: known constants in their places are proof enough."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from aiops.plugin.miner import WILD

_VARIES = re.compile(r"(?:[\w.-]*?\d[\w.-]*|/[\w./-]*\w)\Z", re.ASCII)
"""What masking turns into `WILD` as a whole: numbers, ids, paths."""
_MOST_SHAPES = 8
_MOST_ENTRIES = 20_000


@dataclass(slots=True)
class _Shape:
    """The lines of one token count with constants at the same places."""

    constants: Callable[[Sequence[str]], object]
    """Takes a line's tokens to those at the constant places."""
    known: dict[object, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    """Constants -> (id, places that must hold something like a number)."""


class Direct:
    """Looks tokens up by those that never vary. A look takes a third of the time of masking."""

    def __init__(self) -> None:
        self._shapes: dict[int, dict[tuple[int, ...], _Shape]] = {}
        self._entries = 0

    def find(self, line: str) -> int | None:
        """The id of the line's template; None when nothing is certain."""
        tokens = line.split()
        shapes = self._shapes.get(len(tokens))
        if shapes is None:
            return None
        for shape in shapes.values():
            found = shape.known.get(shape.constants(tokens))
            if found is None:
                continue
            for place in found[1]:
                token = tokens[place]
                # an id of letters and digits, or what the slower pattern takes for a number
                if not (
                    (token.isalnum() and token.isascii() and not token.isalpha()) or _VARIES.match(token)
                ):
                    break
            else:
                return found[0]
        return None

    def learn(self, ident: int, tokens: Sequence[str], wild: set[int]) -> None:
        """A template whose tokens stand one to one for those of its lines."""
        if not wild:
            return  # its lines have few forms, which are remembered anyway
        constant = tuple(place for place, token in enumerate(tokens) if WILD not in token)
        numbers = tuple(place for place, token in enumerate(tokens) if WILD in token and place not in wild)
        if len(constant) < 2 or any(tokens[place] != WILD for place in numbers):
            return
        if self._entries >= _MOST_ENTRIES:
            self.__init__()  # type: ignore[misc]
        shapes = self._shapes.setdefault(len(tokens), {})
        if constant not in shapes and len(shapes) >= _MOST_SHAPES:
            return
        shape = shapes.setdefault(constant, _Shape(itemgetter(*constant)))
        self._entries += 1
        shape.known[shape.constants(tokens)] = ident, numbers

    def rewrite(self, change: Callable[[int], int]) -> None:
        """Put ``change(id)`` in the place of every id."""
        for shapes in self._shapes.values():
            for shape in shapes.values():
                shape.known = {key: (change(ident), places) for key, (ident, places) in shape.known.items()}
