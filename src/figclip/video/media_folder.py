"""Finds image and video files by the names that annotations and benchmarks give them."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path, PurePath, PurePosixPath

from figclip.datasets.records import Medium
from figclip.errors import DataError

IMAGE_SUFFIXES = frozenset(".bmp .gif .jpeg .jpg .png .ppm .tif .tiff .webp".split())
VIDEO_SUFFIXES = frozenset(
    ".3gp .avi .flv .gif .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv".split()
)


class MediaFolder:
    """The files of some kind in a folder and below it; linked folders are not searched.

    Raises:
        DataError: no such folder.
    """

    def __init__(self, root: Path, *, suffixes: frozenset[str]) -> None:
        if not root.is_dir():
            raise DataError(
                "is not a folder", where=str(root), fix="Give the folder that holds the files."
            )
        self.root = root
        self._suffixes = suffixes
        # Strings: paths of a hundred thousand files take seconds to build, and few are asked for.
        self._by_stem: defaultdict[str, list[str]] = defaultdict(list)
        for path in walk_media(root, suffixes=suffixes):
            stem, _ = os.path.splitext(os.path.basename(path))
            self._by_stem[stem].append(path)

    def find(self, name: str) -> list[Path]:
        """What lies at a path below the folder, or for a bare name all files of that stem.

        Where nothing does, files whose path ends with the name: the folder given is too far up.
        More than one is the user's choice. A folder is a match only where no file is: the frames of
        `v_x_seg_0_10` often lie in a folder of that name beside the video.
        """
        found = self._at(name, else_files=sorted(self._files(name)))
        below = (p for p in self._files(PurePath(name).stem) if str(p).endswith(f"{os.sep}{name}"))
        return found or sorted(below)

    def find_medium(self, medium: Medium) -> list[Path]:
        """As `find_anywhere`, by the first name of a medium that matches; videos by any suffix."""
        for name in (medium.name, *medium.also):
            if matches := self.find_anywhere(name, any_suffix=medium.kind == "video"):
                return matches
        return []

    def find_anywhere(self, name: str, *, any_suffix: bool) -> list[Path]:
        """What lies at a path below the folder, or else the files of that name anywhere below it.

        Benchmarks are passed on in many layouts: flat, in folders by class, in one folder more.
        With `any_suffix` the name may lack its suffix, and files that differ in it only (re-encoded
        videos) also match, but count less than those of the very name.

        Returns:
            The best matches: those that share most of their parent folders with the name. More
            than one are equally good; sorted.
        """
        if self._is_within(name) and os.path.isfile(path := os.path.join(self.root, name)):
            return [Path(path)]  # the usual case, without the candidates' paths
        wanted = PurePosixPath(name)
        has_suffix = wanted.suffix.lower() in self._suffixes
        candidates = self._files(wanted.stem if has_suffix else wanted.name)
        if not any_suffix:
            candidates = [path for path in candidates if path.name == wanted.name]
        closeness = {
            path: (path.name == wanted.name, _num_shared(path.parent, wanted.parent))
            for path in candidates
        }
        closest = max(closeness.values(), default=None)
        best = sorted(path for path, value in closeness.items() if value == closest)
        return self._at(name, else_files=best)

    def _files(self, stem: str) -> list[Path]:
        """All files of a stem."""
        return [Path(file) for file in self._by_stem.get(stem, ())]

    def _is_within(self, name: str) -> bool:
        """Whether a name is a path below the folder."""
        return not os.path.isabs(name) and ".." not in name.split(os.sep)

    def _at(self, name: str, *, else_files: list[Path]) -> list[Path]:
        """What lies at a path; a folder, pipe or device only where there is no file of the name."""
        if not self._is_within(name):
            return []
        path = self.root / name
        # os.path.exists, unlike Path.exists, is False for names that no file can have.
        if os.path.exists(path) and (not else_files or os.path.isfile(path)):
            return [path]
        return else_files


def walk_media(
    root: Path, *, suffixes: frozenset[str], on_error: Callable[[OSError], None] | None = None
) -> Iterator[str]:
    """Paths of the files of some kind in a folder and below it; linked folders are not searched.

    `on_error` is told of folders that cannot be looked into.
    """
    for folder, _, names in os.walk(root, onerror=on_error):
        for name in names:
            if os.path.splitext(name)[1].lower() in suffixes:
                yield os.path.join(folder, name)


def _num_shared(one: PurePath, other: PurePath) -> int:
    """Folders that two paths have in common, counted from the end."""
    pairs = zip(reversed(one.parts), reversed(other.parts), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
