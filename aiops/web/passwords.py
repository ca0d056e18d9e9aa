"""Passwords as argon2id, hashed off the event loop and two at a time."""

import asyncio
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argon2 import PasswordHasher

LEAST, MOST = 12, 200
"""Characters of a password."""
_NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$XEg72Zs9nXDDxo64cAH6nw$OfwI6Mq/l9pDZmipDFzDx9/Yx7uVz2yYtwTjGnItKgQ"
"""What is compared where there is no such account, so that both take as long."""


class Passwords:
    """Makes and checks hashes; one per app."""

    def __init__(self) -> None:
        # each hash takes 19 MiB for its time
        self._turns = asyncio.Semaphore(2)

    async def hashed(self, password: str) -> str:
        """`password` in argon2's own format. Raises ValueError for one that is too short or too long."""
        if not LEAST <= len(password) <= MOST:
            raise ValueError(f"a password has {LEAST} to {MOST} characters")
        async with self._turns:
            return await asyncio.to_thread(_hasher().hash, password)

    async def right(self, stored: str, password: str) -> bool:
        """Whether `stored` was made from `password`; of an empty `stored` none is right."""
        async with self._turns:
            same = await asyncio.to_thread(_same, stored or _NOBODYS, password[:MOST])
        return same and bool(stored)


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher

    # OWASP's Password Storage Cheat Sheet: 19 MiB, two passes, one lane
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def _same(stored: str, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return _hasher().verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
