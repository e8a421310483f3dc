"""Anyone's simple files: what they mean, and what is refused."""

from __future__ import annotations

from pathlib import Path

from figclip.datasets.catalogue import load_benchmark
from figclip.datasets.records import (
    ActionSet,
    CaptionedMedium,
    CompositionSet,
    Contrast,
    LabelledMedium,
    Medium,
    RetrievalSet,
)
from tests.datasets.benchmark_files import problems_of, refusal_of, write, write_lines

NOT_A_NAME = "is '': empty, of several lines, or with spaces around it"
GOAT = {"video": "a/goat.mp4", "captions": ["A goat sings.", " It bows. "]}
HAT = {"image": "hat.jpg", "captions": ["A hat."], "id": "h", "group": "shop", "split": "test"}


def test_retrieval(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "mine.jsonl", [GOAT, "", HAT])
    goat = CaptionedMedium(
        id="a/goat.mp4",
        medium=Medium(kind="video", name="a/goat.mp4"),
        captions=("A goat sings.", " It bows. "),
        group="a/goat.mp4",
    )
    hat = CaptionedMedium(
        id="h", medium=Medium(kind="image", name="hat.jpg"), captions=("A hat.",), group="shop"
    )
    assert load_benchmark("retrieval", file) == RetrievalSet(split="all", items=(goat, hat))
    some = load_benchmark("retrieval", file, split="test")
    assert some == RetrievalSet(split="test", items=(hat,))
    expected = "there are no items of split 'val'. Splits are test"
    assert refusal_of("retrieval", file, split="val") == expected


def test_a_file_without_splits(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "mine.jsonl", [GOAT])
    assert load_benchmark("retrieval", file).split is None
    expected = "there are no items of split 'val'. It has none: leave split= out"
    assert refusal_of("retrieval", file, split="val") == expected


def test_retrieval_problems_are_all_named(tmp_path: Path) -> None:
    lines = [
        GOAT,
        GOAT,
        {**GOAT, "image": "hat.jpg", "id": "3"},
        {"captions": ["A hat."], "id": "4"},
        {**GOAT, "video": "5.mp4", "id": "5", "captoins": []},
        {**GOAT, "video": "6.mp4", "id": 6, "group": "", "split": None},
        {"video": "x.mp4", "captions": [], "id": "a\nb"},
        {"video": "C:/x.mp4", "captions": ["A\x00"]},
        "nonsense",
        '{"video": "y.mp4", "captions": ["\\ud800"]}',
        {**GOAT, "id": "11"},
    ]
    file = write_lines(tmp_path / "mine.jsonl", lines)
    assert problems_of("retrieval", file) == [
        ("mine.jsonl:2", "", f"'a/goat.mp4' is at {file}:1, too"),
        ("mine.jsonl:3", "video", "and image are both there"),
        ("mine.jsonl:4", "video", "or image is missing"),
        ("mine.jsonl:5", "captoins", "is an unknown key"),
        ("mine.jsonl:6", "id", "must be text, got 6"),
        ("mine.jsonl:6", "split", "must be text, got None"),
        ("mine.jsonl:7", "id", NOT_A_NAME.replace("''", "'a\\nb'")),
        ("mine.jsonl:7", "captions", "must be a list of texts, got an empty one"),
        ("mine.jsonl:8", "video", "'C:/x.mp4' is an absolute path"),
        ("mine.jsonl:8", "captions[0]", "holds the character '\\x00', which is not text"),
        ("mine.jsonl:9", "", "is not JSON: Expecting value (column 1)"),
        ("mine.jsonl:10", "captions[0]", "holds the character '\\ud800', which is not text"),
        ("mine.jsonl:11", "video", "'a/goat.mp4' is in an earlier line too"),
    ]


def test_own_files_must_be_files_of_their_kind(tmp_path: Path) -> None:
    assert refusal_of("retrieval", tmp_path) == "is a folder. Give a .jsonl file"
    assert refusal_of("pairs", tmp_path / "none.jsonl") == "does not exist. Give a .jsonl file"
    file = write(tmp_path / "mine.csv", "")
    assert refusal_of("pairs", file).startswith("is not a .jsonl file. Rename it")
    assert refusal_of("actions", write(tmp_path / "mine.jsonl", "")).startswith("is not a .csv")
    empty = write(tmp_path / "empty.jsonl", "\n")
    assert problems_of("retrieval", empty) == [("empty.jsonl", "", "holds no items")]
    assert problems_of("pairs", empty) == [("empty.jsonl", "", "holds no items")]
    no_rows = write(tmp_path / "no_rows.csv", "file,label\n")
    assert problems_of("actions", no_rows) == [("no_rows.csv", "", "holds no items")]


def labelled(name: str, *, class_idx: int, split: str = "", group: str = "") -> LabelledMedium:
    is_image = name.endswith(".JPG")
    medium = Medium(kind="image" if is_image else "video", name=name)
    return LabelledMedium(
        id=name, medium=medium, class_idx=class_idx, split=split, group=group or name
    )


def test_actions(tmp_path: Path) -> None:
    rows = 'who,label,file\nAnn,YoYo,b/yo.gif\nBo,"jump, high",a.JPG\nAnn,YoYo,c.mp4\n'
    file = write(tmp_path / "mine.csv", rows)
    assert load_benchmark("actions", file) == ActionSet(
        split=None,
        classes=("YoYo", "jump, high"),
        class_names=("yo yo", "jump, high"),
        items=(
            labelled("b/yo.gif", class_idx=0),
            labelled("a.JPG", class_idx=1),
            labelled("c.mp4", class_idx=0),
        ),
        notices=("1 column ignored: 'who'",),
    )


def test_actions_with_splits(tmp_path: Path) -> None:
    rows = "file,label,split,group\na.mp4,run,1,x\nb.mp4,sit,2,\na.mp4,run,2,x\n"
    file = write(tmp_path / "mine.csv", rows)
    items = (
        labelled("a.mp4", class_idx=0, split="1", group="x"),
        labelled("b.mp4", class_idx=1, split="2"),
        labelled("a.mp4", class_idx=0, split="2", group="x"),
    )
    words = ("run", "sit")
    everything = ActionSet(split="all", classes=words, class_names=words, items=items)
    assert load_benchmark("actions", file) == everything
    # A split keeps the classes of the whole file.
    first = ActionSet(split="1", classes=words, class_names=words, items=items[:1])
    assert load_benchmark("actions", file, split="1") == first
    expected = "there are no items of split '3'. Splits are 1, 2"
    assert refusal_of("actions", file, split="3") == expected


def test_actions_problems_are_all_named(tmp_path: Path) -> None:
    rows = "file,label\na.mp4,run\na.mp4,run\n../b.mp4,\n,Run\nc.mp4,run,x\n"
    file = write(tmp_path / "mine.csv", rows)
    assert problems_of("actions", file) == [
        ("mine.csv:3", "", f"'a.mp4' is at {file}:2, too"),
        ("mine.csv:4", "file", "'../b.mp4' has a \"..\" part"),
        ("mine.csv:4", "label", NOT_A_NAME),
        ("mine.csv:5", "file", NOT_A_NAME),
        ("mine.csv:6", "", "has 3 cells, the first row has 2"),
        ("mine.csv", "", "'Run' and 'run' are the same words"),
    ]


PAIR = {"image": "goat.png", "positives": ["a goat", "goat!"], "negatives": ["a coat"]}


def test_pairs(tmp_path: Path) -> None:
    extra = {"id": "last", "group": "g", "subset": "nouns", "split": "test"}
    video = {"video": "hat", "positives": ["a hat"], "negatives": ["a cat", "a bat"], **extra}
    file = write_lines(tmp_path / "mine.jsonl", [PAIR, PAIR, video])
    goats = [
        Contrast(
            id=item_id,
            subset="",
            media=(Medium(kind="image", name="goat.png"),),
            positives=("a goat", "goat!"),
            negatives=("a coat",),
            group="goat.png",
        )
        for item_id in ("0", "1")
    ]
    hat = Contrast(
        id="last",
        subset="nouns",
        media=(Medium(kind="video", name="hat"),),
        positives=("a hat",),
        negatives=("a cat", "a bat"),
        group="g",
    )
    everything = CompositionSet(protocol="pairs", split="all", items=(*goats, hat))
    assert load_benchmark("pairs", file) == everything
    some = CompositionSet(protocol="pairs", split="test", items=(hat,))
    assert load_benchmark("pairs", file, split="test") == some


def test_pairs_problems_are_all_named(tmp_path: Path) -> None:
    lines = [
        {**PAIR, "id": "1"},
        PAIR,
        {"image": "goat.png", "positives": "a goat", "negatives": [" "]},
        {**PAIR, "captions": ["a goat"], "subset": 4},
    ]
    file = write_lines(tmp_path / "mine.jsonl", lines)
    assert problems_of("pairs", file) == [
        ("mine.jsonl:2", "", f"'1' is at {file}:1, too"),
        ("mine.jsonl:3", "positives", "must be a list of texts, got 'a goat'"),
        ("mine.jsonl:3", "negatives[0]", "is empty"),
        ("mine.jsonl:4", "captions", "is an unknown key"),
        ("mine.jsonl:4", "subset", "must be text, got 4"),
    ]
