"""Reads the benchmarks of composition: true and false captions of images and videos.

Readers raise `DataError` where there is no such file or split, and `AnnotationError` with all that
is wrong with what is there.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from figclip.annotations.own_files import counted
from figclip.annotations.reading import (
    Place,
    check_name,
    is_list,
    is_object,
    nearest,
    raise_problems,
)
from figclip.datasets.files import (
    Fields,
    UniqueIds,
    find_file,
    find_matching,
    raise_unless_items,
    read_json_lines,
    read_json_members,
    read_json_objects,
    read_table,
    take_split,
)
from figclip.datasets.records import Box, CompositionSet, Contrast, Medium
from figclip.errors import shown

SUGARCREPE_SUBSETS = (
    *("add_att", "add_obj", "replace_att", "replace_obj", "replace_rel"),
    *("swap_att", "swap_obj"),
)
SUGARCREPE_PP_SUBSETS = SUGARCREPE_SUBSETS[2:]
ARO_FILES = {
    "vg_relation": "visual_genome_relation.json",
    "vg_attribution": "visual_genome_attribution.json",
}
VELOCITI_TESTS = (
    *("action_adv", "action_bind", "action_manner", "agent_bind", "agent_random"),
    *("chrono", "control", "coref"),
)
VELOCITI_SUBSET = "subset"
_FORMER_VELOCITI_TESTS = {
    "action_mod": "action_manner",
    "agent_iden": "agent_random",
    "sequence": "chrono",
}

_CSV_FILE = re.compile(r".*\.csv")
_OFFICIAL = "Check that it is the official file"


def read_sugarcrepe(path: Path, split: str) -> CompositionSet:
    """SugarCrepe: images of COCO val2017 with one true and one false caption, 7,511 items.

    Captions are verbatim, with the spaces at their ends. Ids are `<subset>/<key>`; the keys have
    gaps.

    `path` is the folder of `add_att.json` … `swap_obj.json` (seven files; a notice names what is
    missing), or one of them.
    """
    return _read_subsets(path, SUGARCREPE_SUBSETS, protocol="sugarcrepe", entries=_keyed_objects)


def read_sugarcrepe_pp(path: Path, split: str) -> CompositionSet:
    """SugarCrepe++: images of COCO val2017 with two true captions and a false one, 4,757 items.

    Format of Sri-Harsha/scpp@c083bbf `data/`. In two items the false caption is also a true one.

    `path` is the folder of `replace_att.json` … `swap_obj.json` (five files; a notice names what is
    missing), or one of them.
    """
    return _read_subsets(
        path,
        SUGARCREPE_PP_SUBSETS,
        protocol="sugarcrepe_pp",
        entries=_numbered_objects,
        positives=("caption", "caption2"),
    )


def read_aro(path: Path, split: str) -> CompositionSet:
    """Visual Genome Relation or Attribution of ARO: a box of an image, a true and a false caption.

    Format of mertyg/vision-language-models-are-bows@81fdd20 aro_datasets.py:16-75, :120-170. Only
    the Order sets, which are not read here, clean their captions and cut them to 30 words. A
    subset is a relation, or a pair of attributes in their order as `<first>_<second>`.

    `path` is the folder of `visual_genome_relation.json` and `visual_genome_attribution.json`, or
    the one that is wanted. The split, `vg_relation` or `vg_attribution`, is also the protocol.
    """
    file = Place(str(find_file(path, ARO_FILES[split])))
    items: list[Contrast] = []
    for index, (place, value) in enumerate(read_json_objects(file)):
        fields = Fields(value, place)
        image = fields.path("image_path")
        box = Box(
            left=fields.whole_number("bbox_x"),
            top=fields.whole_number("bbox_y"),
            width=fields.whole_number("bbox_w", least=1),
            height=fields.whole_number("bbox_h", least=1),
        )
        is_relation = split == "vg_relation"
        items.append(
            Contrast(
                id=str(index),
                subset=fields.name("relation_name") if is_relation else _attribute_pair(fields),
                media=(Medium(kind="image", name=image, box=box),),
                positives=(fields.caption("true_caption"),),
                negatives=(fields.caption("false_caption"),),
                group=image,
            )
        )
    return _checked(file, protocol=split, split=split, items=items)


def read_winoground(path: Path, split: str) -> CompositionSet:
    """Winoground: two images and two captions that exchange each other's words.

    A subset is what the file calls `collapsed_tag` (object, relation or both), if it is there.

    `path` is `examples.jsonl`, or its folder. Images are named `<image_0>.png`.
    """
    file = Place(str(find_file(path, "examples.jsonl", subfolders=("", "data"))))
    items: list[Contrast] = []
    ids = UniqueIds()
    for place, value in read_json_lines(file):
        fields = Fields(value, place)
        item_id = fields.numbered_name("id")
        ids.check(item_id, place=place)
        images = [f"{fields.path(name)}.png" for name in ("image_0", "image_1")]
        items.append(
            Contrast(
                id=item_id,
                subset=fields.optional_name("collapsed_tag", default=""),
                media=tuple(Medium(kind="image", name=image) for image in images),
                positives=(fields.caption("caption_0"),),
                negatives=(fields.caption("caption_1"),),
                group=item_id,
            )
        )
    return _checked(file, protocol="winoground", split=None, items=items)


def read_velociti(path: Path, split: str) -> CompositionSet:
    """VELOCITI: videos of 10 s with a true and a false caption, in eight tests.

    Fields as in katha-ai/VELOCITI@8d66ddb data.py:26-28; `event` is not used: the evaluator scores
    whole videos. Ids are `<test>/<running number>`.

    `path` is a folder of CSV files, or one, with columns `video_id`, `pos`, `neg` and `test_name`;
    without the last, a file is named after its test. `in_subset` may be there: the split `subset`
    takes the rows where it is `True`.

    The files that were public in 2024 (7738a93 gemini/gemini_data) have `cap1`, `cap2`, `ev`, `gt`
    and `video_id`: `gt` names the true caption. Three tests had other names then.
    """
    root = Place(str(path))
    numbers: Counter[str] = Counter()
    items: list[tuple[str, Contrast]] = []
    for file, _ in find_matching(path, _CSV_FILE, wanted="<test>.csv"):
        required = ("video_id", "pos", "neg")
        table = read_table(
            root.at(str(file)),
            required=required,
            optional=("test_name", "event", "in_subset"),
            other_layout=("video_id", "cap1", "cap2", "gt"),
        )
        for place, row in table.rows:
            fields = Fields({"test_name": file.stem, **row}, place)
            test = fields.name("test_name")
            test = _FORMER_VELOCITI_TESTS.get(test, test)
            true, false = _velociti_captions(fields)
            if test and test not in VELOCITI_TESTS:
                fix = nearest(test, VELOCITI_TESTS)
                place.add("test_name", what=f"{shown(test)} is not a test", fix=fix)
            video = fields.path("video_id")
            item = Contrast(
                id=f"{test}/{numbers[test]}",
                subset=test,
                media=(Medium(kind="video", name=video),),
                positives=(fields.caption(true),),
                negatives=(fields.caption(false),),
                group=video,
            )
            numbers[test] += 1
            items.append((VELOCITI_SUBSET if _is_in_subset(fields) else "", item))
    raise_problems(root)
    name, taken = take_split(items, split, where=root.where)
    return _checked(root, protocol="velociti", split=name, items=taken)


def _read_subsets(
    path: Path,
    subsets: Sequence[str],
    *,
    protocol: str,
    entries: Callable[[Place], Iterator[tuple[str, Fields]]],
    positives: Sequence[str] = ("caption",),
) -> CompositionSet:
    """SugarCrepe or SugarCrepe++: a file a subset, those that are there."""
    root = Place(str(path))
    pattern = re.compile(rf"(?P<subset>{'|'.join(subsets)})\.json")
    wanted = " or ".join(f"{subset}.json" for subset in subsets)
    found = find_matching(path, pattern, wanted=wanted, subfolders=("", "data"))
    files = {match["subset"]: file for file, match in found}
    items: list[Contrast] = []
    for subset, file in files.items():
        for key, fields in entries(root.at(str(file))):
            image = fields.path("filename")
            items.append(
                Contrast(
                    id=f"{subset}/{key}",
                    subset=subset,
                    media=(Medium(kind="image", name=image),),
                    positives=tuple(fields.caption(name) for name in positives),
                    negatives=(fields.caption("negative_caption"),),
                    group=image,
                )
            )
    missing = [subset for subset in subsets if subset not in files]
    notices = counted(len(missing), "subset", f"not there: {', '.join(missing)}")
    return _checked(root, protocol=protocol, split=None, items=items, notices=notices)


def _keyed_objects(file: Place) -> Iterator[tuple[str, Fields]]:
    """The entries of a JSON object, with their keys."""
    for member in read_json_members(file):
        if is_object(member.value):
            key = check_name(member.key, "", place=member.place)
            yield key, Fields(member.value, member.place)
        else:
            what = f"must be an object, got {shown(member.value)}"
            member.place.add("", what=what, fix=_OFFICIAL)


def _numbered_objects(file: Place) -> Iterator[tuple[str, Fields]]:
    """The entries of a JSON list, with their ids."""
    ids = UniqueIds()
    for place, value in read_json_objects(file):
        fields = Fields(value, place)
        key = fields.numbered_name("id")
        ids.check(key, place=place)
        yield key, fields


def _attribute_pair(fields: Fields) -> str:
    """The two attributes of an item of ARO, as its evaluator joins them."""
    values = fields.values.get("attributes")
    if not is_list(values) or len(values) != 2:
        fields.place.refuse("attributes", values, wanted="a list of two attributes", fix=_OFFICIAL)
        return ""
    pair = Fields({f"attributes[{index}]": one for index, one in enumerate(values)}, fields.place)
    return "_".join(pair.name(name) for name in pair.values)


def _velociti_captions(fields: Fields) -> tuple[str, str]:
    """The columns of the true and the false caption of a row of VELOCITI."""
    if "pos" in fields.values:
        return "pos", "neg"
    truth = fields.values["gt"]
    if truth not in ("cap1", "cap2"):
        fields.place.add("gt", what=f"is {shown(truth)}", fix="Write cap1 or cap2")
    return ("cap2", "cap1") if truth == "cap2" else ("cap1", "cap2")


def _is_in_subset(fields: Fields) -> bool:
    value = str(fields.values.get("in_subset", "False")).casefold()
    if value not in ("true", "false"):
        fields.place.add("in_subset", what=f"is {shown(value)}", fix="Write True or False")
    return value == "true"


def _checked(
    root: Place,
    *,
    protocol: str,
    split: str | None,
    items: Sequence[Contrast],
    notices: tuple[str, ...] = (),
) -> CompositionSet:
    """The set, when nothing was wrong."""
    raise_unless_items(root, items)
    return CompositionSet(
        protocol=protocol, split=split, items=tuple(items), notices=(*notices, *never_right(items))
    )


def never_right(items: Sequence[Contrast]) -> tuple[str, ...]:
    """A notice of items with a false caption that is also a true one, up to case and spaces."""

    def folded(texts: Sequence[str]) -> set[str]:
        return {" ".join(text.casefold().split()) for text in texts}

    count = sum(bool(folded(item.positives) & folded(item.negatives)) for item in items)
    return counted(count, "item", "with equal true and false captions: never right")
