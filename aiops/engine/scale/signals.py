"""What SIGTERM means, where a library would change it."""

import signal
from threading import current_thread, main_thread


def keep_signals() -> None:
    """SIGTERM goes on meaning what it did: a library that joins a cluster takes it for a crash, and aborts.

    Only the main thread may, and has to.
    """
    if current_thread() is main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        signal.siginterrupt(signal.SIGTERM, False)
