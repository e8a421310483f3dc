"""SugarCrepe, SugarCrepe++, ARO, Winoground, VELOCITI: what they mean, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from figclip.datasets.catalogue import load_benchmark
from figclip.datasets.records import Box, CompositionSet, Contrast, Medium
from tests.datasets.benchmark_files import problems_of, refusal_of, write, write_json, write_lines

NOT_A_NAME = "is '': empty, of several lines, or with spaces around it"


def contrast(
    item_id: str, *, subset: str, image: str, positives: tuple[str, ...], negative: str
) -> Contrast:
    return Contrast(
        id=item_id,
        subset=subset,
        media=(Medium(kind="image", name=image),),
        positives=positives,
        negatives=(negative,),
        group=image,
    )


GOAT = {"filename": "1.jpg", "caption": "A goat. ", "negative_caption": "A coat."}
HAT = {"filename": "2.jpg", "caption": "A hat.", "negative_caption": " a  HAT."}


def test_sugarcrepe(tmp_path: Path) -> None:
    write_json(tmp_path / "swap_obj.json", {"0": GOAT, "2": HAT})
    write_json(tmp_path / "add_att.json", {"0": GOAT})
    positives = ("A goat. ",)
    expected = CompositionSet(
        protocol="sugarcrepe",
        split=None,
        items=(
            contrast(
                "add_att/0",
                subset="add_att",
                image="1.jpg",
                positives=positives,
                negative="A coat.",
            ),
            contrast(
                "swap_obj/0",
                subset="swap_obj",
                image="1.jpg",
                positives=positives,
                negative="A coat.",
            ),
            contrast(
                "swap_obj/2",
                subset="swap_obj",
                image="2.jpg",
                positives=("A hat.",),
                negative=" a  HAT.",
            ),
        ),
        notices=(
            "5 subsets not there: add_obj, replace_att, replace_obj, replace_rel, swap_att",
            "1 item with equal true and false captions: never right",
        ),
    )
    assert load_benchmark("sugarcrepe", tmp_path) == expected
    one = load_benchmark("sugarcrepe", tmp_path / "add_att.json")
    assert [item.id for item in one.items] == ["add_att/0"]


def test_sugarcrepe_problems_are_all_named(tmp_path: Path) -> None:
    entries = {
        "0": {"filename": "1.jpg", "caption": ""},
        "1": ["1.jpg"],
        "": GOAT,
        "3": {**GOAT, "filename": "/1.jpg", "caption": None},
    }
    write_json(tmp_path / "swap_att.json", entries)
    write(tmp_path / "swap_obj.json", "{")
    assert problems_of("sugarcrepe", tmp_path) == [
        ("swap_att.json: '0'", "caption", "is empty"),
        ("swap_att.json: '0'", "negative_caption", "is missing"),
        ("swap_att.json: '1'", "", "must be an object, got a list"),
        ("swap_att.json: ''", "", NOT_A_NAME),
        ("swap_att.json: '3'", "filename", "'/1.jpg' is an absolute path"),
        ("swap_att.json: '3'", "caption", "must be text, got None"),
        (
            "swap_obj.json",
            "",
            "is not JSON: Expecting property name enclosed in double quotes (column 2)",
        ),
    ]


def test_sugarcrepe_missing_files_are_named(tmp_path: Path) -> None:
    refusal = refusal_of("sugarcrepe", tmp_path)
    assert refusal.startswith("does not hold add_att.json or add_obj.json or replace_att.json or")
    other = write_json(tmp_path / "other.json", {"0": GOAT})
    assert refusal_of("sugarcrepe", other).startswith("is a file. Give the folder")
    write_json(tmp_path / "swap_obj.json", {})
    assert problems_of("sugarcrepe", tmp_path) == [("", "", "holds no items")]


def test_sugarcrepe_pp(tmp_path: Path) -> None:
    names = ("replace_att", "replace_obj", "replace_rel", "swap_att", "swap_obj")
    for index, name in enumerate(names):
        write_json(tmp_path / f"{name}.json", [{"id": index, "caption2": "Goat!", **GOAT}])
    loaded = load_benchmark("sugarcrepe_pp", tmp_path)
    assert loaded == CompositionSet(
        protocol="sugarcrepe_pp",
        split=None,
        items=tuple(
            contrast(
                f"{name}/{index}",
                subset=name,
                image="1.jpg",
                positives=("A goat. ", "Goat!"),
                negative="A coat.",
            )
            for index, name in enumerate(names)
        ),
    )


def test_sugarcrepe_pp_problems_are_all_named(tmp_path: Path) -> None:
    good = {"id": 4, "caption2": "Goat!", **GOAT}
    entries = [good, good, 7, {**good, "id": "5"}, {**good, "id": True}, {**GOAT, "id": 6}]
    write_json(tmp_path / "swap_att.json", entries)
    write_json(tmp_path / "swap_obj.json", {"0": GOAT})
    file = tmp_path / "swap_att.json"
    assert problems_of("sugarcrepe_pp", tmp_path) == [
        ("swap_att.json: item 1", "", f"'4' is at {file}: item 0, too"),
        ("swap_att.json: item 2", "", "must be an object, got 7"),
        ("swap_att.json: item 3", "id", "must be a whole number, got '5'"),
        ("swap_att.json: item 4", "id", "must be a whole number, got True"),
        ("swap_att.json: item 5", "caption2", "is missing"),
        ("swap_obj.json", "", "must be a list, got an object"),
    ]


BOXED = {
    "image_path": "vg/5.jpg",
    "bbox_x": -1,
    "bbox_y": 2.0,
    "bbox_w": 30,
    "bbox_h": 40,
    "true_caption": "the goat is on the hat",
    "false_caption": "the hat is on the goat",
    "some_other": [1],
}


def boxed(item_id: str, subset: str) -> Contrast:
    box = Box(left=-1, top=2, width=30, height=40)
    return Contrast(
        id=item_id,
        subset=subset,
        media=(Medium(kind="image", name="vg/5.jpg", box=box),),
        positives=("the goat is on the hat",),
        negatives=("the hat is on the goat",),
        group="vg/5.jpg",
    )


def test_aro(tmp_path: Path) -> None:
    relations = [{**BOXED, "relation_name": name} for name in ("on", "to the left of")]
    write_json(tmp_path / "visual_genome_relation.json", relations)
    pair = {**BOXED, "attributes": ["white", "old"]}
    file = write_json(tmp_path / "visual_genome_attribution.json", [pair])
    assert load_benchmark("aro", tmp_path) == CompositionSet(
        protocol="vg_relation",
        split="vg_relation",
        items=(boxed("0", "on"), boxed("1", "to the left of")),
    )
    expected = CompositionSet(
        protocol="vg_attribution", split="vg_attribution", items=(boxed("0", "white_old"),)
    )
    assert load_benchmark("aro", tmp_path, split="vg_attribution") == expected
    assert load_benchmark("aro", file, split="vg_attribution") == expected
    assert refusal_of("aro", file).startswith("is not the file visual_genome_relation.json")


def test_aro_problems_are_all_named(tmp_path: Path) -> None:
    good = {**BOXED, "relation_name": "on", "attributes": ["white", "old"]}
    entries = [
        {**good, "bbox_w": 0},
        {**good, "bbox_x": 1.5, "bbox_y": 2**40, "bbox_h": "4"},
        {**good, "relation_name": "", "attributes": ["white"]},
        {**good, "relation_name": 3, "attributes": ["white", ""]},
    ]
    write_json(tmp_path / "visual_genome_relation.json", entries)
    write_json(tmp_path / "visual_genome_attribution.json", entries[2:])
    name = "visual_genome_relation.json: item"
    assert problems_of("aro", tmp_path) == [
        (f"{name} 0", "bbox_w", "is 0, outside 1 … 1,000,000,000"),
        (f"{name} 1", "bbox_x", "must be a whole number, got 1.5"),
        (f"{name} 1", "bbox_y", "is 1099511627776, outside -1,000,000,000 … 1,000,000,000"),
        (f"{name} 1", "bbox_h", "must be a whole number, got '4'"),
        (f"{name} 2", "relation_name", NOT_A_NAME),
        (f"{name} 3", "relation_name", "must be text, got 3"),
    ]
    name = "visual_genome_attribution.json: item"
    assert problems_of("aro", tmp_path, split="vg_attribution") == [
        (f"{name} 0", "attributes", "must be a list of two attributes, got a list"),
        (f"{name} 1", "attributes[1]", NOT_A_NAME),
    ]


EXAMPLE = {
    "id": 17,
    "image_0": "ex_17_img_0",
    "image_1": "ex_17_img_1",
    "caption_0": "a goat on a hat",
    "caption_1": "a hat on a goat",
    "tag": "Noun",
    "collapsed_tag": "Object",
}


@pytest.mark.parametrize("subfolder", ["", "data"])
def test_winoground(tmp_path: Path, subfolder: str) -> None:
    write_lines(tmp_path / subfolder / "examples.jsonl", [EXAMPLE])
    assert load_benchmark("winoground", tmp_path) == CompositionSet(
        protocol="winoground",
        split=None,
        items=(
            Contrast(
                id="17",
                subset="Object",
                media=(
                    Medium(kind="image", name="ex_17_img_0.png"),
                    Medium(kind="image", name="ex_17_img_1.png"),
                ),
                positives=("a goat on a hat",),
                negatives=("a hat on a goat",),
                group="17",
            ),
        ),
    )


def test_winoground_problems_are_all_named(tmp_path: Path) -> None:
    short = {key: value for key, value in EXAMPLE.items() if key not in ("id", "image_1")}
    again = {**EXAMPLE, "caption_1": "\t", "image_0": "../x"}
    write_lines(tmp_path / "examples.jsonl", [EXAMPLE, "[1]", "{", short, again])
    first = tmp_path / "examples.jsonl"
    assert problems_of("winoground", tmp_path) == [
        ("examples.jsonl:2", "", "must be an object, got a list"),
        (
            "examples.jsonl:3",
            "",
            "is not JSON: Expecting property name enclosed in double quotes (column 2)",
        ),
        ("examples.jsonl:4", "id", "is missing"),
        ("examples.jsonl:4", "image_1", "is missing"),
        ("examples.jsonl:5", "", f"'17' is at {first}:1, too"),
        ("examples.jsonl:5", "image_0", "'../x' has a \"..\" part"),
        ("examples.jsonl:5", "caption_1", "is empty"),
    ]


def velociti(item_id: str, *, video: str, pos: str, neg: str) -> Contrast:
    return Contrast(
        id=item_id,
        subset=item_id.partition("/")[0],
        media=(Medium(kind="video", name=video),),
        positives=(pos,),
        negatives=(neg,),
        group=video,
    )


def test_velociti(tmp_path: Path) -> None:
    rows = (
        "video_id,test_name,event,pos,neg,in_subset\n"
        'v_a.mp4,chrono,"(Ev1, Ev3)",a goat sings,a goat bows,True\n'
        "v_b.mp4,coref,Ev2,he sings,she sings,False\n"
        "v_a.mp4,chrono,Ev2,he bows,she bows,False\n"
    )
    write(tmp_path / "all.csv", rows)
    items = (
        velociti("chrono/0", video="v_a.mp4", pos="a goat sings", neg="a goat bows"),
        velociti("coref/0", video="v_b.mp4", pos="he sings", neg="she sings"),
        velociti("chrono/1", video="v_a.mp4", pos="he bows", neg="she bows"),
    )
    everything = CompositionSet(protocol="velociti", split="all", items=items)
    assert load_benchmark("velociti", tmp_path) == everything
    some = CompositionSet(protocol="velociti", split="subset", items=items[:1])
    assert load_benchmark("velociti", tmp_path / "all.csv", split="subset") == some


def test_velociti_with_a_file_a_test(tmp_path: Path) -> None:
    for test in ("coref", "agent_bind"):
        write(tmp_path / f"{test}.csv", f"video_id,pos,neg\nv_a,{test} is,{test} is not\n")
    assert load_benchmark("velociti", tmp_path) == CompositionSet(
        protocol="velociti",
        split=None,
        items=tuple(
            velociti(f"{test}/0", video="v_a", pos=f"{test} is", neg=f"{test} is not")
            for test in ("agent_bind", "coref")
        ),
    )
    expected = "there are no items of split 'subset'. It has none: leave split= out"
    assert refusal_of("velociti", tmp_path, split="subset") == expected


def test_velociti_as_it_was_public_in_2024(tmp_path: Path) -> None:
    header = "cap1,cap2,ev,gt,video_id\n"
    rows = f'{header}"He sings, aloud.",He sings softly.,Ev2,cap1,v_a\nshe,he,Ev1,cap2,v_b\n'
    write(tmp_path / "action_mod.csv", rows)
    write(tmp_path / "coref.csv", f"{header}she,he,Ev1,cap2,v_b\n")
    assert load_benchmark("velociti", tmp_path).items == (
        velociti("action_manner/0", video="v_a", pos="He sings, aloud.", neg="He sings softly."),
        velociti("action_manner/1", video="v_b", pos="he", neg="she"),
        velociti("coref/0", video="v_b", pos="he", neg="she"),
    )
    write(tmp_path / "coref.csv", f"{header}she,,Ev1,cap2,v_b\nshe,he,Ev1,cap3,v_b\n")
    assert problems_of("velociti", tmp_path) == [
        ("coref.csv:2", "cap2", "is empty"),
        ("coref.csv:3", "gt", "is 'cap3'"),
    ]


def test_velociti_problems_are_all_named(tmp_path: Path) -> None:
    write(tmp_path / "agent.csv", "video_id,pos,neg\nv_a,he,she\n")
    rows = "video_id,pos,neg,in_subset\nv_a,he,,maybe\n,he,she,True\n"
    write(tmp_path / "chrono.csv", rows)
    write(tmp_path / "other.csv", "a,b\n")
    assert problems_of("velociti", tmp_path) == [
        ("agent.csv:2", "test_name", "'agent' is not a test"),
        ("chrono.csv:2", "neg", "is empty"),
        ("chrono.csv:2", "in_subset", "is 'maybe'"),
        ("chrono.csv:3", "video_id", NOT_A_NAME),
        ("other.csv:1", "video_id", "column is missing"),
        ("other.csv:1", "pos", "column is missing"),
        ("other.csv:1", "neg", "column is missing"),
    ]
    assert refusal_of("velociti", tmp_path / "none").startswith("does not exist. Give the folder")
