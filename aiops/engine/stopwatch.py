"""What a piece of work took, for a line of the log."""

import time


class Stopwatch:
    """Begun when it is made; told as ``2.1 s, 1.4 of a processor``: of all that the process did meanwhile."""

    def __init__(self) -> None:
        self._begun, self._used = time.monotonic(), time.process_time()

    def __str__(self) -> str:
        past, used = time.monotonic() - self._begun, time.process_time() - self._used
        return f"{past:.1f} s, {used:.1f} of a processor"
