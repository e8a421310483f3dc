"""Python's side of faults.c, which fails or kills at the n-th change of a file below a folder."""

from __future__ import annotations

import ctypes
import enum
import errno
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).with_name("faults.c")
COMPILER = shutil.which("cc")


class Fault(enum.Enum):
    """What happens at a change: the number is that of faults.c, and what the system says."""

    FAILS_ONCE = (1, errno.EIO)
    FULL_DISK = (2, errno.ENOSPC)
    KILLED = (3, 0)
    KILLED_HALF_WAY = (4, 0)


def build(folder: Path) -> Path:
    """Compile the library to be loaded by LD_PRELOAD."""
    library = folder / "faults.so"
    assert COMPILER, "a C compiler is needed"
    options = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library]
    subprocess.run([COMPILER, *options, SOURCE, "-ldl"], check=True)
    return library


@contextmanager
def armed(folder: Path, *, at: int = 0, fault: Fault | None = None) -> Generator[None]:
    """Count the changes below a folder, by forks of this process, and let the `at`-th have a fault.

    This process was started with the library.
    """
    library = ctypes.CDLL(None)
    how, number = fault.value if fault else (0, 0)
    library.faults_arm(os.fsencode(folder), ctypes.c_long(at), how, number)
    try:
        yield
    finally:
        library.faults_disarm()


def num_changes() -> int:
    """How many changes there were since the library was last armed."""
    count = ctypes.CDLL(None).faults_changes
    count.restype = ctypes.c_long
    return count()


def struck_call() -> str:
    """The call that had the fault, and its path below the folder."""
    call = ctypes.CDLL(None).faults_struck
    call.restype = ctypes.c_char_p
    return os.fsdecode(call())
