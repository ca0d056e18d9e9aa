"""Names of process groups that stay the same from start to start."""

import os
import re
from itertools import zip_longest

_INTERPRETERS = frozenset(
    ("bash", "dash", "deno", "java", "node", "perl", "php", "pypy", "python", "ruby", "sh", "zsh")
)
_PROGRAM_FOLLOWS = ("-m", "-jar")
_CODE_FOLLOWS = ("-c", "-e", "-cp", "-classpath")


def name_of(arguments: list[str], comm: str) -> str:
    """From a command line: ``nginx: worker process`` -> nginx, ``python3.11 -m http.server`` -> http.server.

    ``comm`` (the kernel's own short name) serves where the command line says nothing.
    """
    if not arguments or not arguments[0].strip():
        return clean(comm)
    title = arguments[0].lstrip("-")
    if " " in title and not title.startswith("/"):
        title = title.split()[0]  # a title that the program set: "redis-server 127.0.0.1:6379"
    name = clean(os.path.basename(title)) or clean(comm)
    return (_program(arguments[1:]) or name) if name in _INTERPRETERS else name


def _program(arguments: list[str]) -> str:
    """What an interpreter runs; nothing when that is code on the command line or a bare descriptor."""
    for option, value in zip_longest(arguments, arguments[1:], fillvalue=""):
        if option in _PROGRAM_FOLLOWS:
            return clean(os.path.basename(value))
        if option in _CODE_FOLLOWS:
            return ""
        if not option.startswith("-"):
            name = clean(os.path.basename(option))
            return "" if name.isdigit() else name
    return ""


def clean(name: str) -> str:
    """At most 40 plain characters, without the version or number at its end (python3.11, worker-17)."""
    plain = re.sub(r"[^\w.@:+-]", "_", name.strip())[:40].rstrip(":")
    return re.sub(r"(?<=\w\w)[-_.:@]?\d+(\.\d+)*$", "", plain) or plain
