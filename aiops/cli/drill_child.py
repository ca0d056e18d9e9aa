"""The fault of ``forewarn drill memory-leak``: a process that leaks, and is certain to end.

Run as a script by a bare interpreter (standard library only), so that its memory is the leak and little else.
It ends by itself: when its parent dies, after `HOLD` seconds at the top, or after `LONGEST` seconds.
"""

import ctypes
import os
import resource
import signal
import sys
import time

MIB = 1 << 20
STEADY = 40 * MIB
PER_SECOND = 10 * MIB
TOP = 300 * MIB
HOLD = 60.0
LONGEST = 180.0
CEILING = 512 * MIB
"""The kernel refuses more than this, whatever this file does."""
TICK = 0.1
NAME = "forewarn-drill"


def main() -> None:
    """``argv``: seconds to stay at `STEADY` first, and the parent's pid. Says ``leaking`` when it begins."""
    libc = ctypes.CDLL(None)
    libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    libc.prctl(15, NAME.encode())  # PR_SET_NAME
    if os.getppid() != int(sys.argv[2]):
        return  # the parent was gone before we asked to die with it
    resource.setrlimit(resource.RLIMIT_AS, (CEILING, CEILING))
    started = time.monotonic()
    kept = [_touched(STEADY - _resident())]
    while time.monotonic() - started < float(sys.argv[1]):
        time.sleep(TICK)
    sys.stdout.write("leaking\n")
    sys.stdout.flush()
    begun = time.monotonic()
    leaked = 0
    while leaked < TOP - STEADY:
        due = min(int((time.monotonic() - begun) * PER_SECOND), TOP - STEADY)
        kept.append(_touched(due - leaked))
        leaked = due
        time.sleep(TICK)
    time.sleep(max(0.0, min(HOLD, LONGEST - (time.monotonic() - started))))


def _touched(size: int) -> bytes:
    """So many bytes that are really there: a page that was never written is not."""
    return b"\x01" * max(0, size)


def _resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
