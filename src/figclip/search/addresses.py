"""Files that are not on this machine, by an address such as `s3://bucket/clip.mp4`.

Local paths are absolute. In an index, a path that is not is an address, of which `Path` keeps one
of the two slashes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from figclip.errors import ConfigError, DataError, VideoError
from figclip.search.index_file import IndexedFile
from figclip.video.media_folder import VIDEO_SUFFIXES

_ADDRESS = re.compile(r"(?!file:)([a-z][a-z0-9+.-]*):/{1,2}(.+)", re.DOTALL)


def address_of(path: str | Path) -> str | None:
    """The address that a path stands for; None for a local one."""
    match = _ADDRESS.fullmatch(str(path))
    return f"{match[1]}://{match[2]}" if match else None


def place_of(path: Path) -> str:
    """How a path of an index is told: its address, if it stands for one."""
    return address_of(path) or str(path)


def find_addressed(address: str) -> list[IndexedFile]:
    """The file at an address, the videos below it, or what matches it as a pattern.

    Raises:
        ConfigError: fsspec, or what it needs for such addresses, is not installed.
        DataError: nothing is there, or it cannot be looked at.
    """
    system, place = _file_system(address)
    try:
        if "*" in place or "?" in place:
            found = system.glob(place)
        elif system.isdir(place):
            found = [
                one for one in system.find(place) if Path(one).suffix.lower() in VIDEO_SUFFIXES
            ]
        else:
            found = [place]
        files = [_look_at(system, one) for one in sorted(found)]
    except OSError as error:
        fix = "Check the address, and the rights to read it"
        raise DataError(f"cannot be looked at ({error})", where=address, fix=fix) from error
    if not files:
        suffixes = ", ".join(sorted(VIDEO_SUFFIXES))
        fix = f"Below an address, videos are found by their suffix: {suffixes}"
        raise DataError("holds no video", where=address, fix=fix)
    return files


def is_address_gone(address: str) -> bool:
    """Whether nothing is at an address any more; what cannot be asked for is not gone."""
    system, place = _file_system(address)
    try:
        return not system.exists(place)
    except OSError:
        return False


@contextmanager
def local_copy(file: IndexedFile) -> Generator[IndexedFile]:
    """A file on this machine: itself, or a copy that goes afterwards.

    Raises:
        VideoError: `unreadable`: it cannot be copied.
    """
    address = address_of(file.path)
    if address is None:
        yield file
        return
    with TemporaryDirectory(prefix="figclip-") as folder:
        copy = Path(folder, Path(address).name)
        try:
            system, place = _file_system(address)
            system.get_file(place, str(copy))
        except (ConfigError, OSError) as error:
            raise VideoError(f"unreadable: it cannot be copied ({error})", where=address) from error
        status = copy.stat()
        yield replace(file, path=copy, num_bytes=status.st_size, mtime_ns=status.st_mtime_ns)


def _file_system(address: str) -> tuple[Any, str]:
    """Where an address leads, and the place there."""
    try:
        import fsspec.core  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        fix = 'Install it: pip install "figclip[ray]"'
        raise ConfigError("needs fsspec", where=address, fix=fix) from error
    try:
        system, place = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:  # of a kind whose package lacks, or unknown
        raise ConfigError(str(error), where=address, fix="Install what it names") from error
    return system, str(place)


def _look_at(system: Any, place: str) -> IndexedFile:
    """A file as it is now; in place of its time a hash of what the file system knows it by."""
    key = hashlib.blake2b(str(system.ukey(place)).encode(), digest_size=7).digest()
    return IndexedFile(
        path=Path(system.unstrip_protocol(place)),
        num_bytes=int(system.size(place) or 0),
        mtime_ns=int.from_bytes(key, "little"),
    )
