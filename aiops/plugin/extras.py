"""Client libraries that a plug-in loads only when it is used: most installations need none."""

import importlib
from types import ModuleType

from aiops.plugin.errors import Fatal


def needed(module: str, extra: str) -> ModuleType:
    """The module. Raises `Fatal` that says how to install it, as ``forewarn[extra]``."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as why:
        package = module.partition(".")[0]
        raise Fatal(f"{package} is not installed: pip install 'forewarn[{extra}]'") from why
