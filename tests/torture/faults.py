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
    """What happens at a change.

    Attributes:
        how: Its number in faults.c.
        error: What the system says.
        kinds: The changes that it can strike, see `changes`.
    """

    FAILS_ONCE = (1, errno.EIO, "ktw")
    FULL_DISK = (2, errno.ENOSPC, "tw")
    KILLED = (3, 0, "ktwr")
    KILLED_HALF_WAY = (4, 0, "w")

    def __init__(self, how: int, error: int, kinds: str) -> None:
        self.how, self.error, self.kinds = how, error, kinds


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
    how, error = (fault.how, fault.error) if fault else (0, 0)
    library.faults_arm(os.fsencode(folder), ctypes.c_long(at), how, error)
    try:
        yield
    finally:
        library.faults_disarm()


def changes() -> str:
    """The changes since the library was last armed, a letter each.

    `w` for a write, `t` for what else takes room, `r` for what removes, `k` for all others.
    """
    return _text("faults_changes")


def struck_call() -> str:
    """The call that had the fault, and its path below the folder."""
    return _text("faults_struck")


def _text(name: str) -> str:
    """What a function of the library tells."""
    function = getattr(ctypes.CDLL(None), name)
    function.restype = ctypes.c_char_p
    return os.fsdecode(function())
