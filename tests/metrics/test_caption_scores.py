"""CIDEr-D, BLEU and ROUGE-L: worked by hand, and against slow oracles on subsets and groups."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.errors import MetricError
from figclip.metrics.caption_corpus import CaptionCorpus
from figclip.metrics.caption_scores import bleu, bleu_by_group, cider_d, cider_d_by_group, rouge_l
from tests.metrics.caption_oracles import slow_bleu, slow_cider_d, slow_rouge_l

SENTENCES = st.lists(st.sampled_from("a b c d  e".split(" ")), max_size=7).map(" ".join)
ITEMS = st.lists(
    st.tuples(SENTENCES, st.lists(SENTENCES, min_size=1, max_size=3)), min_size=1, max_size=8
)
Items = list[tuple[str, list[str]]]


def corpus_of(items: Items) -> CaptionCorpus:
    return CaptionCorpus([item[0] for item in items], [item[1] for item in items])


def test_cider_by_hand():
    """Two items: every n-gram of one is in one document of two, so its weight is log 2."""
    corpus = CaptionCorpus(["a man walks", "the dog"], [["a man walks"], ["the cat"]])
    # The first is its reference, of which n = 1, 2, 3 have n-grams. Of the second, one word of two
    # agrees: cosine 1/2 for n = 1, and nothing longer.
    assert cider_d(corpus) == pytest.approx([10 * 3 / 4, 10 * 0.5 / 4])


def test_cider_penalises_another_number_of_bigrams():
    """Of "x y" against "x y x y": words (1, 1) and (2, 2), clipped to half the product."""
    corpus = CaptionCorpus(["x y", "q"], [["x y x y"], ["q"]])
    words = (1 * 2 + 1 * 2) / (math.sqrt(2) * math.sqrt(8))
    bigrams = 1 * 2 / math.sqrt(2**2 + 1)
    penalty = math.exp(-((1 - 3) ** 2) / (2 * 6**2))
    assert cider_d(corpus)[0] == pytest.approx(10 * (words + bigrams) / 4 * penalty)


def test_cider_of_a_group_counts_documents_within_it():
    corpus = CaptionCorpus(["a b", "c d", "e f"], [["a b"], ["c d"], ["e f"]])
    assert cider_d(corpus).tolist() == pytest.approx([5, 5, 5])
    # Of one document no n-gram is rare.
    assert cider_d_by_group(corpus, np.array([0, 1, 0])).tolist() == pytest.approx([5, 0, 5])


def test_bleu_by_hand():
    corpus = CaptionCorpus(["the the cat"], [["the cat sat", "the cat sat on it"]])
    scores = bleu(corpus)
    # Words: "the" once, "cat" once of 3. Bigrams: "the cat" of 2. Closest length 3: no penalty.
    assert scores.corpus_N[:2] == pytest.approx([2 / 3, math.sqrt(2 / 3 * 1 / 2)])
    assert scores.items_MN[0] == pytest.approx(scores.corpus_N)
    assert 0 < scores.corpus_N[2] < 1e-4


def test_bleu_of_a_corpus_pools_counts():
    corpus = CaptionCorpus(["a b", "c"], [["a b"], ["d"]])
    scores = bleu(corpus)
    assert scores.corpus_N[0] == pytest.approx(2 / 3)
    assert scores.items_MN[:, 0] == pytest.approx([1, 0], abs=1e-6)
    assert bleu_by_group(corpus, np.array([1, 0]))[:, 0] == pytest.approx([0, 1], abs=1e-6)


def test_rouge_by_hand():
    corpus = CaptionCorpus(["a b c d", "", "a  b"], [["a x c", "b"], [""], ["a b"]])
    # "a … c" of 4 and of 3 words; "b" alone has recall 1: the best of each, taken separately.
    precision, recall = 2 / 4, 1
    expected = (1 + 1.44) * precision * recall / (recall + 1.44 * precision)
    spaced = (1 + 1.44) * (2 / 3) / (1 + 1.44 * 2 / 3)  # three words, one of them empty
    assert rouge_l(corpus) == pytest.approx([expected, 1, spaced])


@settings(deadline=None)
@given(ITEMS)
def test_captions_are_scored_as_slow_oracles_do(items: Items):
    corpus = corpus_of(items)
    candidates, references = [list(part) for part in zip(*items, strict=True)]
    if any(text.split() for own in references for text in own):
        assert cider_d(corpus) == pytest.approx(slow_cider_d(candidates, references))
    else:
        with pytest.raises(MetricError, match="CIDEr is not defined"):
            cider_d(corpus)
    scores = bleu(corpus)
    assert scores.corpus_N == pytest.approx(slow_bleu(candidates, references), abs=1e-12)
    alone = [slow_bleu([text], [own]) for text, own in zip(candidates, references, strict=True)]
    np.testing.assert_allclose(scores.items_MN, alone, rtol=1e-9, atol=1e-12)
    slow = [slow_rouge_l(text, own) for text, own in zip(candidates, references, strict=True)]
    assert rouge_l(corpus) == pytest.approx(slow)


@settings(deadline=None)
@given(ITEMS, st.data())
def test_groups_are_scored_as_if_there_were_no_others(items: Items, data: st.DataObject):
    labels = data.draw(st.lists(st.integers(0, 2), min_size=len(items), max_size=len(items)))
    _, groups = np.unique(labels, return_inverse=True)
    corpus = corpus_of(items)
    bleu_VN, cider_M = bleu_by_group(corpus, groups), cider_d_by_group(corpus, groups)
    for group in range(groups.max() + 1):
        own = np.flatnonzero(groups == group)
        alone = corpus_of([items[position] for position in own])
        np.testing.assert_allclose(bleu_VN[group], bleu(alone).corpus_N, rtol=1e-9)
        try:
            assert cider_M[own] == pytest.approx(cider_d(alone))
        except MetricError:
            assert np.isnan(cider_M[own]).all()


def test_long_sentences():
    """More words than an integer has bits."""
    words = [f"w{position % 90}" for position in range(200)]
    corpus = CaptionCorpus([" ".join(words[::3]), "w"], [[" ".join(words)], ["w"]])
    assert rouge_l(corpus)[0] == pytest.approx(
        slow_rouge_l(" ".join(words[::3]), [" ".join(words)])
    )


def test_corpora_that_are_not_defined():
    with pytest.raises(MetricError, match="2 candidates stand beside 1 lists"):
        CaptionCorpus(["a", "b"], [["a"]])
    with pytest.raises(MetricError, match="item 1: an item has no reference"):
        CaptionCorpus(["a", "b"], [["a"], []])
    with pytest.raises(MetricError, match="no caption to score"):
        CaptionCorpus([], [])
