"""The console: server-rendered pages that htmx keeps fresh. `install` mounts it."""

from aiops.web.console.install import install

__all__ = ["install"]
