"""How the C library treats memory that tensors give back."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST_BLOCK_BYTES = 2**30
_KEPT_BYTES = 2**31 - 1


def keep_freed_memory() -> None:
    """Let the process keep the memory of big tensors for the next ones; for programs on the CPU.

    glibc gives big blocks back to the system as soon as they are freed, and the next tensor of that
    size faults all its pages in again, which can take longer than the operation on it. What memory
    is reached once is kept to the end. Does nothing where the C library is another one.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return  # musl and others
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
