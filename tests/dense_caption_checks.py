"""Scores of dense captions against the official evaluators' (tests/goldens/README.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from figclip.datasets.dense_captions import (
    DenseCaptionPredictions,
    DenseCaptionReferences,
    read_caption_references,
    read_predictions,
)
from figclip.metrics.localisation import TIOUS
from figclip.metrics.meteor import METEOR_EXACT, Meteor
from figclip.scoring.dense_captions import score_dense_captions
from figclip.scoring.scores import PredictionScores
from tests.golden_checks import Case, close

NAMES = {f"BLEU-{n}": f"Bleu_{n}" for n in (1, 2, 3, 4)}
NAMES |= {"CIDEr": "CIDEr", "ROUGE-L": "ROUGE_L", "recall": "Recall", "precision": "Precision"}

MeteorTable = Mapping[tuple[str, str], float]
"""METEOR of an annotated and a predicted sentence, both tokenised."""


def read_case(
    case: Case, folder: Path
) -> tuple[DenseCaptionPredictions, list[DenseCaptionReferences]]:
    """The files of a case, written and read as a user's would be."""
    references: list[DenseCaptionReferences] = []
    for number, content in enumerate(case["inputs"]["references"]):
        path = folder / f"{number}.json"
        path.write_text(json.dumps(content))
        references.append(read_caption_references(path))
    path = folder / "predictions.json"
    path.write_text(json.dumps(case["inputs"]["prediction"]))
    return read_predictions(path), references


def score_files(
    predictions: DenseCaptionPredictions,
    references: Sequence[DenseCaptionReferences],
    *,
    max_proposals: int,
    meteor: Meteor = METEOR_EXACT,
) -> PredictionScores:
    return score_dense_captions(
        predictions,
        references,
        name="activitynet",
        source="case",
        split=None,
        meteor=meteor,
        max_proposals=max_proposals,
    )


def check_scores(found: PredictionScores, expected: Mapping[str, Any]) -> None:
    """Captions without METEOR, and spans: at each threshold, and the mean."""
    for ours, theirs in NAMES.items():
        close([found.scores[f"{ours}, tIoU {t}"].official for t in TIOUS], expected[theirs])
        close(found.scores[ours].official, np.mean(expected[theirs]))


def check_meteor(found: PredictionScores, expected: Mapping[str, Any]) -> None:
    close([found.scores[f"METEOR, tIoU {tiou}"].official for tiou in TIOUS], expected["METEOR"])


def in_table(table: MeteorTable) -> Meteor:
    """METEOR that is looked up. Pairs that only captions need, and not SODA, are NaN."""

    def stats(hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
        pairs = zip(hypotheses, references, strict=True)
        return np.array([[table.get(pair, np.nan)] for pair in pairs]).reshape(-1, 1)

    return Meteor(name="METEOR", soda_name="SODA_c", stats=stats, scores=lambda stats: stats[:, 0])


def check_soda(
    case: Case, folder: Path, *, meteor: Meteor, each: Sequence[float], mean: float
) -> None:
    """SODA_c of all references together, and of each alone."""
    predictions, references = read_case(case, folder)
    for used, expected in zip(
        (references, *([one] for one in references)), (mean, *each), strict=True
    ):
        found = score_files(predictions, used, meteor=meteor, max_proposals=1000)
        close(found.scores["SODA_c"].official, expected)


def check_made_up(case: Case, folder: Path) -> None:
    """A case of the repository."""
    predictions, references = read_case(case, folder)
    expected = case["expected"]
    found = score_files(predictions, references, max_proposals=case["inputs"]["max_proposals"])
    check_scores(found, expected)
    table = {(annotated, predicted): score for annotated, predicted, score in case["meteor"]}
    check_soda(
        case,
        folder,
        meteor=in_table(table),
        each=expected["soda_c_of_each_reference"],
        mean=expected["soda_c"],
    )
