"""A `forewarn` whose clock is wrong by as many seconds as a file says, which may change while it runs.

python -m tests.shifted_process FILE forewarn run --config forewarn.yaml
"""

import sys
import time
from pathlib import Path

from aiops.cli import main
from aiops.engine.clock import SystemClock


def shift(file: Path) -> None:
    """All that the engine knows of the time comes from its clock."""

    def now(_: SystemClock) -> float:
        text = file.read_text()
        return time.time() + float(text or "0")

    SystemClock.now = now  # type: ignore[method-assign]


if __name__ == "__main__":
    shift(Path(sys.argv[1]))
    sys.argv = sys.argv[2:]
    main()
