"""Small hostile files: read or refused in time that grows with their size, by stated limits."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from figclip.annotations import own_files, reading
from figclip.annotations.own_files import load_annotations, split_verb
from figclip.annotations.reading import Place, nearest
from figclip.annotations.vidsitu import load_vidsitu
from figclip.datasets.dense_captions import read_predictions
from figclip.errors import MAX_PROBLEMS, AnnotationError, FigclipError, PredictionError
from figclip.runtime import reading as files
from figclip.scoring.situation_files import load_prediction_file
from tests.annotation_files import own_event, own_video, write_jsonl

Value = TypeVar("Value")
OLD_VERB = re.compile(r"\s*(?P<verb>[^(]*?)\s*\((?P<gloss>.*)\)\s*", re.DOTALL)


@contextmanager
def within(limit_s: float) -> Generator[None]:
    """Fails when this process computes longer, with shapes checked too; quadratic is slower."""
    start_s = time.process_time()
    yield
    assert time.process_time() - start_s < limit_s


def timed(load: Callable[[], Value]) -> tuple[Value, float]:
    """What is loaded, and the seconds computed: of four times as much 4 times, quadratic 16."""
    start_s = time.process_time()
    loaded = load()
    return loaded, time.process_time() - start_s


def test_a_verb_of_spaces_is_split_at_once_and_as_before() -> None:
    with within(1):
        assert split_verb("walk" + " " * 40_000 + "x") == ("walk" + " " * 40_000 + "x", "")
        assert split_verb("walk" + " " * 40_000 + "(a)") == ("walk", "a")
    rng = random.Random(0)
    for _ in range(3_000):
        text = "".join(rng.choices("ab ()\n\u00a0", k=rng.randrange(9)))
        match = OLD_VERB.fullmatch(text)
        before = (match["verb"], match["gloss"]) if match else (text.strip(), "")
        assert split_verb(text) == before, repr(text)


def test_many_role_columns_take_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    names = ",".join(f"role:{number}:ArgM" for number in range(30_000))
    path.write_text(f"video,start_s,end_s,verb,{names}\nv.mp4,0,1,walk{',x' * 30_000}\n")
    with within(12):
        loaded = load_annotations(path)
    assert len(loaded.records[0].annotations[0].events[0].roles) == 30_000


@pytest.mark.slow
def test_many_annotations_of_one_id_take_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    took_s: list[float] = []
    for num in (5_000, 20_000):
        write_jsonl(path, [{"video": "v.mp4", "captions": [f"walk {n // 2}"]} for n in range(num)])
        loaded, computed_s = timed(lambda: load_annotations(path))
        took_s.append(computed_s)
        assert len(loaded.records[0].annotations) == num // 2
        assert loaded.notices == (f"{num // 2:,} annotations equal another of its video: dropped",)
    assert took_s[1] < 8 * took_s[0]


@pytest.mark.slow
def test_many_annotations_of_one_segment_take_linear_time(tmp_path: Path) -> None:
    event = {"vid_seg_int": "v_abcdefghijk_seg_0_10", "Args": {}}
    took_s: list[float] = []
    for num in (1_500, 6_000):
        entries = [{"Ev1": {**event, "Verb": f"walk {number // 2}"}} for number in range(num)]
        (tmp_path / "vsann_train.json").write_text(json.dumps(entries))
        loaded, computed_s = timed(lambda: load_vidsitu(tmp_path))
        took_s.append(computed_s)
        assert len(loaded.records[0].annotations) == num // 2
    assert took_s[1] < 8 * took_s[0]


def test_a_time_of_many_digits_is_read_in_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(f"video,start_s,end_s,verb\nv.mp4,0,{'1' * 100_000}x,walk\n")
    with within(1), pytest.raises(AnnotationError, match="end_s.*must be a number"):
        load_annotations(path)


@pytest.mark.parametrize("text", ["{}\n" * 5_000, "0\n" * 5_000, "x\n" * 5_000, "\0\n" * 5_000])
def test_problems_end_the_reading(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(text)
    with pytest.raises(AnnotationError, match="More than 1,000 problems") as caught:
        load_annotations(path)
    assert len(caught.value.problems) == MAX_PROBLEMS + 1
    assert str(caught.value).endswith("reading stopped there")


def test_limits_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_jsonl(tmp_path / "own.jsonl", [own_video(), own_video(video="b.mp4")])
    table = tmp_path / "own.csv"
    table.write_text("video,start_s,end_s,verb\n" + "v.mp4,0,1,walk\n" * 2)

    def refused(file: Path, match: str) -> None:
        with pytest.raises(AnnotationError, match=match):
            load_annotations(file)

    with monkeypatch.context() as patch:
        patch.setattr(reading, "MAX_ENTRIES", 1)
        refused(path, ":2: is beyond 1 entries")
    with monkeypatch.context() as patch:
        patch.setattr(own_files, "MAX_ROWS", 2)
        refused(table, ":3: is beyond 2 entries")
    with monkeypatch.context() as patch:
        patch.setattr(own_files, "MAX_FILLED_CELLS", 4)
        refused(table, ":3: is beyond 4 filled cells")
    with monkeypatch.context() as patch:
        patch.setattr(reading, "MAX_CELLS", 3)
        refused(table, ":1: is not CSV: a row has more than 3 cells")
    with monkeypatch.context() as patch:
        patch.setattr(files, "MAX_JSON_VALUES", 5)
        refused(path, "holds more than 5 values")


def test_spaces_count_from_some_length_on(tmp_path: Path) -> None:
    event = own_event(verb="walk" + " " * 200_000 + "x")
    path = write_jsonl(tmp_path / "own.jsonl", [own_video(events=[event])])
    with pytest.raises(AnnotationError, match="is longer than 10,000 characters"):
        load_annotations(path)


def test_long_names_are_cut_in_messages(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    names = ",".join(f"{'x' * 10_000}{number}" for number in range(100))
    path.write_text(f"video,start_s,end_s,verb,{names}\nv.mp4,0,1,walk{',a' * 100}\n")
    with pytest.raises(AnnotationError, match="100 problems") as caught:
        load_annotations(path)
    assert len(str(caught.value)) < 60_000


def test_advice_for_many_names_is_short() -> None:
    advice = nearest("x", [f"name{number}" for number in range(5_000)])
    assert advice.endswith("name199, …") and len(advice) < 3_000


def test_a_prediction_file_that_is_not_there_is_no_matter_of_annotations(tmp_path: Path) -> None:
    for load in (load_prediction_file, read_predictions):
        with pytest.raises(PredictionError, match="1 problem in the predictions") as caught:
            load(tmp_path / "absent.json")
        assert "cannot be read (No such file or directory)" in str(caught.value)


def test_numbers_of_hundreds_of_digits_are_named(tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    for number in ("1" * 400, "-" + "1" * 400, "1" * 5_000):
        entry = f'{{"sentence": "a", "timestamp": [0, {number}]}}'
        path.write_text(f'{{"results": {{"v": [{entry}]}}}}')
        with pytest.raises(PredictionError):
            read_predictions(path)


def test_a_place_raises_its_own_kind_of_error() -> None:
    place = Place("file", error=PredictionError).inside("a.").at("file:1")
    with pytest.raises(FigclipError, match="in the predictions"):
        for _ in range(MAX_PROBLEMS + 1):
            place.add("b", what="is wrong", fix="Correct it")
