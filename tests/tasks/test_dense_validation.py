from __future__ import annotations

import dataclasses

import pytest

from figclip.data.sense_pool import build_sense_pool
from figclip.records import Annotation
from figclip.tasks.base import FrameTextEmbedder
from figclip.tasks.dense_validation import validation_scores
from tests.dense_sets import TEMPLATE, BlindEmbedder, KnowingEmbedder, make_event, without_frames
from tests.small_runs import make_records

RECORDS = make_records([3, 3, 3, 3])


def scores_of(embedder: FrameTextEmbedder, records: list) -> dict[str, float]:
    return validation_scores(
        embedder,
        without_frames(records),
        template=TEMPLATE,
        frames_per_event=2,
        num_negatives=2,
        seed=0,
        pool=build_sense_pool(records),
    )


@pytest.mark.parametrize(
    ("embedder", "expected"),
    [(KnowingEmbedder(), 1.0), (KnowingEmbedder(truth=-1.0), 0.0), (BlindEmbedder(), 0.0)],
)
def test_perfect_worst_and_tied(embedder: FrameTextEmbedder, expected: float) -> None:
    assert scores_of(embedder, RECORDS) == {
        "event_r1": expected,
        "choice_accuracy": expected,
        "score": expected,
    }


def test_every_frame_is_embedded_once() -> None:
    embedder = KnowingEmbedder()
    scores_of(embedder, RECORDS)
    assert embedder.num_frames == 24


def test_the_score_is_the_mean_of_both() -> None:
    without_verb = KnowingEmbedder(reads=lambda text: text.split(", ", 2)[2])
    scores = scores_of(without_verb, RECORDS)
    assert scores == {"event_r1": 1.0, "choice_accuracy": 0.0, "score": 0.5}


def test_without_negatives_retrieval_alone_decides() -> None:
    lonely = Annotation(events=(make_event("push", "man", "box"),))
    record = dataclasses.replace(RECORDS[0], annotations=(lonely,))
    assert scores_of(KnowingEmbedder(), [record]) == {"event_r1": 1.0, "score": 1.0}
    plain = dataclasses.replace(RECORDS[0], annotations=(Annotation(captions=("a",)),))
    assert scores_of(KnowingEmbedder(), [plain]) == {}
