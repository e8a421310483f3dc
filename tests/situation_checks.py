"""Cases of VidSitu's evaluator, run through files, readers and scores as a user would."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from figclip.annotations.roles import short_role
from figclip.datasets.situations import Part, load_situation_truth
from figclip.errors import AnnotationError, PredictionError
from figclip.scoring.scores import PredictionScores
from figclip.scoring.situation_files import (
    load_prediction_file,
    relation_predictions,
    role_predictions,
    verb_predictions,
)
from figclip.scoring.situations import score_relations, score_roles, score_verbs
from figclip.tasks.base import check_item_means
from tests.golden_checks import Case, close

Inputs = dict[str, Any]

TEXT_SCORES = {"cider": "CIDEr", "rouge": "ROUGE-L"} | {
    f"bleu_{n}": f"BLEU-{n}" for n in range(1, 5)
}
CLUSTER_SCORES = {
    "mentions": "mentions",
    "muc": "MUC",
    "bcub": "B-cubed",
    "ceafe": "CEAF-e",
    "lea": "Lea",
    "lea_soft": "Lea-soft",
}


def write_case(folder: Path, inputs: Inputs) -> Path:
    """The official files of a case; the file of predictions is returned."""
    names = {
        "split": "vseg_split_valid_lb.json",
        "vinfo": "vinfo_valid_lb.json",
        "annotations": "vsann_valid_lb.json",
        "predictions": "predictions.json",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for key, name in names.items():
        if key in inputs:
            (folder / name).write_text(json.dumps(inputs[key]), encoding="utf-8")
    return folder / names["predictions"]


def score_case(folder: Path, inputs: Inputs, part: Part) -> PredictionScores:
    file = load_prediction_file(write_case(folder, inputs))
    assert file.part == part
    truth = load_situation_truth(folder, "valid", parts=(part,))
    if part == "verbs":
        return score_verbs(truth, verb_predictions(file, truth))
    if part == "roles":
        return score_roles(truth, role_predictions(file, truth))
    return score_relations(truth, relation_predictions(file, truth))


def without_later_repeats(inputs: Inputs) -> Inputs:
    """What the official evaluator makes of a repeated index: the first counts."""
    first: dict[int, Any] = {}
    for one in inputs["predictions"]:
        first.setdefault(one["ann_idx"], one)
    return {**inputs, "predictions": list(first.values())}


def is_repeated(inputs: Inputs) -> bool:
    return len({one["ann_idx"] for one in inputs["predictions"]}) < len(inputs["predictions"])


def check_verbs(case: Case, folder: Path) -> None:
    inputs, expected = case["inputs"], case["expected"]
    if "error" in expected:
        with pytest.raises((PredictionError, AnnotationError)):
            score_case(folder, inputs, "verbs")
        return
    if is_repeated(inputs):
        with pytest.raises(PredictionError, match="again, with another prediction"):
            score_case(folder, inputs, "verbs")
        inputs = without_later_repeats(inputs)
    found = score_case(folder, inputs, "verbs")
    scores = {name: score.official for name, score in found.scores.items()}
    for k in range(1, 6):
        close(scores[f"Acc@{k}"], expected[f"Per_Ev_Top_{k}"])
        close(scores[f"Acc@{k} of all events of a video"], expected[f"Per_Vid_Top_{k}"])
    close(scores["Rec@5"], expected["recall_macro_1_th_9"])
    assert found.counts["frequent verbs"] == expected["num_vbs_thresh_9"]
    for least in range(9):
        name = f"Rec@5 of verbs of over {least} events"
        close(scores[name], expected[f"recall_macro_1_th_{least}"])
    check_item_means(found.scores, found.items)


def check_relations(case: Case, folder: Path) -> None:
    inputs, expected = case["inputs"], case["expected"]
    if case["name"] == "ERROR_label_without_scored_event":
        (notice,) = score_case(folder, inputs, "relations").notices
        assert notice.startswith("The official evaluator stops: no event is scored whose label")
        return
    if "error" in expected:
        with pytest.raises(PredictionError):
            score_case(folder, inputs, "relations")
        return
    if is_repeated(inputs):
        with pytest.raises(PredictionError, match="again, with another prediction"):
            score_case(folder, inputs, "relations")
        inputs = without_later_repeats(inputs)
    found = score_case(folder, inputs, "relations")
    close(found.scores["Top-1"].official, expected["Top_1"])
    close(found.scores["macro Top-1"].official, expected["Macro_Top_1"])
    assert found.counts["labels given"] == expected["Len"]
    for label, accuracy in expected["Macro_Top_Dct"].items():
        close(found.scores[f"Top-1 of {label}"].official, accuracy)
    check_item_means(found.scores, found.items)


STOPS = {
    "ERROR_first_video_has_more_annotators": "the first video has more annotations",
    "ERROR_video_without_used_roles": "1 video without a role that is scored",
    "ERROR_role_with_only_empty_references": "no annotator wrote a word for",
}
"""Where the official evaluator stops and ours scores, and says so."""


def check_roles(case: Case, folder: Path) -> None:
    inputs, expected = case["inputs"], case["expected"]
    if case["name"] in STOPS:
        notices = score_case(folder, inputs, "roles").notices
        assert any(STOPS[case["name"]] in notice for notice in notices)
        return
    if "error" in expected:
        with pytest.raises(AnnotationError):
            score_case(folder, inputs, "roles")
        return
    if case["name"] == "predictions_with_Args_key":
        check_annotation_format(inputs, expected, folder)
        return
    found = score_case(folder, accepted(case, folder), "roles")
    check_role_scores(found, expected)
    check_item_means(found.scores, found.items)


def accepted(case: Case, folder: Path) -> Inputs:
    """The inputs, without what ours refuses and the official evaluator does not look at."""
    inputs = case["inputs"]
    if is_repeated(inputs):
        with pytest.raises(PredictionError, match="again, with another prediction"):
            score_case(folder, inputs, "roles")
        return without_later_repeats(inputs)
    if case["name"] == "extra_roles_and_events":
        with pytest.raises(PredictionError, match=r"Ev6\]: is no event[^$]*Arg9\]: is no role"):
            score_case(folder, inputs, "roles")
        kept = with_texts(
            inputs, lambda event: {role: text for role, text in event.items() if role != "Arg9"}
        )
        for one in kept["predictions"]:
            del one["vb_output"]["Ev6"]
        return kept
    return inputs


def check_annotation_format(inputs: Inputs, expected: Inputs, folder: Path) -> None:
    """Annotations given as predictions: ours are refused.

    Officially their texts count as missing, and so does their CIDEr in Lea-soft, but clusters are
    compared.
    """
    with pytest.raises(PredictionError, match="is how annotations are written"):
        score_case(folder, inputs, "roles")
    by_role = with_texts(inputs, lambda event: {short_role(n): t for n, t in event["Args"].items()})
    clusters = score_case(folder / "texts", by_role, "roles").scores
    empty = score_case(folder / "empty", with_texts(inputs, lambda _: {}), "roles")
    scores = {name: clusters[name] for name in CLUSTER_SCORES.values() if name != "Lea-soft"}
    check_role_scores(replace(empty, scores={**empty.scores, **scores}), expected)


def with_texts(inputs: Inputs, texts_of: Callable[[Any], dict[str, str]]) -> Inputs:
    """Other texts of each predicted event."""
    predictions = [
        {
            "ann_idx": one["ann_idx"],
            "vb_output": {name: texts_of(event) for name, event in one["vb_output"].items()},
        }
        for one in inputs["predictions"]
    ]
    return {**inputs, "predictions": predictions}


def check_role_scores(found: PredictionScores, expected: Inputs) -> None:
    scores = {name: score.official for name, score in found.scores.items()}
    metrics = dict(expected["metrics"])
    for official, ours in CLUSTER_SCORES.items():
        close(scores[ours], metrics.pop(official))
    for official, ours in TEXT_SCORES.items():
        close(scores[ours], metrics.pop(official))
        close(scores[f"{ours}-Vb"], metrics.pop(f"MacroVb_{official}"))
        close(scores[f"{ours}-Arg"], metrics.pop(f"MacroArg_{official}"))
    for name, value in metrics.items():
        role, _, official = name.partition("_")
        close(scores[f"{TEXT_SCORES[official]} of {role}"], value)
    block = found.items[0]
    if "items" in expected:
        items = expected["items"]
        assert list(block.labels["predicted"]) == [one["prediction"] for one in items]
        assert list(block.labels["verb"]) == [one["verb"] for one in items]
        close(block.values["CIDEr"], [one["cider"] for one in items])
        close(block.values["ROUGE-L"], [one["rouge"] for one in items])
        for n in range(1, 5):
            close(block.values[f"BLEU-{n} of the text"], [one["bleu"][n - 1] for one in items])
    else:
        close(block.values["CIDEr"], expected["cider_sent"])
        close(block.values["ROUGE-L"], expected["rouge_sent"])
        close(block.values["BLEU-4 of the text"], expected["bleu_4_sent"])
