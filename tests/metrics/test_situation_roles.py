"""Scores of role texts over all items and within groups."""

from __future__ import annotations

import numpy as np
import pytest

from figclip.errors import MetricError
from figclip.metrics.caption_corpus import CaptionCorpus
from figclip.metrics.caption_scores import bleu, cider_d
from figclip.metrics.situations import GroupScores, score_groups, score_texts

TEXTS = ["a man", "a red dog", "the road", "a man", "the house"]
REFERENCES = [
    ["a man", "man"],
    ["dog", "a dog"],
    ["road", "the road"],
    ["woman", "a woman"],
    ["house", "the house"],
]


def groups_of(names: list[str], references: list[list[str]] = REFERENCES) -> GroupScores:
    corpus = CaptionCorpus(TEXTS, references)
    return score_groups(corpus, names, rouge_M=score_texts(corpus).rouge_M)


def test_groups_are_scored_as_if_there_were_no_others():
    found = groups_of(["b", "a", "b", "a", "a"])
    corpus = CaptionCorpus(TEXTS, REFERENCES)
    assert found.names == ("b", "a")
    assert found.size_V.tolist() == [2, 3]
    for group, items in enumerate(([0, 2], [1, 3, 4])):
        alone = CaptionCorpus([TEXTS[i] for i in items], [REFERENCES[i] for i in items])
        np.testing.assert_allclose(found.cider_M[items], cider_d(alone))
        assert found.cider_V[group] == pytest.approx(cider_d(alone).mean())
        np.testing.assert_allclose(found.bleu_VN[group], bleu(alone).corpus_N)
        assert found.rouge_V[group] == pytest.approx(score_texts(corpus).rouge_M[items].mean())
    assert found.macro_cider() == pytest.approx(found.cider_V.mean())


def test_a_single_item_has_no_rare_words():
    found = groups_of(["a", "a", "a", "a", "b"])
    assert found.cider_V[1] == 0  # although it is predicted as annotated
    assert found.macro_cider() == pytest.approx(found.cider_V[0] / 2)
    assert found.macro_cider(min_items=2) == pytest.approx(found.cider_V[0])
    assert groups_of(list("abcde")).macro_cider(min_items=2) is None


def test_groups_without_a_word_are_not_defined():
    references = [["", " "], [""], *REFERENCES[2:]]
    found = groups_of(["a", "a", "b", "b", "b"], references)
    assert np.isnan(found.cider_V[0]) and np.isnan(found.cider_M[:2]).all()
    assert found.is_defined_V.tolist() == [False, True]
    assert found.macro_cider() == pytest.approx(found.cider_V[1])
    alone = CaptionCorpus(TEXTS[2:], references[2:])
    np.testing.assert_allclose(found.cider_M[2:], cider_d(alone))


def test_no_word_at_all_is_an_error():
    with pytest.raises(MetricError):
        score_texts(CaptionCorpus(["a"], [[""]]))
    with pytest.raises(MetricError):
        score_texts(CaptionCorpus([], []))
