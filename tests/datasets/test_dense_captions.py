"""Annotations and predictions of dense captioning: what is read, counted, and refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.datasets.dense_captions import (
    REFERENCE_READERS,
    CaptionedSpan,
    ReferenceVideo,
    read_caption_references,
    read_predictions,
)
from figclip.errors import AnnotationError, DataError
from figclip.scoring.dense_captions import write_captioning_predictions


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def reference(*events: tuple[float, float, str], duration: float = 100.0) -> dict[str, Any]:
    return {
        "duration": duration,
        "timestamps": [[start, end] for start, end, _ in events],
        "sentences": [sentence for _, _, sentence in events],
    }


def span(start: float, end: float, sentence: str, score: float | None = None) -> CaptionedSpan:
    return CaptionedSpan(start_s=start, end_s=end, sentence=sentence, score=score)


def problems(error: AnnotationError, file: Path) -> list[tuple[str, str, str]]:
    """Place after the file, field and what of every problem."""
    return [
        (problem.where.removeprefix(str(file)), problem.field, problem.what)
        for problem in error.problems
    ]


def test_references_are_read_as_written(tmp_path: Path) -> None:
    content = {
        "v_b": reference((0.5, 7, " A dog.\nIt bites. ")),
        "v_a": reference((3, 9, "Ünïcode")),
    }
    read = read_caption_references(write(tmp_path / "val_1.json", content))
    assert read.name == "val_1.json"
    assert read.videos == (
        ReferenceVideo(id="v_b", duration_s=100, events=(span(0.5, 7, " A dog.\nIt bites. "),)),
        ReferenceVideo(id="v_a", duration_s=100, events=(span(3, 9, "Ünïcode"),)),
    )
    assert read.notices == ()


def test_odd_references_are_kept_and_counted(tmp_path: Path) -> None:
    events = [(5, 5, "x"), (9, 3, "y"), (0, 9, " "), (0, 9, " "), (-1, 9, "z"), (90, 101, "z")]
    content = {"v_a": {**reference(*events), "subset": "validation"}}
    read = read_caption_references(write(tmp_path / "a.json", content))
    assert read.videos[0].events == tuple(span(*event) for event in events)
    assert read.notices == (
        "2 annotated events without length or reversed: overlap nothing, and count",
        "2 annotated events with an empty sentence: scored like any other",
        "1 annotated event equal to another of the same video: count each",
        "2 annotated events not wholly inside the video: scored as written",
        "1 key ignored: 'subset'",
    )


def test_all_problems_of_references_are_named(tmp_path: Path) -> None:
    bad = {
        "v_a": [1],
        "v_b": {"duration": "long", "timestamps": [[0, 1], [0], [0, True], "x"], "sentences": []},
        "v_c": {"duration": 0, "timestamps": {}, "sentences": ["a", 3, "nu\x00l"]},
        "v_d": {**reference((0, 1, "a")), "sentences": ["a", "b"]},
        "v_e": reference(),
        "v_f": {"duration": 1, "sentences": ["a"]},
        " v_g": reference((0, 1, "a")),
        "v_h": reference((0, 1e12, "a")),
    }
    file = write(tmp_path / "a.json", bad)
    with pytest.raises(AnnotationError) as caught:
        read_caption_references(file)
    assert problems(caught.value, file) == [
        (": 'v_a'", "", "must be an object, got a list"),
        (": 'v_b'", "duration", "must be a number, got 'long'"),
        (": 'v_b'", "timestamps[1]", "must be a start and an end, got a list of 1"),
        (": 'v_b'", "timestamps[2][1]", "must be a number, got True"),
        (": 'v_b'", "timestamps[3]", "must be a start and an end, got 'x'"),
        (": 'v_b'", "", "has 4 timestamps and 0 sentences"),
        (": 'v_c'", "duration", "is 0"),
        (": 'v_c'", "timestamps", "must be a list, got an object"),
        (": 'v_c'", "sentences[1]", "must be text, got 3"),
        (": 'v_c'", "sentences[2]", "holds the character '\\x00', which is not text"),
        (": 'v_d'", "", "has 1 timestamps and 2 sentences"),
        (": 'v_e'", "", "has 0 timestamps and 0 sentences"),
        (": 'v_f'", "timestamps", "is missing"),
        (": ' v_g'", "", "is ' v_g': empty, of several lines, or with spaces around it"),
        (": 'v_h'", "timestamps[0][1]", "is 1e+12, beyond 1,000,000,000"),
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{}", "holds no videos"),
        ("[]", "must hold one object, got a list"),
        ('{"v_a": {}, "v_a": {}}', "key 'v_a' stands twice in one object"),
        ('{"v_a": {"duration": NaN}}', "NaN is not a JSON value"),
        ('{"v_a": ', "is not JSON: Expecting value (column 9)"),
    ],
)
def test_files_that_are_no_references(tmp_path: Path, text: str, what: str) -> None:
    file = write(tmp_path / "a.json", text)
    with pytest.raises(AnnotationError) as caught:
        read_caption_references(file)
    assert problems(caught.value, file) == [("", "", what)]


def test_predictions_are_read_as_written(tmp_path: Path) -> None:
    entries = [
        {"sentence": "A dog.", "timestamp": [3, 1.5], "score": 0.25},
        {"sentence": "", "timestamp": [0, 1], "score": None, "query_id": 3},
        {"sentence": "", "timestamp": [0, 1], "proposal_score": 0.5},
    ]
    content = {"version": "VERSION 1.0", "results": {"v_a": entries, "v_b": []}, "model": "m"}
    read = read_predictions(write(tmp_path / "p.json", content))
    assert read.events_by_video == {
        "v_a": (span(3, 1.5, "A dog.", 0.25), span(0, 1, ""), span(0, 1, "")),
        "v_b": (),
    }
    assert read.notices == (
        "1 prediction without length or reversed: overlap nothing, and count",
        "2 predictions with an empty sentence: scored like any other",
        "1 prediction equal to another of the same video: count each",
        "3 keys ignored: 'model', 'proposal_score', 'query_id'",
    )


def test_all_problems_of_predictions_are_named(tmp_path: Path) -> None:
    results = {
        "v_a": "x",
        "v_b": ["x", {}, {"sentence": 1, "timestamp": [0, None], "score": "high"}],
        "": [],
    }
    file = write(tmp_path / "p.json", {"results": results})
    with pytest.raises(AnnotationError) as caught:
        read_predictions(file)
    assert problems(caught.value, file) == [
        (": 'v_a'", "", "must be a list of events, got 'x'"),
        (": 'v_b'", "[0]", "must be an object, got 'x'"),
        (": 'v_b'", "[1].sentence", "is missing"),
        (": 'v_b'", "[1].timestamp", "is missing"),
        (": 'v_b'", "[2].timestamp[1]", "must be a number, got None"),
        (": 'v_b'", "[2].sentence", "must be text, got 1"),
        (": 'v_b'", "[2].score", "must be a number, got 'high'"),
        (": ''", "", "is '': empty, of several lines, or with spaces around it"),
    ]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({}, "is missing"),
        ({"results": []}, "must be an object, got a list"),
        ({"results": None}, "must be an object, got None"),
    ],
)
def test_files_that_are_no_predictions(tmp_path: Path, content: object, what: str) -> None:
    file = write(tmp_path / "p.json", content)
    with pytest.raises(AnnotationError) as caught:
        read_predictions(file)
    assert problems(caught.value, file) == [("", "results", what)]


TIMES = st.floats(-1e6, 1e6)
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
EVENTS = st.builds(span, TIMES, TIMES, TEXTS, st.none() | TIMES)


@given(st.dictionaries(st.sampled_from(["v_a", "v_b", "v_c"]), st.lists(EVENTS, max_size=3)))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, events: dict[str, list[CaptionedSpan]]
) -> None:
    file = tmp_path_factory.mktemp("written") / "p.json"
    write_captioning_predictions(file, events, details="a model")
    read = read_predictions(file).events_by_video
    assert read == {video: tuple(of_video) for video, of_video in events.items()}
    # The official evaluator asks for these three.
    assert json.loads(file.read_text()).keys() == {"version", "results", "external_data"}


def test_a_time_that_json_cannot_hold_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    with pytest.raises(DataError, match="not finite"):
        write_captioning_predictions(file, {"v_a": [span(0, math.nan, "x")]}, details="")
    assert not file.exists()


def test_activitynet_is_both_annotations_or_one(tmp_path: Path) -> None:
    for number in (1, 2):
        content = {"v_a": reference((0, number, "x"))}
        write(tmp_path / "captions" / f"val_{number}.json", content)
    both = REFERENCE_READERS["activitynet"](tmp_path)
    assert [each.name for each in both] == ["val_1.json", "val_2.json"]
    assert REFERENCE_READERS["activitynet"](tmp_path, "val_2") == both[1:]
    assert REFERENCE_READERS["activitynet"](tmp_path / "captions" / "val_2.json") == both[1:]


def test_youcook2_is_one_annotation(tmp_path: Path) -> None:
    file = write(tmp_path / "yc2_val.json", {"v_a": reference((0, 1, "x"))})
    (read,) = REFERENCE_READERS["youcook2"](tmp_path)
    assert read.name == "yc2_val.json"
    assert REFERENCE_READERS["youcook2"](tmp_path, "val") == (read,)
    assert REFERENCE_READERS["youcook2"](file) == (read,)


def test_wrong_splits_and_missing_files(tmp_path: Path) -> None:
    file = write(tmp_path / "val_1.json", {"v_a": reference((0, 1, "x"))})
    with pytest.raises(DataError, match="has no split test. Splits are train, val_1, val_2"):
        REFERENCE_READERS["activitynet"](tmp_path, "test")
    with pytest.raises(DataError, match="is a file, which has no splits. Leave split= out"):
        REFERENCE_READERS["activitynet"](file, "val_1")
    with pytest.raises(DataError, match="does not hold val_2.json"):
        REFERENCE_READERS["activitynet"](tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        REFERENCE_READERS["youcook2"](tmp_path / "nowhere")
