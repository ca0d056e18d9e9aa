"""Memory that was freed and that the C library keeps."""

import ctypes


def give_back() -> None:
    """To the kernel, where the C library can: parts of a checkpoint leave gaps in the heaps of many threads.

    https://man7.org/linux/man-pages/man3/malloc_trim.3.html ; other C libraries than glibc have none.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
