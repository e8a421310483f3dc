from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from jaxtyping import Float32

from figclip.annotations.captions import plain_sentence
from figclip.annotations.counterfactuals import build_counterfeit_pools
from figclip.records import Annotation
from figclip.tasks.base import FrameTextEmbedder
from figclip.tasks.dense_retrieval import CHOOSING_KINDS, build_validation
from tests.dense_sets import BlindEmbedder, KnowingEmbedder, make_event, without_frames
from tests.small_runs import make_records

RECORDS = make_records([3, 3, 3, 3])


def scores_of(embedder: FrameTextEmbedder, records: list) -> dict[str, float]:
    validation = build_validation(
        without_frames(records),
        pools=build_counterfeit_pools(records),
        frames_per_event=2,
        seed=0,
    )
    return validation.scores(embedder)


class ReadingEmbedder(BlindEmbedder):
    """Never looks: it has learnt which sentences are true, and prefers them to any other."""

    def __init__(self, true: set[str]) -> None:
        self.true = true
        self.texts: list[str] = []

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "N D"]:
        self.texts += texts
        rows = super().embed_texts(texts)
        sign_N = np.array([1 if text in self.true else -1 for text in texts], np.float32)
        return rows * sign_N[:, None]


def test_who_knows_is_at_the_top_and_who_is_wrong_below_guessing() -> None:
    knowing = scores_of(KnowingEmbedder(wording=plain_sentence), RECORDS)
    wrong = scores_of(KnowingEmbedder(wording=plain_sentence, truth=-1.0), RECORDS)
    assert knowing["event_r1"] == 1.0 and wrong["event_r1"] == 0.0
    # Under foreign videos its choices are chance: half of them are right by luck.
    assert 0.3 < knowing["over_blind"] < 0.7
    assert -0.7 < wrong["over_blind"] < -0.3
    assert knowing["score"] == pytest.approx((1.0 + knowing["over_blind"]) / 2)


def test_what_words_alone_win_chooses_nothing() -> None:
    true = {plain_sentence(e) for r in RECORDS for one in r.annotations for e in one.events}
    reading = ReadingEmbedder(true)
    scores = scores_of(reading, RECORDS)
    assert scores == {"event_r1": 0.0, "over_blind": 0.0, "score": 0.0}
    # It would have won every choice: all true sentences and some false ones were read.
    assert true < set(reading.texts)


def test_sentences_are_not_those_of_the_training_template() -> None:
    reading = ReadingEmbedder(set())
    scores_of(reading, RECORDS)
    assert not any(text.startswith("In this photo") for text in reading.texts)


def test_who_finds_everything_equal_scores_nothing() -> None:
    assert scores_of(BlindEmbedder(), RECORDS) == {
        "event_r1": 0.0,
        "over_blind": 0.0,
        "score": 0.0,
    }


def test_every_frame_is_embedded_once() -> None:
    embedder = KnowingEmbedder(wording=plain_sentence)
    scores_of(embedder, RECORDS)
    assert embedder.num_frames == 24


def test_kinds_count_alike_and_the_role_swap_not_at_all() -> None:
    assert "role swap" not in CHOOSING_KINDS
    without_verb = KnowingEmbedder(
        wording=plain_sentence, reads=lambda text: text.partition(" box")[2]
    )
    asked = build_validation(
        without_frames(RECORDS),
        pools=build_counterfeit_pools(RECORDS),
        frames_per_event=2,
        seed=0,
    )
    # Kinds of which the set has nothing (direction, manner, scene) are not asked.
    assert set(asked.contrasts) == {"verb", "filler"} == set(asked.blind)
    assert asked.scores(without_verb)["over_blind"] < 0.4, "only fillers are told"


def test_without_counterfeits_retrieval_alone_decides() -> None:
    lonely = Annotation(events=(make_event("push", "man", "box"),))
    record = dataclasses.replace(RECORDS[0], annotations=(lonely,))
    assert scores_of(KnowingEmbedder(wording=plain_sentence), [record]) == {
        "event_r1": 1.0,
        "score": 1.0,
    }
