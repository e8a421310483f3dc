"""Finds the official files of VidSitu in a folder and reads those that hold no annotations."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import PurePath

from figclip.data.reading import (
    Place,
    is_list,
    is_object,
    parse_json,
    read_text,
    refuse_constant,
    shown,
)

SUBFOLDERS = ("", "vseg_ann_files", "split_files", "vinfo_files", "vsitu_vocab")

# The YouTube id has 11 characters and may hold `_` and `-`, so splitting at `_` would fail.
_SEGMENT = re.compile(
    r"v_(?P<youtube_id>[A-Za-z0-9_-]{11})_seg_(?P<start>[0-9]{1,6})_(?P<end>[0-9]{1,6})"
)
_ANNOTATION_FILE = re.compile(r"vsann_(?P<split>[A-Za-z0-9]+)(?:_.*)?\.json")
# Not `vseg_testevrel_noann_lb.json`: another list of ids, a subset of the split's.
_SPLIT_FILE = re.compile(r"vseg_split_(?P<split>[A-Za-z0-9]+)(?:_.*)?\.json")
_VINFO_FILE = re.compile(r"(?P<split>)vinfo_.*\.json")
_VOCABULARY_FILE = re.compile(r"(?P<split>)verb_voc\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentId:
    """The parts of a segment id.

    Attributes:
        youtube_id: 11 characters.
        start_s: Start in the YouTube video, in seconds.
        end_s: End, exclusive.
    """

    youtube_id: str
    start_s: int
    end_s: int


def parse_segment_id(text: str) -> SegmentId | None:
    """Parses `v_{youtube id}_seg_{start}_{end}`; None when the text is no such id."""
    match = _SEGMENT.fullmatch(text)
    if match is None:
        return None
    return SegmentId(
        youtube_id=match["youtube_id"], start_s=int(match["start"]), end_s=int(match["end"])
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialFile:
    """One file, on the disk or in the archive that a store keeps.

    Attributes:
        path: What is read.
        place: Takes its problems.
    """

    path: Traversable
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class VidsituFiles:
    """The official files of a folder, by name.

    Attributes:
        annotations: Files of annotations with the split that the file name says.
        splits: Lists of segment ids with the split that the file name says.
        vinfos: Files about the segments, which also name the verbs that annotators chose.
        vocabularies: Files of verb ids, at most one in an official folder.
    """

    annotations: tuple[tuple[str, OfficialFile], ...]
    splits: tuple[tuple[str, OfficialFile], ...]
    vinfos: tuple[OfficialFile, ...]
    vocabularies: tuple[OfficialFile, ...]

    @property
    def all(self) -> tuple[OfficialFile, ...]:
        """Every file, each once."""
        named = (file for _, file in (*self.annotations, *self.splits))
        return (*named, *self.vinfos, *self.vocabularies)


def find_files(folder: Traversable, place: Place) -> VidsituFiles:
    """Looks in the folder and in its official sub-folders, not deeper.

    Args:
        folder: The folder.
        place: Its list takes the problems of the files that are found.
    """
    folders = [folder / subfolder if subfolder else folder for subfolder in SUBFOLDERS]
    paths = sorted(
        (path for one in folders if one.is_dir() for path in one.iterdir() if path.is_file()),
        key=lambda path: PurePath(str(path)).parts,
    )

    def matching(pattern: re.Pattern[str]) -> Iterator[tuple[str, OfficialFile]]:
        for path in paths:
            if match := pattern.fullmatch(path.name):
                yield match["split"], OfficialFile(path=path, place=place.at(str(path)))

    return VidsituFiles(
        annotations=tuple(matching(_ANNOTATION_FILE)),
        splits=tuple(matching(_SPLIT_FILE)),
        vinfos=tuple(file for _, file in matching(_VINFO_FILE)),
        vocabularies=tuple(file for _, file in matching(_VOCABULARY_FILE)),
    )


def read_json(file: OfficialFile, *, constant: Callable[[str], object] = refuse_constant) -> object:
    """The parsed file; None, with the problem noted, when it cannot be parsed."""
    before = len(file.place.problems)
    text = read_text(file.path, file.place)
    if len(file.place.problems) > before:
        return None
    fix = "Take the file from the official archive again"
    try:
        value = parse_json(text, constant=constant)
    except ValueError as error:
        file.place.add("", what=str(error), fix=fix)
        return None
    if value is None:
        file.place.add("", what="holds only null", fix=fix)
    return value


def read_list(
    file: OfficialFile, *, constant: Callable[[str], object] = refuse_constant
) -> list[object]:
    """As `read_json`, for a file that holds a list; empty when there was a problem."""
    value = read_json(file, constant=constant)
    if is_list(value):
        return value
    if value is not None:
        fix = "Take the file from the official archive again"
        file.place.add("", what="must hold a list", fix=fix)
    return []


def read_splits(
    files: tuple[tuple[str, OfficialFile], ...],
) -> tuple[dict[str, str], dict[str, int]]:
    """The split of every listed segment, and the number of segments of every split."""
    split_by_segment: dict[str, str] = {}
    for split, file in files:
        for index, segment in enumerate(read_list(file)):
            name = f"[{index}]"
            if not isinstance(segment, str) or parse_segment_id(segment) is None:
                what = f"is {shown(segment)}, which is no segment id"
                fix = "Write v_{YouTube id}_seg_{start}_{end}"
                file.place.add(name, what=what, fix=fix)
            elif split_by_segment.setdefault(segment, split) != split:
                what = f"puts {segment} into {split}, but it is in {split_by_segment[segment]}"
                file.place.add(name, what=what, fix="Leave it in one split")
    return split_by_segment, dict(Counter(split_by_segment.values()))


def read_verb_ids(files: tuple[OfficialFile, ...]) -> tuple[dict[str, str], int]:
    """The VerbID of every verb that vinfo files pair with exactly one.

    Returns:
        VerbID by verb, and the number of bare NaN values, which official files hold for a missing
        clip name. They are read as missing.
    """
    num_nan = 0

    def as_missing(name: str) -> None:
        nonlocal num_nan
        num_nan += 1

    ids_by_verb: defaultdict[str, set[str]] = defaultdict(set)
    for file in files:
        for index, row in enumerate(read_list(file, constant=as_missing)):
            for verb, verb_id in _verb_pairs(row, file.place.inside(f"[{index}].")):
                ids_by_verb[verb].add(verb_id)
    return {verb: min(ids) for verb, ids in ids_by_verb.items() if len(ids) == 1}, num_nan


def _verb_pairs(row: object, place: Place) -> Iterator[tuple[str, str]]:
    """The verbs that annotators chose for one segment, with their VerbIDs."""
    verbs = row.get("vb_lst") if is_object(row) else None
    ids = row.get("vbid_lst") if is_object(row) else None
    if not is_object(verbs) or not is_object(ids):
        place.add(
            "vb_lst", what="or vbid_lst is missing", fix="Remove the vinfo file to do without"
        )
        return
    for event, chosen in verbs.items():
        chosen_ids = ids.get(event)
        if not is_list(chosen) or not is_list(chosen_ids) or len(chosen) != len(chosen_ids):
            what = f"and vbid_lst.{event} do not pair up"
            place.add(f"vb_lst.{event}", what=what, fix="Remove the vinfo file to do without")
            continue
        for verb, verb_id in zip(chosen, chosen_ids, strict=True):
            if isinstance(verb, str) and isinstance(verb_id, str):
                yield verb, verb_id


def read_vocabulary(files: tuple[OfficialFile, ...]) -> frozenset[str]:
    """The VerbIDs of the vocabulary; empty when there is no such file."""
    verb_ids: set[str] = set()
    for file in files:
        value = read_json(file)
        if is_object(value):
            verb_ids.update(value)
        elif value is not None:
            file.place.add("", what="must hold an object", fix="Its keys are the VerbIDs")
    return frozenset(verb_ids)
