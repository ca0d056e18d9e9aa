"""What requests may carry: ids that the store can hold, and text that every store can keep."""

import unicodedata
from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator

LARGEST = 2**31 - 1
"""PostgreSQL's integer; SQLite would hold more."""

Ident = Annotated[int, Path(ge=1, le=LARGEST)]
"""The number of a problem, alert, run, delivery or silence."""


def storable(text: str) -> str:
    """Without control characters but tab and line feed: PostgreSQL refuses NUL, terminals obey escapes."""
    return "".join(c for c in text if c in "\t\n" or unicodedata.category(c) not in ("Cc", "Cs"))


Words = Annotated[str, AfterValidator(storable)]
"""Text that a person typed."""
