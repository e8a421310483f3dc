"""Hashes of the files of a model folder, in its `figclip.json`, compared before they are used."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from figclip.errors import ModelError
from figclip.runtime.checked_json import read_checked

INFO_FILE = "figclip.json"
CARD_FILE = "README.md"
"""The model card, which whoever publishes the model edits: its hash is not kept."""


def hash_files(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a folder and below it, by its path there.

    `figclip.json`, which holds the hashes, and the card have none.
    """
    unhashed = (INFO_FILE, CARD_FILE)
    files = sorted(one for one in folder.rglob("*") if one.is_file() and one.name not in unhashed)
    return {one.relative_to(folder).as_posix(): _hash_once(one, _identity(one)) for one in files}


def read_info_file(folder: Path) -> dict[str, Any] | None:
    """What `figclip.json` says; None without the file.

    Raises:
        ModelError: it cannot be read, or is damaged.
    """
    file = folder / INFO_FILE
    if not file.exists():
        return None
    try:
        content = read_checked(file)
        if not isinstance(content, dict) or not isinstance(content.get("files", {}), dict):
            raise TypeError("it is no object, or its files are none")
        return content
    except (OSError, TypeError, ValueError) as error:
        raise unreadable(file, error) from error


def unreadable(file: Path, error: Exception) -> ModelError:
    """The error for a `figclip.json` that is damaged."""
    return ModelError(
        f"cannot be read ({type(error).__name__}: {error})",
        where=str(file),
        fix="Get the folder again, or delete the file to use it as a plain CLIP.",
    )


def check_files(folder: Path) -> None:
    """Compare the files with their hashes: each once a process, as long as it stays as it is.

    There is nothing to compare in a plain CLIP, a folder that an earlier version wrote, and a
    source that is no folder. Whoever needs a file that is gone says so.

    Raises:
        ModelError: a file is not as it was written, or `figclip.json` is damaged.
    """
    hashes: Mapping[str, str] = (read_info_file(folder) or {}).get("files", {})
    for name, expected in hashes.items():
        file = folder / name
        if file.is_file() and _hash_once(file, _identity(file)) != expected:
            raise ModelError(
                "is not as it was written: its hash is another one than in figclip.json",
                where=str(file),
                fix="Get the model folder again. If you changed it on purpose, delete "
                '"files" and "check" from figclip.json.',
            )


def _identity(file: Path) -> tuple[int, ...]:
    """What changes when a file does."""
    stat = file.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


@cache
def _hash_once(file: Path, identity: tuple[int, ...]) -> str:
    """SHA-256 of a file, read again only where its `identity` changes."""
    # 0.5 s of CPU time for the 605 MB of ViT-B/32, BLAKE2b 0.9 s (Xeon with SHA-NI, 2026-11-29).
    del identity
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
