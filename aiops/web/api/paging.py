"""Cursors: opaque to the caller, the last id of the page before to us."""

import base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Query

from aiops.store.lists import Looked


class Paging:
    """``?limit=&cursor=``; `before` is the decoded cursor."""

    def __init__(
        self,
        limit: Annotated[int, Query(ge=1, le=500, description="Items a page.")] = 50,
        cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
    ) -> None:
        self.limit = limit
        self.before = None if cursor is None else decode(cursor)

    def cut(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The page of ``limit + 1`` rows that were asked for: the one too many says that there is more.

        Of rows that were `Looked` for among so many only, there is more behind these.
        """
        kept = rows[: self.limit]
        last: int | None = rows.until if isinstance(rows, Looked) else None
        if len(rows) > self.limit:
            last = kept[-1]["id"]
        return {"items": kept, "next": encode(last) if last is not None else None}


def encode(row_id: int) -> str:
    return base64.urlsafe_b64encode(str(row_id).encode()).decode().rstrip("=")


def decode(cursor: str) -> int:
    """Raises 422 for what `encode` did not make."""
    try:
        found = int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, UnicodeEncodeError) as why:
        raise HTTPException(422, f"{cursor!r} is no cursor; take `next` of the page before") from why
    if not 0 <= found < 1 << 31:
        raise HTTPException(422, f"{cursor!r} is no cursor; take `next` of the page before")
    return found


PagingDep = Annotated[Paging, Depends()]
