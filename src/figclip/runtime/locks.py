"""One process at a time writes an output; the next one is refused, by the name of the first.

The lock is the system's (flock) on a small file that says who holds it: it ends with the process,
however that ends. Network file systems pass it on to other machines (NFS, Lustre with `-o flock`);
where one has no locks, the file itself counts, and is taken over when its process is gone.
"""

import errno
import fcntl
import inspect
import json
import os
import shlex
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from figclip.errors import OutputError
from figclip.runtime.files import check_writable, make_folder, named_failures
from figclip.runtime.launcher import is_main_process

FOLDER_LOCK = ".lock"
"""Name of the file in an output folder, which is there while somebody writes into the folder."""
_HELD = {errno.EAGAIN, errno.EACCES}
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}

Taken = ParamSpec("Taken")
Result = TypeVar("Result")


def one_writer(work: Callable[Taken, Result]) -> Callable[Taken, Result]:
    """Let one process at a time do work that writes into the folder of its argument `out`.

    The errors of `lock_folder` are added to its own. Of several ranks the main one holds the lock.
    """
    signature = inspect.signature(work)

    @wraps(work)
    def alone(*args: Taken.args, **options: Taken.kwargs) -> Result:
        if not is_main_process():
            return work(*args, **options)
        with lock_folder(Path(signature.bind(*args, **options).arguments["out"])):
            return work(*args, **options)

    return alone


@contextmanager
def lock_folder(folder: Path) -> Generator[None]:
    """Keep other processes out of an output folder, which is made; if it stays empty, it goes.

    Raises:
        ConfigError: it cannot be made or written into.
        OutputError: another process writes into it, or there is no room even for the lock.
    """
    check_writable(folder)
    with _locked(folder / FOLDER_LOCK, output=folder):
        yield


@contextmanager
def lock_file(file: Path) -> Generator[None]:
    """Keep other processes from writing a file, by a lock beside it; errors are `OutputError`."""
    with _locked(file.with_name(f".{file.name}.lock"), output=file):
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owner:
    """The process that holds a lock, as its file says."""

    process: int
    host: str
    since: str
    command: str

    @property
    def is_gone(self) -> bool:
        """Whether it has ended, as far as this machine can tell."""
        if self.host != socket.gethostname():
            return False
        if self.process == os.getpid():
            return True  # of a container that has been restarted, where numbers begin anew
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # somebody else's
            return False
        return False


@contextmanager
def _locked(lock: Path, *, output: Path) -> Generator[None]:
    """Hold a lock; its file goes with it."""
    with _made(lock.parent):
        descriptor = _acquire(lock, output=output)
        try:
            with named_failures(output):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(asdict(_ourselves())).encode(), 0)
            yield
        finally:
            # Deleted first: whoever has opened it sees that it is gone, and makes a new one.
            lock.unlink(missing_ok=True)
            os.close(descriptor)


@contextmanager
def _made(folder: Path) -> Generator[None]:
    """Make a folder and those above it; those that stay empty go again."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        make_folder(folder)
        yield
    finally:
        for one in missing:
            with suppress(OSError):  # it holds something, or could not be made
                one.rmdir()


def _acquire(lock: Path, *, output: Path) -> int:
    """Descriptor of a lock file that this process holds; an `OutputError` if another one does."""
    while True:
        with named_failures(output):
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
            is_ours = _take(descriptor)
        if not is_ours:
            owner = _read_owner(descriptor)
            os.close(descriptor)
            raise _refusal(output, lock, owner)
        if lock.exists() and os.path.samestat(os.fstat(descriptor), lock.stat()):
            return descriptor
        os.close(descriptor)  # the one before us has deleted it meanwhile


def _take(descriptor: int) -> bool:
    """Take a lock; False where another process holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            owner = _read_owner(descriptor)
            return owner is None or owner.is_gone
        if error.errno not in _HELD:
            raise
        return False
    return True


def _read_owner(descriptor: int) -> _Owner | None:
    """Who holds a lock; None where its file does not say so, or not yet."""
    try:
        return _Owner(**json.loads(os.pread(descriptor, 2**16, 0)))
    except (TypeError, ValueError):
        return None


def _ourselves() -> _Owner:
    """This process."""
    return _Owner(
        process=os.getpid(),
        host=socket.gethostname(),
        since=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    )


def _refusal(output: Path, lock: Path, owner: _Owner | None) -> OutputError:
    """The error for an output that another process writes."""
    who, fix = "another process", "Wait until it has ended, or choose another --out."
    if owner is not None:
        who = f"process {owner.process} on {owner.host} since {owner.since} ({owner.command})"
        if owner.host != socket.gethostname():
            fix += f" If that machine no longer runs it, delete {lock}."
    return OutputError(f"is being written by {who}", where=str(output), fix=fix)
