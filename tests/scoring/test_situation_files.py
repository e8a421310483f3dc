"""Prediction files: what is read, what is written, and that all that is wrong is named."""

from __future__ import annotations

import json
import pickle
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from figclip.annotations.own_files import load_annotations
from figclip.datasets.situations import SituationTruth, load_situation_truth, situation_truth_of
from figclip.errors import PredictionError
from figclip.scoring import situation_files as situation_predictions
from figclip.scoring.situation_files import (
    PredictedEvent,
    RelationPrediction,
    RolePrediction,
    VerbPrediction,
    load_prediction_file,
    relation_predictions,
    role_predictions,
    verb_predictions,
    write_situation_predictions,
)
from tests.situation_files import (
    EVENTS,
    RELATIONS,
    SEGMENTS,
    TEXTS,
    official,
    relation_rows,
    role_rows,
    verb_rows,
    write_official,
    write_rows,
)

READERS = {
    "verbs": verb_predictions,
    "roles": role_predictions,
    "relations": relation_predictions,
}


@pytest.fixture
def truth(tmp_path: Path) -> SituationTruth:
    return load_situation_truth(write_official(tmp_path / "official"), "valid")


def read(path: Path, truth: SituationTruth) -> Any:
    file = load_prediction_file(path)
    return READERS[file.part](file, truth)


def problems_of(rows: Any, truth: SituationTruth, folder: Path) -> str:
    with pytest.raises(PredictionError) as caught:
        read(write_rows(folder / "predictions.json", rows), truth)
    assert all(problem.fix for problem in caught.value.problems)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".json", ".pkl", ""])
@pytest.mark.parametrize(
    ("rows", "part"),
    [(verb_rows(), "verbs"), (role_rows(), "roles"), (relation_rows(), "relations")],
)
def test_kinds_are_known_by_content(
    rows: Any, part: str, suffix: str, truth: SituationTruth, tmp_path: Path
):
    path = tmp_path / f"predictions{suffix}"
    if suffix == ".json":
        write_rows(path, rows)
    else:
        path.write_bytes(pickle.dumps(rows, protocol=3))
    assert load_prediction_file(path).part == part
    assert len(read(path, truth).videos) == 3


def test_what_is_read(truth: SituationTruth, tmp_path: Path):
    rows = verb_rows()[::-1]
    rows[0]["pred_scores_ev"] = [[0.5, 0.25]] * 5
    verbs = read(write_rows(tmp_path / "verbs.json", rows), truth)
    assert [one.video_idx for one in verbs.videos] == [0, 1, 2]
    assert verbs.videos[2].scores == ((0.5, 0.25),) * 5
    assert verbs.videos[1].verb_ids[4] == ("walk.01", "run.02", "look.01", "sit.01", "eat.01")
    roles = read(write_rows(tmp_path / "roles.json", role_rows()), truth)
    assert roles.videos[1].events == (PredictedEvent(verb_id="walk.01", texts=TEXTS),) * 5
    relations = read(write_rows(tmp_path / "relations.json", relation_rows()), truth)
    assert relations.videos[0].labels == tuple((label,) for label in RELATIONS.values())
    assert verbs.notices == roles.notices == relations.notices == ()


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C"]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    st.lists(st.lists(TEXT, max_size=7).map(tuple), min_size=5, max_size=5).map(tuple),
    st.dictionaries(st.sampled_from(["Arg0", "Arg1", "AMnr", "AScn"]), TEXT),
    st.lists(st.sampled_from(["NoRel", "Causes"]), min_size=3, max_size=3).map(tuple),
)
def test_what_is_written_is_read_again(
    truth: SituationTruth,
    tmp_path: Path,
    verb_ids: tuple[tuple[str, ...], ...],
    texts: dict[str, str],
    labels: tuple[str, ...],
):
    event = PredictedEvent(verb_id="walk.01", texts=texts)
    of_event = labels[:1] if len(set(labels)) == 1 else labels
    written: list[list[Any]] = [
        [VerbPrediction(video_idx=idx, verb_ids=verb_ids) for idx in range(3)],
        [RolePrediction(video_idx=idx, events=(event,) * 5) for idx in range(3)],
        [RelationPrediction(video_idx=idx, labels=(of_event,) * 4) for idx in range(3)],
    ]
    for number, predictions in enumerate(written):
        path = tmp_path / f"{number}.json"
        write_situation_predictions(path, predictions)
        assert list(read(path, truth).videos) == predictions


def test_a_relation_for_all_annotators_is_written_three_times(tmp_path: Path):
    path = tmp_path / "relations.json"
    write_situation_predictions(
        path, [RelationPrediction(video_idx=4, labels=(("NoRel",), ("Causes",)))]
    )
    labels = [["NoRel"] * 3, ["Causes"] * 3]
    assert json.loads(path.read_text()) == [{"pred_evrels_ev": labels, "ann_idx": 4}]


def test_scores_that_json_cannot_hold_are_not_written(tmp_path: Path):
    bad = VerbPrediction(video_idx=0, verb_ids=(("a",),), scores=((float("nan"),),))
    with pytest.raises(ValueError, match="JSON"):
        write_situation_predictions(tmp_path / "verbs.json", [bad])
    assert not list(tmp_path.iterdir())


# --- What is wrong


def test_all_problems_of_roles_are_named_in_one_go(truth: SituationTruth, tmp_path: Path):
    rows = role_rows()
    del rows[0]["vb_output"]["Ev3"]
    rows[0]["vb_output"]["Ev1"]["Arg9"] = "nobody"
    rows[0]["vb_output"]["Ev2"]["Arg0"] = "x" * 100_000
    rows[0]["vb_output"]["Ev4"]["AScn"] = 3
    rows[0]["vb_output"]["Ev5"] = ["no", "object"]
    rows[1]["vb_output"]["Ev6"] = {}
    rows[1]["vb_output"]["Ev1"]["vb_id"] = None
    rows[1]["vb_output"]["Ev2"] = {"Args": {"Arg0 (walker)": "man"}, "VerbID": "walk.01"}
    again = role_rows()[1]
    again["vb_output"]["Ev1"]["Arg0"] = "somebody else"
    rows += [again, {**again, "ann_idx": 3}, {**again, "ann_idx": "1"}, {**again, "ann_idx": True}]
    rows += ["no object", {"vb_output": {}}, {"ann_idx": 1}]
    rows[2] = {"ann_idx": 2, "vb_output": []}
    message = problems_of(rows, truth, tmp_path)
    first, second, third = (f"[{idx}]: {segment} " for idx, segment in enumerate(SEGMENTS))
    for part in (
        f"{first}[vb_output.Ev3]: is missing",
        f"{first}[vb_output.Ev1.Arg9]: is no role. Valid are Arg0, Arg1, Arg2, ALoc",
        f"{first}[vb_output.Ev2.Arg0]: is longer than 10,000 characters",
        f"{first}[vb_output.Ev4.AScn]: must be text, got 3",
        f"{first}[vb_output.Ev5]: must be an object, got a list",
        f"{second}[vb_output.Ev6]: is no event of the video",
        f"{second}[vb_output.Ev1.vb_id]: must be text, got None",
        f"{second}[vb_output.Ev2.Args]: is how annotations are written",
        f"{third}[vb_output]: must be an object, got a list",
        f"[3]: {SEGMENTS[1]} [ann_idx]: is 1 again, with another prediction",
        "[4] [ann_idx]: is 3, but the split has 3 videos",
        "[5] [ann_idx]: must be a whole number, got '1'",
        "[6] [ann_idx]: must be a whole number, got True",
        "[7]: must be an object, got 'no object'",
        "[8] [ann_idx]: is missing",
        f"[9]: {SEGMENTS[1]} [vb_output]: is missing",
    ):
        assert part in message, part
    assert message.startswith("16 problems in the predictions")


def test_all_problems_of_verbs_are_named_in_one_go(truth: SituationTruth, tmp_path: Path):
    rows = verb_rows()
    rows[0]["pred_vbs_ev"].pop()
    rows[0]["pred_scores_ev"] = [[0.5, float("nan")], [float("inf")], ["0.5"], [True], [10**400]]
    rows[1]["pred_vbs_ev"][2] = "walk.01"
    rows[1]["pred_vbs_ev"][3] = ["walk.01", 7]
    rows[1]["pred_scores_ev"] = [[0.5]]
    del rows[2]
    message = problems_of(rows, truth, tmp_path)
    for part in (
        "[pred_vbs_ev]: must be 5 lists, one an event, got 4 entries",
        "[pred_scores_ev[0][1]]: is nan, not a finite number",
        "[pred_scores_ev[1][0]]: is inf, not a finite number",
        "[pred_scores_ev[2][0]]: must be a number, got '0.5'",
        "[pred_scores_ev[3][0]]: must be a number, got True",
        "[pred_scores_ev[4][0]]: is 1000",
        "[pred_vbs_ev[2]]: must be a list, got 'walk.01'",
        "[pred_vbs_ev[3][1]]: must be text, got 7",
        "[pred_scores_ev]: must be 5 lists, one an event, got 1 entries",
        f"has no prediction for 1 of 3 videos: {SEGMENTS[2]} (ann_idx 2)",
    ):
        assert part in message, part


def test_all_problems_of_relations_are_named_in_one_go(truth: SituationTruth, tmp_path: Path):
    rows = relation_rows()
    rows[0]["pred_evrels_ev"][0] = ["Causes", "NoRel"]
    rows[0]["pred_evrels_ev"][1] = []
    rows[1]["pred_evrels_ev"].append(["NoRel"] * 3)
    rows[2]["pred_evrels_ev"][3] = [None] * 3
    message = problems_of(rows, truth, tmp_path)
    for part in (
        "[pred_evrels_ev[0]]: has 2 labels for 3 annotators",
        "[pred_evrels_ev[1]]: has 0 labels for 3 annotators",
        "[pred_evrels_ev]: must be 4 lists, one an event, got 5 entries",
        "[pred_evrels_ev[3][0]]: must be text, got None",
    ):
        assert part in message, part


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is not JSON"),
        (b"[", "is not JSON"),
        (b"{}", "must be a list, got an object"),
        (b"[]", "holds no predictions"),
        (b'[{"ann_idx": 0}]', "holds no predictions"),
        (b'[{"ann_idx": 0, "ann_idx": 1}]', "stands twice in one object"),
        (b"\xff\xfe[]", "UTF-16"),
        (b"[" * 100_000, "is nested too deeply"),
        (b"\x80\x03]q\x00", "is no pickle, or a damaged one"),
        (pickle.dumps([np.float32(1)]), "holds more than lists, dicts, text and numbers"),
    ],
)
def test_files_that_hold_no_predictions(content: bytes, what: str, tmp_path: Path):
    path = tmp_path / "predictions"
    path.write_bytes(content)
    with pytest.raises(PredictionError, match=what):
        load_prediction_file(path)


def test_missing_and_huge_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(PredictionError, match="cannot be read"):
        load_prediction_file(tmp_path / "absent.json")
    with pytest.raises(PredictionError, match="cannot be read"):
        load_prediction_file(tmp_path)
    monkeypatch.setattr(situation_predictions, "MAX_BYTES", 10)
    with pytest.raises(PredictionError, match="is larger than 10 bytes"):
        load_prediction_file(write_rows(tmp_path / "verbs.json", verb_rows()))


def test_the_advice_for_other_pickles_works(truth: SituationTruth, tmp_path: Path):
    rows = verb_rows()
    for row in rows:
        row["pred_scores_ev"] = [np.arange(5, dtype=np.float32)] * 5
        row["ann_idx"] = np.int64(row["ann_idx"])
    (tmp_path / "my verbs.pkl").write_bytes(pickle.dumps(rows))
    with pytest.raises(PredictionError) as caught:
        load_prediction_file(tmp_path / "my verbs.pkl")
    command = shlex.split(caught.value.problems[0].fix.partition("convert it: ")[2])
    subprocess.run([sys.executable, *command[1:]], cwd=tmp_path, check=True)
    assert read(tmp_path / "my verbs.json", truth).videos[0].scores[0] == (0, 1, 2, 3, 4)


# --- What is handled by rule, and said


def test_what_the_official_evaluator_accepts_is_said(truth: SituationTruth, tmp_path: Path):
    rows = role_rows()
    rows[0]["vb_output"] = {}
    rows[1]["vb_output"]["Ev1"][""] = "words before the first role"
    rows[1]["vb_output"]["Ev2"] = {}
    roles = read(write_rows(tmp_path / "roles.json", [*rows, rows[2]]), truth)
    assert roles.videos[0].events == ()
    assert roles.videos[1].events[1] == PredictedEvent()
    assert set(roles.notices) == {
        "1 prediction equal to another of its video: counted once",
        "1 video without predicted events: all texts count as empty",
        "1 event with words before the first role: not scored",
    }
    verbs = verb_rows()
    verbs[0]["pred_vbs_ev"][0] = []
    verbs[0]["pred_vbs_ev"][1] = ["walk.01"]
    (notice,) = read(write_rows(tmp_path / "verbs.json", verbs), truth).notices
    assert notice == "2 events with fewer than 5 verbs: scored so"
    labels = relation_rows()
    labels[0]["pred_evrels_ev"][0] = ["causes"] * 3
    (notice,) = read(write_rows(tmp_path / "relations.json", labels), truth).notices
    assert notice == "1 label 'causes', which no annotator gave"


def test_verbs_that_are_no_ids_are_said(truth: SituationTruth, tmp_path: Path):
    rows = verb_rows()
    for row in rows:
        row["pred_vbs_ev"] = [["walk (on foot)"] * 5] * 5
    (notice,) = read(write_rows(tmp_path / "verbs.json", rows), truth).notices
    assert notice == "No predicted verb is one that an annotator chose"


def test_videos_without_annotation_need_no_prediction(tmp_path: Path):
    content = official()
    content["vsann_valid_lb.json"] = content["vsann_valid_lb.json"][3:]
    truth = load_situation_truth(write_official(tmp_path, content), "valid", parts=("roles",))
    path = write_rows(tmp_path / "roles.json", role_rows()[1:])
    assert [one.video_idx for one in read(path, truth).videos] == [1, 2]


def test_predictions_for_own_annotations(tmp_path: Path):
    event = {"start_s": 0, "end_s": 1, "verb": "cut", "roles": {"tool": "knife"}}
    line = {"video": "a.mp4", "events": [{**event, "slots": {"tool": "ArgM"}}]}
    (tmp_path / "own.jsonl").write_text(json.dumps(line))
    truth = situation_truth_of(load_annotations(tmp_path / "own.jsonl"))
    rows = [{"ann_idx": 0, "vb_output": {"Ev1": {"vb_id": "cut", "tool": "knife"}}}]
    (one,) = read(write_rows(tmp_path / "roles.json", rows), truth).videos
    assert one.events == (PredictedEvent(verb_id="cut", texts={"tool": "knife"}),)
    rows[0]["vb_output"]["Ev2"] = {}
    assert "It has Ev1" in problems_of(rows, truth, tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["ann_idx", "vb_output", "pred_vbs_ev", "pred_evrels_ev", *EVENTS, "Arg0"]
                ),
                inner,
            )
        ),
    ),
    st.sampled_from(["pred_vbs_ev", "vb_output", "pred_evrels_ev"]),
)
def test_any_json_is_read_or_named(truth: SituationTruth, tmp_path: Path, value: Any, key: str):
    rows = [{"ann_idx": 0, key: value}, value]
    with pytest.raises(PredictionError):
        read(write_rows(tmp_path / "predictions.json", rows), truth)
