"""Scores of all sentences of a video as one text."""

from __future__ import annotations

import math

import numpy as np
import pytest

from figclip.metrics.meteor import METEOR_EXACT
from figclip.metrics.paragraphs import paragraph, paragraph_corpus, paragraph_scores


@pytest.mark.parametrize(
    ("sentences", "expected"),
    [
        (["A man runs.", "He stops!"], "a man runs he stops"),
        (["He doesn't stop, 2 do."], "he doesn t stop do"),
        (["Un café noir"], "un caf noir"),
        (["", " ", "123"], ""),
        ([], ""),
    ],
)
def test_words_are_what_letters_make(sentences: list[str], expected: str):
    assert paragraph(sentences) == expected


def test_hand_worked_scores():
    """Of two videos one has two references; the other says half of its one."""
    corpus = paragraph_corpus(
        [["A dog runs."], ["A man sings"]],
        [[["A cat", "sleeps"], ["a dog", "runs!"]], [["A man sings.", "He sits down."]]],
    )
    found = paragraph_scores(corpus, meteor=METEOR_EXACT)
    # Every n-gram of both is met; 6 words against 3 + 6.
    assert found.bleu_N[:3] == pytest.approx(math.exp(1 - 9 / 6), abs=1e-6)
    # Pooled: 6 of 6 words, 6 of 9, in one chunk; the pair that is whole adds no chunk.
    precision, recall = 1.0, 6 / 9
    mean = precision * recall / (0.85 * precision + 0.15 * recall)
    assert found.meteor == pytest.approx(mean * (1 - 0.6 * (1 / 6) ** 0.2))
    # The first is one of two references in full, and the other shares `a` alone, whose IDF is 0.
    assert found.cider_B.shape == (2,)
    words = 3 / 4  # no 4-gram in three words
    assert found.cider_B[0] == pytest.approx(10 * words / 2)


def test_a_video_without_predictions_counts_0():
    corpus = paragraph_corpus(
        [["a dog runs home"], []], [[["A dog runs home."]], [["A man sings."]]]
    )
    found = paragraph_scores(corpus, meteor=None)
    assert found.cider_B.tolist() == [pytest.approx(10.0), 0.0]
    assert found.bleu_N[3] == pytest.approx(math.exp(1 - 7 / 4), abs=1e-6)
    assert found.meteor is None


def test_no_word_in_any_reference():
    found = paragraph_scores(paragraph_corpus([["a dog"]], [[["1 2"]]]), meteor=None)
    assert np.array_equal(found.cider_B, [0.0])
