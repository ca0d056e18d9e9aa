"""Argument lists: never a shell, so that nothing in a label can become a command."""

from typing import Annotated

from pydantic import AfterValidator, Field


def _program(value: list[str]) -> list[str]:
    if not value[0].strip():
        raise ValueError("the program's name is empty")
    if any("\x00" in part for part in value):
        raise ValueError("an argument holds a NUL character")
    return value


Argv = Annotated[list[str], Field(min_length=1, max_length=256), AfterValidator(_program)]
"""The program and its arguments."""
