"""Lists of Kinetics: what they mean, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from figclip.datasets.catalogue import load_benchmark
from figclip.datasets.records import ActionSet, LabelledMedium, Medium
from tests.datasets.benchmark_files import problems_of, refusal_of, write

CLASSES = ("counting sheep", "riding (not a horse)", "zorbing")
CSV = (
    "label,youtube_id,time_start,time_end,split,is_cc\n"
    "zorbing,-aB3_dE7hIj,7,17,val,0\n"
    '"riding (not a horse)",_lead_ing_1,120,130,val,0\n'
)
TXT = "val/-aB3_dE7hIj_000007_000017.mp4 2\r\nval/my horse.mp4 1\r\n"


def labelled(name: str, *, class_idx: int, group: str) -> LabelledMedium:
    medium = Medium(kind="video", name=name)
    return LabelledMedium(id=name, medium=medium, class_idx=class_idx, split="", group=group)


def write_classes(folder: Path) -> None:
    write(folder / "label_map_k3.txt", "".join(f"{name}\n" for name in CLASSES))


def test_official_csv(tmp_path: Path) -> None:
    write_classes(tmp_path)
    write(tmp_path / "kinetics_3_val.csv", CSV)
    write(tmp_path / "kinetics_3_train.csv", "not read")
    assert load_benchmark("kinetics", tmp_path) == ActionSet(
        split="val",
        classes=CLASSES,
        class_names=CLASSES,
        items=(
            labelled("-aB3_dE7hIj_000007_000017", class_idx=2, group="-aB3_dE7hIj"),
            labelled("_lead_ing_1_000120_000130", class_idx=1, group="_lead_ing_1"),
        ),
    )


def test_list_of_paths_and_numbers(tmp_path: Path) -> None:
    write(tmp_path / "k3_labels.csv", 'id,name\n0,counting sheep\n1,"ride_it"\n2,YoYo\n')
    write(tmp_path / "ZS_split1.txt", TXT)
    loaded = load_benchmark("kinetics", tmp_path, split="split1")
    assert loaded == ActionSet(
        split="split1",
        classes=("counting sheep", "ride_it", "YoYo"),
        class_names=("counting sheep", "ride it", "yo yo"),
        items=(
            labelled("val/-aB3_dE7hIj_000007_000017.mp4", class_idx=2, group="-aB3_dE7hIj"),
            labelled("val/my horse.mp4", class_idx=1, group="val/my horse.mp4"),
        ),
    )


def test_several_class_lists_must_be_equal(tmp_path: Path) -> None:
    write_classes(tmp_path)
    write(tmp_path / "val.csv", CSV)
    rows = "".join(f"{number},{name}\n" for number, name in enumerate(CLASSES))
    write(tmp_path / "k3_labels.csv", f"id,name\n{rows}")
    assert len(load_benchmark("kinetics", tmp_path).items) == 2
    write(tmp_path / "classes.txt", "zorbing\n")
    refusal = refusal_of("kinetics", tmp_path)
    assert refusal.startswith("the class lists classes.txt, k3_labels.csv, label_map_k3.txt differ")


def test_other_columns_are_named(tmp_path: Path) -> None:
    write_classes(tmp_path)
    header = "label,youtube_id,time_start,time_end,mood\n"
    write(tmp_path / "val.csv", f"{header}zorbing,aB3,7,17,happy\n")
    assert load_benchmark("kinetics", tmp_path).notices == ("1 column ignored: 'mood'",)


def test_csv_problems_are_all_named(tmp_path: Path) -> None:
    write_classes(tmp_path)
    rows = (
        "Zorbing,aB3,7,17,val,0\n"
        ",aB3,8,18,val,0\n"
        "zorbing,../aB3,7,17,val,0\n"
        "zorbing,aB4,7.5,-1,val,0\n"
        "zorbing,aB5,1,,val,0\n"
        "zorbing,aB6,1,11,val,0\n"
        "zorbing,aB6,1,11,val,0\n"
    )
    write(tmp_path / "val.csv", CSV.splitlines()[0] + "\n" + rows)
    not_a_name = "is '': empty, of several lines, or with spaces around it"
    assert problems_of("kinetics", tmp_path) == [
        ("val.csv:2", "label", "'Zorbing' is not in the class list"),
        ("val.csv:3", "label", not_a_name),
        ("val.csv:3", "label", "'' is not in the class list"),
        ("val.csv:4", "youtube_id", "'../aB3' has a \"..\" part"),
        ("val.csv:5", "time_start", "must be whole seconds, got '7.5'"),
        ("val.csv:5", "time_end", "must be whole seconds, got '-1'"),
        ("val.csv:6", "time_end", not_a_name),
        ("val.csv:8", "", f"'aB6_000001_000011' is at {tmp_path}/val.csv:7, too"),
    ]


def test_line_problems_are_all_named(tmp_path: Path) -> None:
    write_classes(tmp_path)
    write(tmp_path / "val.txt", "a.mp4 3\nb.mp4\nc.mp4 -1\n/d.mp4 0\ne.mp4 \u0662\nf.mp4 2\n")
    below = "does not end in a class number below 3"
    assert problems_of("kinetics", tmp_path) == [
        ("val.txt:1", "", f"'a.mp4 3' {below}"),
        ("val.txt:2", "", "is '': empty, of several lines, or with spaces around it"),
        ("val.txt:2", "", f"'b.mp4' {below}"),
        ("val.txt:3", "", f"'c.mp4 -1' {below}"),
        ("val.txt:4", "", "'/d.mp4' is an absolute path"),
        ("val.txt:5", "", f"'e.mp4 \u0662' {below}"),
    ]


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("id,name\n1,zorbing\n", "k_labels.csv:2", "is '1', not 0"),
        ("id,name\n0,zorbing\n1,zorbing\n", "k_labels.csv", "'zorbing' is there twice"),
        ("id,name\n", "k_labels.csv", "holds no classes"),
        ("id,name\n0,YoYo\n1,yo yo\n", "", "'YoYo' and 'yo yo' are the same words"),
    ],
)
def test_class_list_problems(tmp_path: Path, text: str, place: str, what: str) -> None:
    write(tmp_path / "k_labels.csv", text)
    write(tmp_path / "val.txt", "a.mp4 0\n")
    assert (place, what) in [(p, w) for p, _, w in problems_of("kinetics", tmp_path)]


def test_missing_and_doubtful_files_are_named(tmp_path: Path) -> None:
    assert refusal_of("kinetics", tmp_path).startswith("does not hold a class list: label_map_")
    write_classes(tmp_path)
    assert refusal_of("kinetics", tmp_path).startswith("does not hold val.csv, val.txt or a name")
    write(tmp_path / "val.csv", CSV)
    write(tmp_path / "k_val.txt", TXT)
    refusal = refusal_of("kinetics", tmp_path)
    assert refusal.startswith("there are 2 lists of split 'val': k_val.txt, val.csv")
    assert load_benchmark("kinetics", tmp_path, split="k_val").split == "k_val"
    assert refusal_of("kinetics", tmp_path, split="te/st").startswith("does not hold te/st.csv")
    assert refusal_of("kinetics", tmp_path / "val.csv").startswith("is a file. Give the folder")


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    write_classes(tmp_path)
    write(tmp_path / "val.txt", "\n")
    assert problems_of("kinetics", tmp_path) == [("val.txt", "", "holds no videos")]
