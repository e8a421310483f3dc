"""Prediction files of all benchmarks, found by the NAME of their data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from figclip.errors import AnnotationError, ConfigError, DataError, PredictionError
from figclip.scoring.score import score_predictions
from tests.situation_files import (
    SEGMENTS,
    relation_rows,
    role_rows,
    verb_rows,
    write_official,
    write_rows,
)


@pytest.mark.parametrize(
    ("rows", "protocol", "name"),
    [
        (verb_rows(), "vidsitu_verbs", "Acc@1"),
        (role_rows(), "vidsitu_roles", "ROUGE-L"),
        (relation_rows(), "vidsitu_relations", "Top-1"),
    ],
)
def test_vidsitu(rows: object, protocol: str, name: str, tmp_path: Path):
    folder = write_official(tmp_path / "official")
    file = write_rows(tmp_path / "mine.json", rows)
    result = score_predictions(file, data=f"vidsitu:{folder}", out=tmp_path / "new" / "scores")
    assert result.file == tmp_path / "new" / "scores" / f"mine-{protocol}.json"
    assert json.loads(result.file.read_text())["scores"][name]["official"] > 0.5
    again = score_predictions(file, data=f"vidsitu:{folder},split=valid", out=tmp_path / "scores")
    assert again.scores.data == result.scores.data


def test_predictions_of_some_videos_are_scored_when_asked_to_be(tmp_path: Path):
    data = f"vidsitu:{write_official(tmp_path / 'official')}"
    file = write_rows(tmp_path / "some.json", role_rows()[1:])
    with pytest.raises(PredictionError, match=r"no prediction for 1 of 3 videos: .* add --partial"):
        score_predictions(file, data=data, out=tmp_path)
    result = score_predictions(file, data=data, out=tmp_path, is_partial=True)
    assert result.scores.counts["videos"] == 2
    assert [(one.item, one.reason) for one in result.scores.left_out] == [
        (SEGMENTS[0], "no prediction")
    ]
    assert "There is no prediction for 1 of 3 videos: left out" in result.scores.notices
    whole = write_rows(tmp_path / "all.json", role_rows())
    partial, asked = (
        score_predictions(whole, data=data, out=tmp_path, is_partial=one).scores
        for one in (False, True)
    )
    assert partial.scores == asked.scores and partial.notices == asked.notices == ()


def own_annotations(path: Path, splits: tuple[str, ...] = ("train", "valid")) -> Path:
    event = {"start_s": 0, "end_s": 1, "verb": "cut", "roles": {"cutter": "man", "thing": "bread"}}
    lines = [
        {"video": f"{split}.mp4", "split": split, "events": [{**event, "verb": f"cut {split}"}]}
        for split in splits
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("splits", "option", "expected"),
    [
        (("train", "valid"), "", "valid"),
        (("train", "valid"), ",split=train", "train"),
        (("train",), "", None),
    ],
)
def test_own_annotations(
    splits: tuple[str, ...], option: str, expected: str | None, tmp_path: Path
):
    annotations = own_annotations(tmp_path / "own.jsonl", splits)
    verb = f"cut {expected or 'train'}"
    file = write_rows(tmp_path / "verbs.json", [{"ann_idx": 0, "pred_vbs_ev": [[verb]]}])
    result = score_predictions(file, data=f"events:{annotations}{option}", out=tmp_path)
    assert result.scores.data.split == expected
    assert result.scores.scores["Acc@1"].official == 1


def dense_captions(folder: Path) -> Path:
    annotated = {"v_1": {"duration": 10.0, "timestamps": [[0, 5]], "sentences": ["A man walks."]}}
    for name in ("val_1.json", "val_2.json"):
        (folder / name).write_text(json.dumps(annotated))
    events = [{"sentence": "a man walks", "timestamp": [0, 5]}]
    content = {"version": "VERSION 1.0", "results": {"v_1": events}, "external_data": {}}
    return write_rows(folder / "dense.json", content)


def test_dense_captions(tmp_path: Path):
    file = dense_captions(tmp_path)
    result = score_predictions(file, data=f"activitynet:{tmp_path}", out=tmp_path / "scores")
    assert result.scores.protocol == "dense_captions"
    assert result.file.name == "dense-dense_captions.json"
    one, two = tmp_path / "val_1.json", tmp_path / "val_2.json"
    again = score_predictions(file, data=f"activitynet:{one},{two}", out=tmp_path / "scores")
    assert again.scores.scores == result.scores.scores
    assert again.scores.data.source == "val_1.json, val_2.json"
    youcook2 = score_predictions(file, data=f"youcook2:{one}", out=tmp_path / "scores")
    assert youcook2.scores.data.name == "youcook2"


def test_dense_captions_of_some_videos_are_scored_when_asked_to_be(tmp_path: Path):
    file = dense_captions(tmp_path)
    alone = score_predictions(file, data=f"activitynet:{tmp_path}", out=tmp_path / "scores")
    for name, more in (("val_1.json", ("v_2", "v_3")), ("val_2.json", ("v_3",))):
        annotated = json.loads((tmp_path / name).read_text())
        annotated |= dict.fromkeys(more, annotated["v_1"])
        (tmp_path / name).write_text(json.dumps(annotated))
    content = json.loads(file.read_text())
    content["results"]["v_3"] = []
    silent = write_rows(tmp_path / "silent.json", content)
    counts_0, part, with_silent = (
        score_predictions(
            each, data=f"activitynet:{tmp_path}", out=tmp_path / "scores", is_partial=is_partial
        ).scores
        for each, is_partial in ((file, False), (file, True), (silent, True))
    )
    recall = "recall"
    assert part.scores == alone.scores.scores
    assert counts_0.scores[recall].official == pytest.approx(
        alone.scores.scores[recall].official / 3
    )
    assert [(one.item, one.reason) for one in part.left_out] == [
        ("v_2", "no prediction"), ("v_3", "no prediction")
    ]  # fmt: skip
    assert "2 videos of 3 without prediction: left out" in part.notices
    assert part.data == counts_0.data  # the truth is the same
    assert [one.item for one in with_silent.left_out] == ["v_2"]
    assert with_silent.scores[recall].official == pytest.approx(part.scores[recall].official / 2)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("vidsitu", "says no data set"),
        ("vidsitu:", "says no path"),
        ("msrvtt:.", "no prediction files are scored on msrvtt"),
        ("nothing:.", "unknown data set 'nothing'"),
        ("vidsitu:.,.", "vidsitu has one path"),
        ("vidsitu:.,videos=.", "only split= goes with predictions"),
        ("events:.,face=kept", "only split= goes with predictions"),
        ("vidsitu:.,other=1", "is not an option"),
    ],
)
def test_wrong_use(data: str, what: str, tmp_path: Path):
    with pytest.raises(ConfigError, match=what):
        score_predictions(tmp_path / "preds.json", data=data, out=tmp_path)


def test_what_cannot_be_read_is_named_and_nothing_is_written(tmp_path: Path):
    file = write_rows(tmp_path / "verbs.json", verb_rows())
    out = tmp_path / "scores"
    with pytest.raises(AnnotationError, match="holds no vinfo_testvb_lb"):
        folder = write_official(tmp_path / "official")
        score_predictions(file, data=f"vidsitu:{folder},split=testvb", out=out)
    with pytest.raises(DataError, match="has no split testvb"):
        annotations = own_annotations(tmp_path / "own.jsonl")
        score_predictions(file, data=f"events:{annotations},split=testvb", out=out)
    with pytest.raises(PredictionError, match="cannot be read"):
        score_predictions(tmp_path / "absent.json", data=f"vidsitu:{tmp_path}", out=out)
    assert not out.exists()


def test_no_model_library_is_loaded():
    code = "import sys, figclip.scoring.score; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
