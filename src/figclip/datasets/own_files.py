"""Reads the simple files that anyone can write: captions, contrasts (JSONL) and classes (CSV).

Readers raise `DataError` where there is no such file or split, and `AnnotationError` with all that
is wrong with what is there.
"""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path, PurePosixPath

from figclip.datasets.actions import ClassList
from figclip.datasets.composition import never_right
from figclip.datasets.files import (
    Fields,
    UniqueIds,
    find_own_file,
    ignored_columns,
    raise_unless_items,
    read_json_lines,
    read_table,
    take_split,
)
from figclip.datasets.records import (
    ActionSet,
    CaptionedMedium,
    CompositionSet,
    Contrast,
    LabelledMedium,
    Medium,
    MediumKind,
    RetrievalSet,
)
from figclip.errors import shown

RETRIEVAL_KEYS = ("image", "video", "captions", "id", "group", "split")
PAIR_KEYS = ("image", "video", "positives", "negatives", "id", "group", "subset", "split")

# Not .gif: what moves is a video.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff")


def read_retrieval(path: Path, split: str) -> RetrievalSet:
    """Images or videos with their captions.

    `path` is JSON Lines: `{"video": path, "captions": [text, …]}` or `{"image": …}`; `id` (default:
    the path), `group` (default: the path) and `split` may be there, nothing else.
    """
    file = find_own_file(path, ".jsonl")
    ids = UniqueIds()
    seen: set[Medium] = set()
    items: list[tuple[str, CaptionedMedium]] = []
    for place, value in read_json_lines(file, valid=RETRIEVAL_KEYS):
        fields = Fields(value, place)
        medium = _medium(fields)
        item = CaptionedMedium(
            id=fields.optional_name("id", default=medium.name),
            medium=medium,
            captions=fields.captions("captions"),
            group=fields.optional_name("group", default=medium.name),
        )
        ids.check(item.id, place=place)
        # As two items of the gallery, each would count as wrong for the captions of the other.
        if medium in seen and medium.name not in ("", item.id):
            what = f"{shown(medium.name)} is in an earlier line too"
            place.add(medium.kind, what=what, fix="Give all captions of it in one line")
        seen.add(medium)
        items.append((fields.optional_name("split", default=""), item))
    raise_unless_items(file, items)
    name, taken = take_split(items, split, where=file.where)
    return RetrievalSet(split=name, items=taken)


def read_actions(path: Path, split: str) -> ActionSet:
    """Videos or images with their classes, which are the different labels of the file, sorted.

    `path` is a CSV with columns `file` and `label`; `split`, each a test list of its own, and
    `group` (default: the file) may be there; other columns are ignored and named in a notice. Files
    that end like images are images, all others videos.
    """
    file = find_own_file(path, ".csv")
    table = read_table(file, required=("file", "label"), optional=("split", "group"))
    ids: defaultdict[str, UniqueIds] = defaultdict(UniqueIds)
    rows: list[tuple[str, LabelledMedium]] = []
    for place, row in table.rows:
        fields = Fields(row, place)
        name = fields.path("file")
        is_image = PurePosixPath(name).suffix.casefold() in IMAGE_SUFFIXES
        item = LabelledMedium(
            id=name,
            medium=Medium(kind="image" if is_image else "video", name=name),
            class_idx=0,  # classes are numbered when all are known
            split=fields.optional_name("split", default=""),
            group=fields.optional_name("group", default=name),
        )
        rows.append((fields.name("label"), item))
        ids[item.split].check(item.id, place=place)
    classes = ClassList(sorted({label for label, _ in rows}))
    items = [
        (item.split, replace(item, class_idx=classes.find(label, "label", place=file)))
        for label, item in rows
    ]
    class_names = classes.in_words(file)
    raise_unless_items(file, items)
    name, taken = take_split(items, split, where=file.where)
    return ActionSet(
        split=name,
        classes=tuple(classes.names),
        class_names=class_names,
        items=taken,
        notices=ignored_columns(table.ignored),
    )


def read_pairs(path: Path, split: str) -> CompositionSet:
    """Images or videos with true and false captions.

    `path` is JSON Lines: `{"image": path, "positives": [text, …], "negatives": [text, …]}` or
    `{"video": …}`; `id` (default: a running number), `group` (default: the path), `subset` (a part
    that has an accuracy of its own) and `split` may be there, nothing else.
    """
    file = find_own_file(path, ".jsonl")
    ids = UniqueIds()
    items: list[tuple[str, Contrast]] = []
    for index, (place, value) in enumerate(read_json_lines(file, valid=PAIR_KEYS)):
        fields = Fields(value, place)
        medium = _medium(fields)
        item = Contrast(
            id=fields.optional_name("id", default=str(index)),
            subset=fields.optional_name("subset", default=""),
            media=(medium,),
            positives=fields.captions("positives"),
            negatives=fields.captions("negatives"),
            group=fields.optional_name("group", default=medium.name),
        )
        ids.check(item.id, place=place)
        items.append((fields.optional_name("split", default=""), item))
    raise_unless_items(file, items)
    name, taken = take_split(items, split, where=file.where)
    return CompositionSet(protocol="pairs", split=name, items=taken, notices=never_right(taken))


def _medium(fields: Fields) -> Medium:
    has_image, has_video = "image" in fields.values, "video" in fields.values
    if has_image == has_video:
        what = "and image are both there" if has_image else "or image is missing"
        fields.place.add("video", what=what, fix="Give the path of one of them")
        return Medium(kind="video", name="")
    kind: MediumKind = "image" if has_image else "video"
    return Medium(kind=kind, name=fields.path(kind))
