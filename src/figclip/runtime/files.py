"""Files that are whole or absent, whatever kills the process, and whether they can be written."""

import os
from pathlib import Path

from figclip.errors import ConfigError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all: aside, fsync, rename."""
    aside = path.with_name(f".{path.name}.writing")
    aside.write_bytes(content.encode() if isinstance(content, str) else content)
    fsync(aside)
    aside.replace(path)
    fsync(path.parent)


def nearest_folder(path: Path) -> Path:
    """The folder above a path that exists."""
    return next(one for one in path.absolute().parents if one.exists())


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made or written into, by a `ConfigError`; makes nothing."""
    existing = folder if folder.exists() else nearest_folder(folder)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError("cannot be written into", where=f"--out {folder}", fix="Choose another")


def fsync(path: Path) -> None:
    """Force a file, or a folder's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
