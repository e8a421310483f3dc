"""Settings of the process that work on the CPU is faster with than with the defaults."""

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST_BLOCK_BYTES = 2**30
_KEPT_BYTES = 2**31 - 1
# Some microseconds: as fast on idle cores as the default, some milliseconds (LOG.md, 2026-11-28).
_TURNS = "5000"


def tune_for_cpu() -> None:
    """Make embedding and training on the CPU faster. To be called before torch is imported.

    Memory of big tensors is kept for the next ones. glibc gives big blocks back to the system as
    soon as they are freed, and the next tensor of that size faults all its pages in again, which
    can take longer than the operation on it. What memory is reached once is kept to the end.

    Threads that wait for each other, at the end of every operation, soon let go of the core. GNU's
    OpenMP, which torch has on Linux, lets them turn for long, and where other processes need the
    cores too, that costs up to ten times what the operations take. Its own variables come first.

    Each does nothing where the library is another one, the second also when torch is imported.
    """
    _keep_freed_memory()
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = _TURNS


def _keep_freed_memory() -> None:
    """Raises the sizes above which glibc's malloc gives memory back."""
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return  # musl and others
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
