"""Reads lists of Kinetics videos: the official CSV, or lines of a path and a class number."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from figclip.data.benchmarks.class_names import ClassList
from figclip.data.benchmarks.fields import (
    Fields,
    UniqueIds,
    check_name,
    check_path,
    ignored_columns,
)
from figclip.data.benchmarks.files import find_matching, read_lines, read_table
from figclip.data.benchmarks.records import ActionSet, LabelledMedium, Medium
from figclip.data.reading import Place, raise_problems, shown
from figclip.errors import DataError

CSV_COLUMNS = ("label", "youtube_id", "time_start", "time_end")

_CLASS_FILE = re.compile(r"label_map_.*\.txt|.*_labels\.csv|classes\.txt")
_SECOND = re.compile(r"[0-9]{1,6}")
_CLIP = re.compile(r"(?P<youtube_id>.+)_[0-9]{6}_[0-9]{6}")


def read_kinetics(path: Path, split: str) -> ActionSet:
    """Kinetics: videos of one list, all classes of the class list.

    Nobody has all videos of a list any more; what is scored is what is found.

    Args:
        path: A folder with a class list (`label_map_<any>.txt` or `classes.txt`, one name a line;
            or `<any>_labels.csv`, columns `id,name`) and lists of videos: `<split>.csv` in the
            official format (a video is named `<YouTube id>_<start>_<end>`, six digits each), or
            `<split>.txt` with lines `path number`, classes counted from 0, as ViFi-CLIP has them.
            Names ending in `_<split>` or `-<split>` are good, too.
        split: `val`, `test`, or what else the name of a list ends in.

    Raises:
        DataError: A file is missing, or several could be meant; the message says which.
        AnnotationError: All that is wrong with them.
    """
    root = Place(str(path))
    classes = ClassList(_read_classes(path, root=root))
    class_names = classes.in_words(root)
    file = _find_list(path, split=split, root=root)
    ids = UniqueIds()
    items: list[LabelledMedium] = []
    notices: tuple[str, ...] = ()
    if file.where.endswith(".csv"):
        table = read_table(file, required=CSV_COLUMNS, optional=("split", "is_cc"))
        for place, row in table.rows:
            items.append(_csv_item(Fields(row, place), classes=classes))
            ids.check(items[-1].id, place=place)
        notices = ignored_columns(table.ignored)
    else:
        for place, line in read_lines(file):
            items.append(_line_item(line, classes=classes, place=place))
            ids.check(items[-1].id, place=place)
    if not items and not root.problems:
        file.add("", what="holds no videos", fix="Check that it is whole")
    raise_problems(root.problems)
    return ActionSet(
        split=split,
        classes=tuple(classes.names),
        class_names=class_names,
        items=tuple(items),
        notices=notices,
    )


def _read_classes(path: Path, *, root: Place) -> list[str]:
    """The classes of the class list; if there are several lists they must be equal."""
    wanted = "a class list: label_map_<any>.txt, <any>_labels.csv or classes.txt"
    files = [file for file, _ in find_matching(path, _CLASS_FILE, wanted=wanted)]
    lists = [_read_class_list(root.at(str(file))) for file in files]
    if any(one != lists[0] for one in lists):
        raise_problems(root.problems)
        names = ", ".join(file.name for file in files)
        raise DataError(
            f"the class lists {names} differ", where=root.where, fix="Leave one of them there"
        )
    return lists[0]


def _read_class_list(file: Place) -> list[str]:
    """Class names in the order of their numbers."""
    classes: list[str] = []
    if file.where.endswith(".txt"):
        classes = [check_name(line, "", place=place) for place, line in read_lines(file)]
    else:
        for place, row in read_table(file, required=("id", "name")).rows:
            if row["id"].strip() != str(len(classes)):
                what = f"is {shown(row['id'])}, not {len(classes)}"
                place.add("id", what=what, fix="Classes are in order and counted from 0")
            classes.append(Fields(row, place).name("name"))
    for index, name in enumerate(classes):
        if name and name in classes[:index]:
            file.add("", what=f"{shown(name)} is there twice", fix="Remove one")
    if not classes:
        file.add("", what="holds no classes", fix="Write one name a line")
    return classes


def _find_list(path: Path, *, split: str, root: Place) -> Place:
    """The list of a split."""
    pattern = re.compile(rf"(?:.*[_-])?{re.escape(split)}\.(?:csv|txt)")
    found = find_matching(path, pattern, wanted=f"{split}.csv, {split}.txt or a name ending so")
    files = [file for file, match in found if not _CLASS_FILE.fullmatch(match[0])]
    if len(files) != 1:
        names = ", ".join(file.name for file in files)
        raise DataError(
            f"there are {len(files)} lists of split {split!r}: {names}",
            where=root.where,
            fix="Leave one of them there, or give a longer end of its name as split=",
        )
    return root.at(str(files[0]))


def _csv_item(fields: Fields, *, classes: ClassList) -> LabelledMedium:
    """A row of the official CSV."""
    seconds: list[int] = []
    for name in ("time_start", "time_end"):
        cell = fields.name(name)
        if cell and not _SECOND.fullmatch(cell):
            what = f"must be whole seconds, got {shown(cell)}"
            fields.place.add(name, what=what, fix="Write digits only")
        seconds.append(int(cell) if _SECOND.fullmatch(cell) else 0)
    youtube_id = fields.path("youtube_id")
    return _labelled(
        f"{youtube_id}_{seconds[0]:06d}_{seconds[1]:06d}",
        class_idx=classes.find(fields.name("label"), "label", place=fields.place),
        group=youtube_id,
    )


def _line_item(line: str, *, classes: ClassList, place: Place) -> LabelledMedium:
    """A line `path number`."""
    name, _, number = line.rpartition(" ")
    name = check_path(name.strip(), "", place=place)
    is_number = number.isascii() and number.isdigit() and len(number) < 6
    class_idx = int(number) if is_number else len(classes.names)
    if class_idx >= len(classes.names):
        what = f"{shown(line)} does not end in a class number below {len(classes.names)}"
        place.add("", what=what, fix="A line is `path number`, classes counted from 0")
    match = _CLIP.fullmatch(PurePosixPath(name).stem)
    return _labelled(name, class_idx=class_idx, group=match["youtube_id"] if match else name)


def _labelled(name: str, *, class_idx: int, group: str) -> LabelledMedium:
    """A video with its class."""
    medium = Medium(kind="video", name=name)
    return LabelledMedium(id=name, medium=medium, class_idx=class_idx, split="", group=group)
