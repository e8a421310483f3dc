"""Reads the official test lists of HMDB51 and UCF101."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from figclip.data.benchmarks.class_names import ClassList
from figclip.data.benchmarks.fields import UniqueIds, check_name, check_path
from figclip.data.benchmarks.files import find_in_folder, find_matching, read_lines
from figclip.data.benchmarks.records import ActionSet, LabelledMedium, Medium
from figclip.data.reading import Place, raise_problems, shown
from figclip.errors import DataError

SPLITS = ("1+2+3", "1", "2", "3")
HMDB51_FOLDERS = ("", "splits", "testTrainMulti_7030_splits")
HMDB51_NUM_CLASSES = 51
UCF101_FOLDERS = ("", "splits", "ucfTrainTestlist")

_HMDB51_FILE = re.compile(r"(?P<class_name>[A-Za-z0-9_]+)_test_split(?P<split>[123])\.txt")
_HMDB51_IDS = ("0", "1", "2")
_HMDB51_TEST_ID = "2"
_UCF101_CLASS = re.compile(r"(?P<number>[0-9]{1,4})\s+(?P<name>\S+)")
_UCF101_GROUP = re.compile(r".*_(?P<group>g[0-9]+)_c[0-9]+")


def read_hmdb51(path: Path, split: str) -> ActionSet:
    """HMDB51: the test videos (id 2) of its three splits, 1,530 of 51 classes each.

    Classes are in alphabetical order. A clip's group is the film it was cut from: what its name
    says before the class. Videos are named as in the lists, without a folder.

    Args:
        path: The folder of `<class>_test_split<1..3>.txt`.
        split: `1`, `2` or `3`, or several as `1+2+3`.

    Raises:
        DataError: No lists, or none of a split.
        AnnotationError: All that is wrong with them.
    """
    wanted = "<class>_test_split<1..3>.txt"
    found = find_matching(path, _HMDB51_FILE, wanted=wanted, subfolders=HMDB51_FOLDERS)
    lists: defaultdict[str, dict[str, Path]] = defaultdict(dict)
    for file, match in found:
        lists[match["split"]][match["class_name"]] = file
    classes = ClassList(sorted({name for files in lists.values() for name in files}))
    root = Place(str(path))
    items: list[LabelledMedium] = []
    for number in _numbers(split, there=lists, where=root.where):
        ids = UniqueIds()
        for class_idx, class_name in enumerate(classes.names):
            if class_name not in lists[number]:
                what = f"has no test list of split {number} for class {class_name}"
                root.add("", what=what, fix="Put all official lists there")
                continue
            file = root.at(str(lists[number][class_name]))
            for place, name in _read_hmdb51_list(file):
                ids.check(name, place=place)
                group = name.rpartition(f"_{class_name}_")[0] or PurePosixPath(name).stem
                items.append(_labelled(name, class_idx=class_idx, split=number, group=group))
    few = len(classes.names) < HMDB51_NUM_CLASSES
    notice = f"only {len(classes.names)} of the {HMDB51_NUM_CLASSES} classes have lists"
    return _checked(
        root, split=split, classes=classes, items=items, notices=(notice,) if few else ()
    )


def read_ucf101(path: Path, split: str) -> ActionSet:
    """UCF101: the test videos of its three splits, 3,783, 3,734 and 3,696 of 101 classes.

    The class of a video is the folder it is listed in: file names spell `HandstandPushups`
    differently. Clips of one class and group number (`g01`) are cut from one video.

    Args:
        path: The folder of `classInd.txt` and `testlist0<1..3>.txt`.
        split: `1`, `2` or `3`, or several as `1+2+3`.

    Raises:
        DataError: A file is missing; the message names it.
        AnnotationError: All that is wrong with them.
    """
    root = Place(str(path))
    class_file = find_in_folder(path, "classInd.txt", subfolders=UCF101_FOLDERS)
    classes = ClassList(_read_ucf101_classes(root.at(str(class_file))))
    items: list[LabelledMedium] = []
    for number in split.split("+"):
        list_file = find_in_folder(path, f"testlist0{number}.txt", subfolders=UCF101_FOLDERS)
        ids = UniqueIds()
        for place, line in read_lines(root.at(str(list_file))):
            name = check_path(line, "", place=place)
            if len(line.split()) > 1:
                place.add("", what=f"{shown(line)} is more than a path", fix="Give the test list")
            ids.check(name, place=place)
            class_name = PurePosixPath(name).parent.name
            class_idx = classes.find(class_name, "", place=place)
            match = _UCF101_GROUP.fullmatch(PurePosixPath(name).stem)
            group = f"{class_name} {match['group']}" if match else name
            items.append(_labelled(name, class_idx=class_idx, split=number, group=group))
    return _checked(root, split=split, classes=classes, items=items)


def _numbers(split: str, *, there: Iterable[str], where: str) -> list[str]:
    """The numbers of a split such as `1+2+3`, each of which must be there."""
    numbers = split.split("+")
    missing = [number for number in numbers if number not in there]
    if missing:
        raise DataError(
            f"there are no lists of split {', '.join(missing)}",
            where=where,
            fix=f"Splits that are there are {', '.join(sorted(there))}: add split=",
        )
    return numbers


def _read_hmdb51_list(file: Place) -> list[tuple[Place, str]]:
    """File names of the test videos on a list."""
    names: list[tuple[Place, str]] = []
    for place, line in read_lines(file):
        name, _, number = line.rpartition(" ")
        if number not in _HMDB51_IDS:
            what = f"{shown(line)} does not end in a space and 0, 1 or 2"
            place.add("", what=what, fix="A line is `video.avi 2`")
        name = check_path(name.strip(), "", place=place)
        if number == _HMDB51_TEST_ID:
            names.append((place, name))
    return names


def _read_ucf101_classes(file: Place) -> list[str]:
    """Class names in the order of their numbers, which count from 1."""
    classes: list[str] = []
    for place, line in read_lines(file):
        match = _UCF101_CLASS.fullmatch(line)
        if not match or int(match["number"]) != len(classes) + 1:
            what = f"{shown(line)} is not class {len(classes) + 1}"
            place.add("", what=what, fix="A line is `1 ApplyEyeMakeup`, numbers count from 1")
            continue
        name = check_name(match["name"], "", place=place)
        if name in classes:
            place.add("", what=f"{shown(name)} is there twice", fix="Remove one")
        classes.append(name)
    if not classes:
        file.add("", what="holds no classes", fix="Check that it is the official file, whole")
    return classes


def _labelled(name: str, *, class_idx: int, split: str, group: str) -> LabelledMedium:
    """A video with its class."""
    return LabelledMedium(
        id=name,
        medium=Medium(kind="video", name=name),
        class_idx=class_idx,
        split=split,
        group=group,
    )


def _checked(
    root: Place,
    *,
    split: str,
    classes: ClassList,
    items: list[LabelledMedium],
    notices: tuple[str, ...] = (),
) -> ActionSet:
    """The set, when nothing was wrong."""
    class_names = classes.in_words(root)
    if not items and not root.problems:
        root.add("", what="holds no test videos", fix="Check that the lists are whole")
    raise_problems(root.problems)
    return ActionSet(
        split=split,
        classes=tuple(classes.names),
        class_names=class_names,
        items=tuple(items),
        notices=notices,
    )
