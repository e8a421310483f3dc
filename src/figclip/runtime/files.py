"""Files and folders that are whole or absent, whatever stops the process, and room for them."""

import ctypes
import errno
import os
import re
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from figclip.errors import ConfigError, FigclipError, OutputError
from figclip.runtime.checked_json import dump_checked

_FULL = {errno.ENOSPC, errno.EDQUOT}
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD of fcntl.h, RENAME_EXCHANGE of linux/fs.h
_CANNOT_EXCHANGE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; an `OutputError` if that fails."""
    with staged_file(path) as aside:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def staged_file(path: Path) -> Generator[Path]:
    """Give a path to write to, which then takes its place, whole or not at all: fsync, rename.

    Raises:
        OutputError: it cannot be written; nothing of it is left.
    """
    aside = path.with_name(f".{path.name}.writing")
    with named_failures(path):
        try:
            yield aside
            fsync(aside)
            aside.replace(path)
            fsync(path.parent)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


@contextmanager
def staged_folder(target: Path) -> Generator[Path]:
    """Give a folder to write into, which is then put in place whole, or not at all.

    An existing target stays until the new one takes its place, in one step. File systems that
    cannot swap two folders (NFS) take two; stopped between them, the old one is put back when the
    target is written again.

    Raises:
        OutputError: it cannot be written; nothing of it is left.
    """
    aside, replaced = (target.with_name(f".{target.name}.{how}") for how in ("writing", "replaced"))
    with named_failures(target):
        if replaced.exists() and not target.exists():
            replaced.rename(target)
        for left in (aside, replaced):
            shutil.rmtree(left, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            yield aside
            # safetensors makes files that only their owner can read.
            readable = aside.stat().st_mode & 0o666
            for written in (*aside.rglob("*"), aside):
                if written.is_file():
                    written.chmod(readable)
                fsync(written)
            if not target.exists():
                aside.rename(target)
            elif not _exchange(aside, target):
                target.rename(replaced)
                aside.rename(target)
                shutil.rmtree(replaced)
            fsync(target.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)  # half of it, or what was there before


def _exchange(one: Path, other: Path) -> bool:
    """Swap two paths in one step; False where the system cannot. Python has no name for it."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(other))


@contextmanager
def named_failures(path: Path) -> Generator[None]:
    """Turn what stops a file or folder from being written into an `OutputError`."""
    try:
        yield
    except FigclipError:
        raise
    except Exception as error:
        # safetensors and tokenizers have no class for what the system says, only its number.
        number = _RUST_ERROR.search(str(error))
        if not isinstance(error, OSError) and number is None:
            raise
        code = error.errno if isinstance(error, OSError) else int(number[1]) if number else None
        what = os.strerror(code) if code else str(error)
        fix = "Make room there" if code in _FULL else "Check the disk and the rights of the folder"
        raise OutputError(
            f"cannot be written ({what})",
            where=str(path),
            fix=f"{fix}, then run the same command again.",
        ) from error


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, unless it is there; an `OutputError` if that fails."""
    with named_failures(path):
        path.mkdir(parents=True, exist_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object as indented JSON with its check, whole or not at all."""
    write_atomically(path, dump_checked(content, indent=2) + "\n")


def nearest_folder(path: Path) -> Path:
    """The folder above a path that exists."""
    return next(one for one in path.absolute().parents if one.exists())


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made or written into, by a `ConfigError`; makes nothing."""
    existing = folder if folder.exists() else nearest_folder(folder)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError("cannot be written into", where=f"--out {folder}", fix="Choose another")


def missing_bytes(path: Path, num_bytes: int) -> int:
    """How much more room the disk of a path should have for so many bytes; 0 if it has enough."""
    free = shutil.disk_usage(path if path.is_dir() else nearest_folder(path)).free
    return max(0, num_bytes - free)


def check_room(path: Path, num_bytes: int) -> None:
    """Refuse long work when the disk cannot hold what it surely writes, by an `OutputError`."""
    if missing := missing_bytes(path, num_bytes):
        needed, lacking = show_size(num_bytes), show_size(missing)
        raise OutputError(
            f"takes at least {needed}, {lacking} more than there is room for",
            where=str(path),
            fix="Make room there, or choose another --out.",
        )


def show_size(num_bytes: float) -> str:
    """A size for people: `1.4 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if num_bytes < 1024 or unit == "GiB":
            break
        num_bytes /= 1024
    return f"{num_bytes:.1f} {unit}"


def fsync(path: Path) -> None:
    """Force a file, or a folder's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
