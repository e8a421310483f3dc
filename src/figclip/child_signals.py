"""Signals of a whole process group, such as a terminal's Ctrl-C, and its child processes."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def withheld_from_children(*signals: signal.Signals) -> Generator[None]:
    """Processes started meanwhile have these signals blocked for life, also while they import.

    Only the process that starts them decides what a signal means. Its own are held back meanwhile.
    """
    # multiprocessing's resource tracker unblocks both when it starts: it must run before.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
