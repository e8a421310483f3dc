"""Finds the video files that are to be indexed."""

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from figclip.errors import DataError
from figclip.search.addresses import address_of, find_addressed, is_address_gone
from figclip.search.index_file import IndexedFile
from figclip.video.media_folder import VIDEO_SUFFIXES, walk_media

_GIVE = "Give video files, folders or patterns such as 'clips/**/*.mp4'"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFiles:
    """Video files by path, each once, and folders that cannot be looked into.

    A file that cannot even be asked for its size is one of 0 bytes: whoever reads it says why.
    """

    files: tuple[IndexedFile, ...]
    closed_folders: tuple[Path, ...]


def find_video_files(videos: Sequence[str | Path], *, addresses: bool = False) -> FoundFiles:
    """Files as they are given, those below folders by their suffix, and what patterns match.

    Raises:
        DataError: something is not there, a folder holds no video, or nothing is given; or an
            address where there must be none.
    """
    closed: list[Path] = []
    paths: set[str] = set()
    elsewhere: dict[Path, IndexedFile] = {}
    for given in (os.fspath(one).removeprefix("file://") for one in videos):
        if not os.path.lexists(given) and (address := address_of(given)):
            if not addresses:
                fix = "Add --ray local, which copies each file here for as long as it is read"
                raise DataError("is an address", where=given, fix=fix)
            elsewhere |= {file.path: file for file in find_addressed(address)}
            continue
        found = [file for path in _matches(given) for file in _files_at(path, closed)]
        if not found:
            suffixes = ", ".join(sorted(VIDEO_SUFFIXES))
            fix = f"In folders, videos are found by their suffix: {suffixes}"
            raise DataError("holds no video", where=given, fix=fix)
        paths.update(found)
    if not paths and not elsewhere:
        raise DataError("no video is given", where="VIDEOS", fix=_GIVE)
    # abspath, not resolve: a link is a file of its own, which may move or go for itself.
    absolute = sorted({os.path.abspath(path) for path in paths}, key=os.fsencode)
    files = (*map(_look_at, absolute), *(elsewhere[path] for path in sorted(elsewhere)))
    return FoundFiles(files=files, closed_folders=tuple(closed))


def is_gone(path: Path) -> bool:
    """Whether nothing is at a path any more; what cannot be asked for is not gone."""
    if address := address_of(path):
        return is_address_gone(address)
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _matches(given: str) -> list[str]:
    """The path itself or, where nothing is there, what it matches as a pattern."""
    if os.path.lexists(given):
        return [given]
    found = glob.glob(given, recursive=True)
    if not found:
        is_pattern = glob.has_magic(given)
        raise DataError(
            "matches nothing" if is_pattern else "is not there",
            where=given,
            fix=_GIVE,
        )
    return found


def _files_at(path: str, closed: list[Path]) -> list[str]:
    """The file itself, or the videos in a folder and below it."""
    if not os.path.isdir(path):
        return [path]

    def note(error: OSError) -> None:
        closed.append(Path(os.fsdecode(error.filename)))

    return list(walk_media(Path(path), suffixes=VIDEO_SUFFIXES, on_error=note))


def _look_at(path: str) -> IndexedFile:
    """A file as it is now."""
    try:
        status = os.stat(path)
    except OSError:
        return IndexedFile(path=Path(path), num_bytes=0, mtime_ns=0)
    return IndexedFile(path=Path(path), num_bytes=status.st_size, mtime_ns=status.st_mtime_ns)
