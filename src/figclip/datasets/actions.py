"""Read the test lists of action sets (HMDB51, UCF101, Kinetics, own CSV), and prompts for classes.

Also here: class names in words, as prompts need them. A class has one text a prompt; how their
embeddings are pooled is up to the caller.

Readers raise `DataError` where there is no such file or split, and `AnnotationError` with all that
is wrong with what is there.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from figclip.annotations.reading import Place, check_name, check_path, raise_problems, repetitions
from figclip.datasets.files import (
    Fields,
    UniqueIds,
    find_in_folder,
    find_matching,
    ignored_columns,
    raise_unless_items,
    read_lines,
    read_table,
)
from figclip.datasets.records import ActionSet, LabelledMedium, Medium
from figclip.errors import ConfigError, DataError, shown

_SEARCHED_CHARS = 60
_CAMEL_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def class_in_words(name: str) -> str:
    """A class name in words, lower case: `apply eye makeup` for `ApplyEyeMakeup`.

    `_` is a space. Capitals begin words only in a name that has no space, so that `shooting goal
    (NBA)` stays as it is.
    """
    words = name.replace("_", " ").strip()
    if " " not in words:
        words = _CAMEL_BORDER.sub(" ", words)
    return " ".join(words.lower().split())


def class_as_labelled(name: str) -> str:
    """A class name as its benchmark writes it, with spaces for `_`.

    This is how ViFi-CLIP names them: `brush hair` for HMDB51's `brush_hair`, but UCF101's
    `ApplyEyeMakeup` stays one word.

    Source:
        muzairkhattak/ViFi-CLIP@e2d1948 labels/hmdb_51_labels.csv, labels/ucf_101_labels.csv.
    """
    return " ".join(name.replace("_", " ").split())


@dataclass(frozen=True, slots=True)
class ClassList:
    """The classes of a benchmark."""

    names: Sequence[str]
    _idxs: dict[str, int] = field(init=False, repr=False)
    _advice: dict[str, str] = field(init=False, repr=False, default_factory=dict[str, str])

    def __post_init__(self) -> None:
        object.__setattr__(self, "_idxs", {name: idx for idx, name in enumerate(self.names)})

    def find(self, name: str, field_name: str, *, place: Place) -> int:
        """Index of a class; 0, with the problem noted, when there is no such class."""
        if name not in self._idxs:
            # Searched once a name: a wrong class list makes thousands of equal problems.
            if name not in self._advice:
                self._advice[name] = self._nearest(name)
            what = f"{shown(name)} is not in the class list"
            place.add(field_name, what=what, fix=self._advice[name])
        return self._idxs.get(name, 0)

    def _nearest(self, name: str) -> str:
        idxs = {known.casefold(): idx for known, idx in self._idxs.items()}
        matches = get_close_matches(name[:_SEARCHED_CHARS].casefold(), idxs, n=1)
        if not matches:
            return f"Check that the class list belongs to these files: it has {len(idxs)} classes"
        return f'Did you mean "{self.names[idxs[matches[0]]]}"?'

    def in_words(self, place: Place) -> tuple[str, ...]:
        """All names in words; two that become the same are noted: no text tells them apart."""
        first: dict[str, str] = {}
        for name in self.names:
            words = class_in_words(name)
            other = first.setdefault(words, name)
            if not words and name:
                what = f"the class {shown(name)} has no words"
                place.add("", what=what, fix="Give it a name")
            elif other is not name:
                what = f"{shown(other)} and {shown(name)} are the same words"
                place.add("", what=what, fix="Spell one class one way")
        return tuple(map(class_in_words, self.names))


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

    `path` is the folder of `<class>_test_split<1..3>.txt`; splits are `1`, `2` and `3`, several as
    `1+2+3`.
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

    `path` is the folder of `classInd.txt` and `testlist0<1..3>.txt`; splits are `1`, `2` and `3`,
    several as `1+2+3`.
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
    seen: set[str] = set()
    for place, line in read_lines(file):
        match = _UCF101_CLASS.fullmatch(line)
        if not match or int(match["number"]) != len(classes) + 1:
            what = f"{shown(line)} is not class {len(classes) + 1}"
            place.add("", what=what, fix="A line is `1 ApplyEyeMakeup`, numbers count from 1")
            continue
        name = check_name(match["name"], "", place=place)
        if name in seen:
            place.add("", what=f"{shown(name)} is there twice", fix="Remove one")
        classes.append(name)
        seen.add(name)
    if not classes:
        file.add("", what="holds no classes", fix="Check that it is the official file, whole")
    return classes


def _labelled(name: str, *, class_idx: int, split: str, group: str) -> LabelledMedium:
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
    listed_in: Place | None = None,
    notices: tuple[str, ...] = (),
) -> ActionSet:
    """The set, when nothing was wrong."""
    class_names = classes.in_words(root)
    raise_unless_items(listed_in or root, items, lacking="videos")
    return ActionSet(
        split=split,
        classes=tuple(classes.names),
        class_names=class_names,
        items=tuple(items),
        notices=notices,
    )


CSV_COLUMNS = ("label", "youtube_id", "time_start", "time_end")

_CLASS_FILE = re.compile(r"label_map_.*\.txt|.*_labels\.csv|classes\.txt")
_SECOND = re.compile(r"[0-9]{1,6}")
_CLIP = re.compile(r"(?P<youtube_id>.+)_[0-9]{6}_[0-9]{6}")


def read_kinetics(path: Path, split: str) -> ActionSet:
    """Kinetics: videos of one list, all classes of the class list.

    Nobody has all videos of a list any more; what is scored is what is found.

    `path` is a folder with a class list (`label_map_<any>.txt` or `classes.txt`, one name per line;
    or `<any>_labels.csv`, columns `id,name`) and lists of videos: `<split>.csv` in the official
    format (a video is named `<YouTube id>_<start>_<end>`, six digits each), or `<split>.txt` with
    lines `path number`, classes counted from 0, as ViFi-CLIP has them. Names ending in `_<split>`
    or `-<split>` are good, too. `split` is `val`, `test`, or what else the name of a list ends in.
    """
    root = Place(str(path))
    classes = ClassList(_read_classes(path, root=root))
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
    return _checked(
        root, split=split, classes=classes, items=items, listed_in=file, notices=notices
    )


def _read_classes(path: Path, *, root: Place) -> list[str]:
    """The classes of the class list; if there are several lists they must be equal."""
    wanted = "a class list: label_map_<any>.txt, <any>_labels.csv or classes.txt"
    files = [file for file, _ in find_matching(path, _CLASS_FILE, wanted=wanted)]
    lists = [_read_class_list(root.at(str(file))) for file in files]
    if any(one != lists[0] for one in lists):
        raise_problems(root)
        names = ", ".join(file.name for file in files)
        raise DataError(
            f"the class lists {names} differ", where=root.where, fix="Leave one of them there"
        )
    return lists[0]


def _read_class_list(file: Place) -> list[str]:
    classes: list[str] = []
    if file.where.endswith(".txt"):
        classes = [check_name(line, "", place=place) for place, line in read_lines(file)]
    else:
        for place, row in read_table(file, required=("id", "name")).rows:
            if row["id"].strip() != str(len(classes)):
                what = f"is {shown(row['id'])}, not {len(classes)}"
                place.add("id", what=what, fix="Classes are in order and counted from 0")
            classes.append(Fields(row, place).name("name"))
    for name in filter(None, repetitions(classes)):
        file.add("", what=f"{shown(name)} is there twice", fix="Remove one")
    if not classes:
        file.add("", what="holds no classes", fix="Write one name a line")
    return classes


def _find_list(path: Path, *, split: str, root: Place) -> Place:
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
    seconds: list[int] = []
    for name in ("time_start", "time_end"):
        cell = fields.name(name)
        if cell and not _SECOND.fullmatch(cell):
            fields.place.refuse(name, cell, wanted="whole seconds", fix="Write digits only")
        seconds.append(int(cell) if _SECOND.fullmatch(cell) else 0)
    youtube_id = fields.path("youtube_id")
    return _labelled(
        f"{youtube_id}_{seconds[0]:06d}_{seconds[1]:06d}",
        class_idx=classes.find(fields.name("label"), "label", place=fields.place),
        split="",
        group=youtube_id,
    )


def _line_item(line: str, *, classes: ClassList, place: Place) -> LabelledMedium:
    name, _, number = line.rpartition(" ")
    name = check_path(name.strip(), "", place=place)
    is_number = number.isascii() and number.isdigit() and len(number) < 6
    class_idx = int(number) if is_number else len(classes.names)
    if class_idx >= len(classes.names):
        what = f"{shown(line)} does not end in a class number below {len(classes.names)}"
        place.add("", what=what, fix="A line is `path number`, classes counted from 0")
    match = _CLIP.fullmatch(PurePosixPath(name).stem)
    group = match["youtube_id"] if match else name
    return _labelled(name, class_idx=class_idx, split="", group=group)


_MEDIA = ("photo", "video", "example", "demonstration")
_PERSONS = ("a person", "the person")
_DOING = ("", " using", " doing", " during", " performing", " practicing")

PROMPT_SETS: dict[str, tuple[str, ...]] = {
    # What ViFi-CLIP@e2d1948 vificlip.py:69 does for a CLIP that is not fine-tuned.
    "bare": ("{}",),
    "photo": ("a photo of a {}.",),
    # openai/CLIP@d05afc4 data/prompts.md, "Kinetics700" and "UCF101": the same strings in the same
    # order, "a example" included.
    "kinetics": tuple(
        f"a {medium} of {person}{{}}."
        for medium in _MEDIA
        for person in ("", *(f"{_PERSONS[0]}{doing} " for doing in _DOING))
    ),
    "ucf101": tuple(
        f"a {medium} of {person}{doing} {{}}."
        for doing in _DOING
        for person in _PERSONS
        for medium in _MEDIA
    ),
    "srl": ("In this photo, the action is {}",),
}


def find_prompts(prompts: str, *, where: str = "--prompts") -> tuple[str, ...]:
    """The prompts of a set, or the one that is given.

    `prompts` is a key of `PROMPT_SETS`, or a text with `{}` where the class goes, which is its own
    only prompt.

    Raises:
        ConfigError: Neither; the message lists the sets.
    """
    if prompts in PROMPT_SETS:
        return PROMPT_SETS[prompts]
    if "{}" not in prompts:
        raise ConfigError(
            f"unknown set of prompts {prompts!r}",
            where=where,
            fix=f"Sets are {', '.join(PROMPT_SETS)}; a text of your own needs {{}} where the "
            "class goes",
        )
    return (prompts,)


def prompts_for(class_name: str, prompts: str) -> tuple[str, ...]:
    """The texts that stand for a class."""
    return tuple(prompt.replace("{}", class_name) for prompt in find_prompts(prompts))
