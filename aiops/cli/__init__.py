"""The command `forewarn`."""

from aiops.cli.app import main

__all__ = ["main"]
