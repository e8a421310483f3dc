"""Files and table of prediction scores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from figclip.datasets.records import LeftOut
from figclip.scoring.scores import PredictionScores, ScoredData, format_scores, write_scores
from figclip.tasks.base import ItemScores, Score


@pytest.fixture
def scores() -> PredictionScores:
    return PredictionScores(
        protocol="vidsitu_roles",
        data=ScoredData(name="vidsitu", source="official", split="valid", hash="abc"),
        counts={"videos": 1324, "roles": 2},
        left_out=(LeftOut(item="v1", reason="no roles"), LeftOut(item="v2", reason="no roles")),
        scores={
            "CIDEr": Score(official=0.60789, is_headline=True),
            "Lea": Score(official=0.5, corrected=0.25),
            "ROUGE-L": Score(official=0.5, corrected=0.5),
            "rank": Score(official=3.0, unit="rank"),
            "BLEU-1": Score(official=-1e-9, is_detail=True),
        },
        items=(
            ItemScores(
                block="roles",
                item_ids=("a", "b"),
                group_ids=("g", "g"),
                values={"CIDEr": np.array([0.25, 1.0])},
                labels={"verb": ("walk.01", "run.02")},
            ),
            ItemScores(
                block="verbs", item_ids=("c",), group_ids=("g",), values={"x": np.array([1.0])}
            ),
        ),
        notices=("Something was odd",),
    )


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    path = tmp_path / "preds.json"
    path.write_text("[]")
    return path


def test_the_table_shows_corrected_scores_that_differ(scores: PredictionScores):
    assert format_scores(scores).splitlines() == [
        "vidsitu_roles on vidsitu:official (valid): 1,324 videos, 2 roles; 2 left out",
        "score        official  corrected",
        "CIDEr (%)       60.79",
        "Lea (%)         50.00      25.00",
        "ROUGE-L (%)     50.00",
        "rank             3.00",
        "",
        "Note: Something was odd",
    ]


def test_what_is_written(scores: PredictionScores, predictions: Path, tmp_path: Path):
    file = write_scores(scores, tmp_path, predictions=predictions)
    assert file == tmp_path / "preds-vidsitu_roles.json"
    content = json.loads(file.read_text())
    assert content["format"] == 1
    assert content["predictions"]["file"] == "preds.json"
    assert content["data"] == {
        "name": "vidsitu",
        "source": "official",
        "split": "valid",
        "hash": "abc",
    }
    assert content["left_out"] == [{"reason": "no roles", "count": 2, "items": ["v1", "v2"]}]
    assert content["scores"]["Lea"] == {
        "official": 0.5,
        "corrected": 0.25,
        "unit": "fraction",
        "headline": False,
        "in_table": True,
    }
    lines = file.with_suffix(".per_item.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "block": "roles",
            "item": "a",
            "group": "g",
            "values": {"CIDEr": 0.25},
            "labels": {"verb": "walk.01"},
        },
        {
            "block": "roles",
            "item": "b",
            "group": "g",
            "values": {"CIDEr": 1.0},
            "labels": {"verb": "run.02"},
        },
        {"block": "verbs", "item": "c", "group": "g", "values": {"x": 1.0}},
    ]


def test_only_a_file_about_the_same_is_replaced(
    scores: PredictionScores, predictions: Path, tmp_path: Path
):
    first = write_scores(scores, tmp_path, predictions=predictions)
    assert write_scores(scores, tmp_path, predictions=predictions) == first
    other = replace(scores, data=replace(scores.data, split="testsrl"))
    second = write_scores(other, tmp_path, predictions=predictions)
    assert second.name == "preds-vidsitu_roles-2.json"
    predictions.write_text("[ ]")
    third = write_scores(scores, tmp_path, predictions=predictions)
    assert third.name == "preds-vidsitu_roles-3.json"
    (tmp_path / "preds-vidsitu_roles-3.json").write_text("somebody's notes")
    assert write_scores(scores, tmp_path, predictions=predictions).name.endswith("-4.json")
