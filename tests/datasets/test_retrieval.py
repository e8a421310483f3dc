"""MSR-VTT, ActivityNet Captions and YouCook2: what their files mean, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from figclip.datasets.catalogue import load_benchmark
from figclip.datasets.records import CaptionedMedium, Medium, RetrievalSet
from tests.datasets.benchmark_files import problems_of, refusal_of, write, write_json

MSRVTT = "key,vid_key,video_id,sentence\n"


def captioned(name: str, caption: str) -> CaptionedMedium:
    also = (name.removeprefix("v_"),) if name.startswith("v_") else ()
    medium = Medium(kind="video", name=name, also=also)
    return CaptionedMedium(id=name, medium=medium, captions=(caption,), group=name)


def test_msrvtt(tmp_path: Path) -> None:
    text = f'{MSRVTT}ret0,msr7,video7,a goat sings\nret1,msr2,video2,"a hat, a cat"\n'
    file = write(tmp_path / "MSRVTT_JSFUSION_test.csv", text)
    expected = RetrievalSet(
        split="1k-A",
        items=(captioned("video7", "a goat sings"), captioned("video2", "a hat, a cat")),
    )
    assert load_benchmark("msrvtt", tmp_path) == expected
    assert load_benchmark("msrvtt", file, split="1k-A") == expected


def test_a_byte_order_mark_and_crlf_are_no_problem(tmp_path: Path) -> None:
    text = "\ufeffvideo_id,sentence\r\nvideo1,a goat sings\r\n"
    write(tmp_path / "MSRVTT_JSFUSION_test.csv", text)
    assert load_benchmark("msrvtt", tmp_path).items == (captioned("video1", "a goat sings"),)


def test_a_long_caption_is_kept_whole(tmp_path: Path) -> None:
    caption = " ".join(["word"] * 300)
    write(tmp_path / "MSRVTT_JSFUSION_test.csv", f"video_id,sentence\nvideo1,{caption}\n")
    assert load_benchmark("msrvtt", tmp_path).items == (captioned("video1", caption),)


def test_msrvtt_problems_are_all_named(tmp_path: Path) -> None:
    rows = (
        "r0,k,video1,a goat sings\n"
        "r1,k,video1,again\n"
        "r2,k,video3, \n"
        "r3,k,../video4,a hat\n"
        "r4,k,/video5,a hat\n"
        "r5,k,C:video6,a hat\n"
        "r6,k,a\\b,a hat\n"
        "r7,k,,a hat\n"
        "r8,k,video8,nu\x00l\n"
        "r9,k,video9\n"
    )
    write(tmp_path / "MSRVTT_JSFUSION_test.csv", MSRVTT + rows)
    name = "MSRVTT_JSFUSION_test.csv"
    assert problems_of("msrvtt", tmp_path) == [
        (f"{name}:3", "", f"'video1' is at {tmp_path / name}:2, too"),
        (f"{name}:4", "sentence", "is empty"),
        (f"{name}:5", "video_id", "'../video4' has a \"..\" part"),
        (f"{name}:6", "video_id", "'/video5' is an absolute path"),
        (f"{name}:7", "video_id", "'C:video6' is an absolute path"),
        (f"{name}:8", "video_id", "'a\\\\b' holds a backslash"),
        (f"{name}:9", "video_id", "is '': empty, of several lines, or with spaces around it"),
        (f"{name}:10", "sentence", "holds the character '\\x00', which is not text"),
        (f"{name}:11", "", "has 3 cells, the first row has 4"),
    ]


@pytest.mark.parametrize(
    ("text", "field", "what"),
    [
        ("", "video_id", "column is missing"),
        ("video_id,sentence\n", "", "holds no videos"),
        ('video_id,sentence\n"a', "", "is not CSV: unexpected end of data"),
        ("video_id,sentence,sentence\na,b,c\n", "sentence", "is the name of two columns"),
    ],
)
def test_unusable_tables(tmp_path: Path, text: str, field: str, what: str) -> None:
    write(tmp_path / "MSRVTT_JSFUSION_test.csv", text)
    assert problems_of("msrvtt", tmp_path)[0][1:] == (field, what)


def test_other_encodings_are_named(tmp_path: Path) -> None:
    file = tmp_path / "MSRVTT_JSFUSION_test.csv"
    file.write_bytes("video_id,sentence\nvideo1,a go\xe4t\n".encode("latin-1"))
    where = "MSRVTT_JSFUSION_test.csv:2"
    what = "is not UTF-8 text (byte 12 of the line)"
    assert problems_of("msrvtt", tmp_path) == [(where, "", what)]
    file.write_bytes("video_id,sentence\n".encode("utf-16"))
    assert problems_of("msrvtt", tmp_path) == [
        ("MSRVTT_JSFUSION_test.csv", "", "is UTF-16 text"),
    ]


def test_missing_files_are_named(tmp_path: Path) -> None:
    assert refusal_of("msrvtt", tmp_path) == (
        "does not hold MSRVTT_JSFUSION_test.csv. It is looked for in the folder itself"
    )
    assert refusal_of("msrvtt", tmp_path / "no").startswith("does not exist. Give the folder that")
    other = write(tmp_path / "other.csv", MSRVTT)
    assert refusal_of("msrvtt", other).startswith("is not the file MSRVTT_JSFUSION_test.csv")


def sentences(*texts: object) -> dict[str, Any]:
    times = [[0.5, 2.0]] * len(texts)
    return {"duration": 9.5, "timestamps": times, "sentences": list(texts)}


def test_activitynet_joins_the_sentences(tmp_path: Path) -> None:
    videos = {"v_a-1": sentences("A goat sings. ", "  It\nbows."), "v__b": sentences("A hat.")}
    write_json(tmp_path / "val_1.json", videos)
    write_json(tmp_path / "val_2.json", {"v_a-1": sentences("One song.")})
    first = load_benchmark("activitynet", tmp_path)
    assert first == RetrievalSet(
        split="val_1",
        items=(captioned("v_a-1", "A goat sings. It bows."), captioned("v__b", "A hat.")),
    )
    second = RetrievalSet(split="val_2", items=(captioned("v_a-1", "One song."),))
    assert load_benchmark("activitynet", tmp_path, split="val_2") == second
    assert load_benchmark("activitynet", tmp_path / "val_2.json", split="val_2") == second


def test_the_file_of_another_split_is_not_taken_for_the_default(tmp_path: Path) -> None:
    file = write_json(tmp_path / "val_2.json", {"v_a": sentences("A goat.")})
    assert refusal_of("activitynet", file).startswith("is not the file val_1.json")


def test_both_files_of_youcook2_give_the_same(tmp_path: Path) -> None:
    expected = RetrievalSet(split="val", items=(captioned("v_x", "cut the leek. boil it"),))
    write_json(tmp_path / "para_yc2_val.json", {"v_x": "cut the leek.  boil it"})
    assert load_benchmark("youcook2", tmp_path) == expected
    write_json(tmp_path / "yc2_val.json", {"v_x": sentences("cut the leek", " boil it")})
    assert load_benchmark("youcook2", tmp_path) == expected


def test_paragraph_problems_are_all_named(tmp_path: Path) -> None:
    videos = {
        "v_a": sentences("A goat.", " "),
        "v_b": sentences(),
        "v_c": sentences("A goat.", 7),
        "v_d": {"sentences": "A goat."},
        "v_e": {},
        "v_f": ["A goat."],
        "": sentences("A goat."),
    }
    write_json(tmp_path / "val_1.json", videos)
    assert problems_of("activitynet", tmp_path) == [
        ("val_1.json: 'v_a'", "sentences[1]", "is empty"),
        ("val_1.json: 'v_b'", "sentences", "must be a list of texts, got an empty one"),
        ("val_1.json: 'v_c'", "sentences[1]", "must be text, got 7"),
        ("val_1.json: 'v_d'", "sentences", "must be a list of texts, got 'A goat.'"),
        ("val_1.json: 'v_e'", "sentences", "is missing"),
        ("val_1.json: 'v_f'", "", "must be an object or text, got a list"),
        (
            "val_1.json: ''",
            "",
            "is '': empty, of several lines, or with spaces around it",
        ),
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[]", "must hold one object, got a list"),
        ("{}", "holds no videos"),
        ("null", "holds nothing but null"),
        ('{"v_a": ', "is not JSON: Expecting value (column 9)"),
        ('{"v_a": 1, "v_a": 2}', "key 'v_a' stands twice in one object"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_unusable_json(tmp_path: Path, text: str, what: str) -> None:
    write(tmp_path / "val_1.json", text)
    assert problems_of("activitynet", tmp_path) == [("val_1.json", "", what)]
