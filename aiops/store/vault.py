"""Columns that may hold secrets are sealed while there is a key: AES-256-GCM, each value by itself.

Kinds of columns, not functions to call: whoever reads or writes a row need not know. What was written without
a key stays readable; a dump, a backup and a stolen file hold what is sealed as it is. The keys are the
process's: `use` them before rows are read or written.
"""

import base64
import json
import secrets
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_MARK = b"fw-sealed-1\0"
_TEXT = "fw-sealed-1:"
_FIELD = "fw-sealed-1"
_NONCE = 12
_keys: tuple[bytes, ...] = ()


class Locked(Exception):
    """A value was sealed under a key that is not among those given, or was changed since."""


def use(keys: Sequence[str]) -> None:
    """From now on the first of `keys` seals, and any of them opens; without any, nothing is sealed."""
    global _keys
    _keys = _digests(keys)


def opener(stored: Any, keys: Sequence[str]) -> int | None:
    """Which of `keys`, by its place, opens a value as it lies there: -1: none, None: it is not sealed."""
    try:
        sealed = _sealed(stored)
    except ValueError:  # the mark, and no base64 behind it
        return -1
    if sealed is None:
        return None
    from cryptography.exceptions import InvalidTag

    for place, key in enumerate(_digests(keys)):
        try:
            _cipher(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
        except (InvalidTag, ValueError):
            continue
        return place
    return -1


def _digests(keys: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(sha256(b"forewarn store\0" + one.encode()).digest() for one in keys)


def _sealed(stored: Any) -> bytes | None:
    """Nonce and ciphertext of a value that is sealed, of any of the kinds below."""
    match stored:
        case {"fw-sealed-1": str(text)} if len(stored) == 1:
            return base64.b64decode(text)
        case str() if stored.startswith(_TEXT):
            return base64.b64decode(stored.removeprefix(_TEXT))
        case bytes() | memoryview() if bytes(stored).startswith(_MARK):
            return bytes(stored)[len(_MARK) :]
    return None


def seal(value: bytes) -> bytes:
    """`value` under the first key."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + bytes(_cipher(_keys[0]).encrypt(nonce, value, None))


def unseal(sealed: bytes) -> bytes:
    """What `seal` was given. Raises `Locked`."""
    from cryptography.exceptions import InvalidTag

    for key in _keys:
        try:
            return bytes(_cipher(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], None))
        except InvalidTag:
            continue
    raise Locked("a value of the store is sealed, and none of `store_keys` opens it")


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 10 MB, for those who have keys only

    return AESGCM(key)


class SealedJson(TypeDecorator[Any]):
    """As `sa.JSON`; sealed it is an object with one key."""

    impl = sa.JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if value is None or not _keys:
            return value
        return {_FIELD: base64.b64encode(seal(json.dumps(value).encode())).decode()}

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if not isinstance(value, dict) or list(value) != [_FIELD]:
            return value
        return json.loads(unseal(base64.b64decode(value[_FIELD])))


class SealedText(TypeDecorator[str]):
    """As `sa.Text`. What is sealed cannot be searched."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or not _keys:
            return value
        return _TEXT + base64.b64encode(seal(value.encode())).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or not value.startswith(_TEXT):
            return value
        return unseal(base64.b64decode(value.removeprefix(_TEXT))).decode()


class SealedBytes(TypeDecorator[bytes]):
    """As `sa.LargeBinary`."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return value if value is None or not _keys else _MARK + seal(bytes(value))

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        if value is None or not bytes(value).startswith(_MARK):
            return value
        return unseal(bytes(value)[len(_MARK) :])
