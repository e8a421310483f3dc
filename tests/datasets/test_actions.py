"""HMDB51 and UCF101: what their lists mean, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from figclip.datasets.actions import HMDB51_FOLDERS, UCF101_FOLDERS
from figclip.datasets.catalogue import load_benchmark
from figclip.datasets.records import ActionSet, LabelledMedium, Medium
from tests.datasets.benchmark_files import (
    HMDB51_TAIL,
    problems_of,
    refusal_of,
    write,
    write_hmdb51,
    write_ucf101,
)


def labelled(name: str, *, class_idx: int, split: str, group: str) -> LabelledMedium:
    medium = Medium(kind="video", name=name)
    return LabelledMedium(id=name, medium=medium, class_idx=class_idx, split=split, group=group)


def small_hmdb51(folder: Path) -> Path:
    """`kick_ball` and `kick`, whose films and names are made to be confused."""
    ball = [f"My_(kick)_Film_#2_kick_ball_{HMDB51_TAIL}_{n}.avi" for n in range(3)]
    kick = [f"{film}_kick_{HMDB51_TAIL}_0.avi" for film in ("My_(kick)_Film_#2", "+[~]&;@!")]
    return write_hmdb51(
        folder,
        {
            "1": {
                "kick_ball": [f"{ball[0]} 2", f"{ball[1]} 1", f"{ball[2]} 0"],
                "kick": [f"{kick[0]} 2", f"{kick[1]} 2"],
            },
            "2": {"kick_ball": [f"{ball[1]} 2"], "kick": [f"{kick[1]} 2"]},
            "3": {"kick_ball": [f"{ball[1]} 2", f"{ball[0]} 2"], "kick": [f"{kick[0]} 1"]},
        },
    )


FILM = "My_(kick)_Film_#2"
ODD = "+[~]&;@!"
NOTICE = ("only 2 of the 51 classes have lists",)


def test_hmdb51(tmp_path: Path) -> None:
    tail = HMDB51_TAIL
    assert load_benchmark("hmdb51", small_hmdb51(tmp_path)) == ActionSet(
        split="1+2+3",
        classes=("kick", "kick_ball"),
        class_names=("kick", "kick ball"),
        items=(
            labelled(f"{FILM}_kick_{tail}_0.avi", class_idx=0, split="1", group=FILM),
            labelled(f"{ODD}_kick_{tail}_0.avi", class_idx=0, split="1", group=ODD),
            labelled(f"{FILM}_kick_ball_{tail}_0.avi", class_idx=1, split="1", group=FILM),
            labelled(f"{ODD}_kick_{tail}_0.avi", class_idx=0, split="2", group=ODD),
            labelled(f"{FILM}_kick_ball_{tail}_1.avi", class_idx=1, split="2", group=FILM),
            labelled(f"{FILM}_kick_ball_{tail}_1.avi", class_idx=1, split="3", group=FILM),
            labelled(f"{FILM}_kick_ball_{tail}_0.avi", class_idx=1, split="3", group=FILM),
        ),
        notices=NOTICE,
    )


@pytest.mark.parametrize("subfolder", HMDB51_FOLDERS)
def test_hmdb51_lists_may_lie_in_a_sub_folder(tmp_path: Path, subfolder: str) -> None:
    small_hmdb51(tmp_path / subfolder)
    loaded = load_benchmark("hmdb51", tmp_path, split="2")
    assert [item.medium.name for item in loaded.items] == [
        f"{ODD}_kick_{HMDB51_TAIL}_0.avi",
        f"{FILM}_kick_ball_{HMDB51_TAIL}_1.avi",
    ]
    assert loaded.split == "2"


def test_hmdb51_problems_are_all_named(tmp_path: Path) -> None:
    lists = {
        "kick": ["a_kick_0.avi 3", "a_kick_1.avi", "../b_kick_0.avi 2"],
        "wave": ["c_wave_0.avi 2", "c_wave_0.avi 2"],
    }
    write_hmdb51(tmp_path, {"1": lists, "2": {"wave": ["c_wave_0.avi 2"]}})
    assert problems_of("hmdb51", tmp_path, split="1") == [
        (
            "kick_test_split1.txt:1",
            "",
            "'a_kick_0.avi 3' does not end in a space and 0, 1 or 2",
        ),
        ("kick_test_split1.txt:2", "", "'a_kick_1.avi' does not end in a space and 0, 1 or 2"),
        (
            "kick_test_split1.txt:2",
            "",
            "is '': empty, of several lines, or with spaces around it",
        ),
        ("kick_test_split1.txt:3", "", "'../b_kick_0.avi' has a \"..\" part"),
        (
            "wave_test_split1.txt:2",
            "",
            f"'c_wave_0.avi' is at {tmp_path}/wave_test_split1.txt:1, too",
        ),
    ]
    assert problems_of("hmdb51", tmp_path, split="2") == [
        ("", "", "has no test list of split 2 for class kick")
    ]
    expected = "there are no lists of split 3. Splits that are there are 1, 2: add split="
    assert refusal_of("hmdb51", tmp_path) == expected


def test_hmdb51_without_test_videos(tmp_path: Path) -> None:
    write_hmdb51(tmp_path, {"1": {"kick": ["a_kick_0.avi 1"]}})
    assert problems_of("hmdb51", tmp_path, split="1") == [("", "", "holds no videos")]
    assert refusal_of("hmdb51", tmp_path / "none").startswith("does not exist. Give the folder")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert refusal_of("hmdb51", empty) == (
        "does not hold <class>_test_split<1..3>.txt. It is looked for in the folder itself and in "
        "splits/, testTrainMulti_7030_splits/"
    )


CLASSES = ("TaiChi", "HandstandPushups", "YoYo")
LISTS = (
    ("YoYo/v_YoYo_g01_c01.avi", "HandstandPushups/v_HandStandPushups_g07_c02.avi"),
    ("TaiChi/v_TaiChi_g11_c01.avi",),
    ("YoYo/v_YoYo_g01_c01.avi", "YoYo/v_YoYo_g01_c02.avi"),
)


@pytest.mark.parametrize("subfolder", UCF101_FOLDERS)
def test_ucf101(tmp_path: Path, subfolder: str) -> None:
    write_ucf101(tmp_path / subfolder, classes=CLASSES, lists=LISTS)
    assert load_benchmark("ucf101", tmp_path) == ActionSet(
        split="1+2+3",
        classes=CLASSES,
        class_names=("tai chi", "handstand pushups", "yo yo"),
        items=(
            labelled(LISTS[0][0], class_idx=2, split="1", group="YoYo g01"),
            labelled(LISTS[0][1], class_idx=1, split="1", group="HandstandPushups g07"),
            labelled(LISTS[1][0], class_idx=0, split="2", group="TaiChi g11"),
            labelled(LISTS[2][0], class_idx=2, split="3", group="YoYo g01"),
            labelled(LISTS[2][1], class_idx=2, split="3", group="YoYo g01"),
        ),
    )
    assert len(load_benchmark("ucf101", tmp_path, split="3").items) == 2


def test_ucf101_problems_are_all_named(tmp_path: Path) -> None:
    names = ("Yoyo/v_YoYo_g01_c01.avi", "v_YoYo_g01_c01.avi", LISTS[0][0], LISTS[0][0])
    train_line = "TaiChi/v_TaiChi_g11_c01.avi 1"
    write_ucf101(tmp_path, classes=CLASSES, lists=[(*names, train_line)])
    assert problems_of("ucf101", tmp_path, split="1") == [
        ("testlist01.txt:1", "", "'Yoyo' is not in the class list"),
        ("testlist01.txt:2", "", "'' is not in the class list"),
        ("testlist01.txt:4", "", f"'{LISTS[0][0]}' is at {tmp_path}/testlist01.txt:3, too"),
        ("testlist01.txt:5", "", f"'{train_line}' is more than a path"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("1 TaiChi\n3 YoYo\n", ":2", "'3 YoYo' is not class 2"),
        ("0 TaiChi\n", ":1", "'0 TaiChi' is not class 1"),
        ("TaiChi\n", ":1", "'TaiChi' is not class 1"),
        ("1 TaiChi\n2 TaiChi\n", ":2", "'TaiChi' is there twice"),
        ("", "", "holds no classes"),
    ],
)
def test_ucf101_class_list(tmp_path: Path, text: str, line: str, what: str) -> None:
    write_ucf101(tmp_path, classes=(), lists=[["TaiChi/v_TaiChi_g11_c01.avi"]])
    write(tmp_path / "classInd.txt", text)
    assert problems_of("ucf101", tmp_path, split="1")[0] == (f"classInd.txt{line}", "", what)


def test_ucf101_classes_of_the_same_words(tmp_path: Path) -> None:
    write_ucf101(tmp_path, classes=("TaiChi", "Tai_Chi"), lists=[["TaiChi/v_TaiChi_g1_c1.avi"]])
    what = "'TaiChi' and 'Tai_Chi' are the same words"
    assert problems_of("ucf101", tmp_path, split="1") == [("", "", what)]


def test_ucf101_missing_files_are_named(tmp_path: Path) -> None:
    write_ucf101(tmp_path, classes=CLASSES, lists=LISTS[:1])
    assert refusal_of("ucf101", tmp_path).startswith("does not hold testlist02.txt. It is looked")
    (tmp_path / "classInd.txt").unlink()
    assert refusal_of("ucf101", tmp_path).startswith("does not hold classInd.txt. ")
    assert refusal_of("ucf101", tmp_path / "testlist01.txt").startswith(
        "is a file. Give the folder"
    )
