from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.metrics.meteor import MeteorStats, meteor_exact, meteor_exact_stats
from tests.metrics.caption_oracles import fewest_chunks

WORDS = st.lists(st.sampled_from("abc"), max_size=7)


def test_by_hand():
    stats = meteor_exact_stats("dog bites man", "man bites dog today")
    assert stats == MeteorStats(candidate_words=3, reference_words=4, matches=3, chunks=3)
    # Precision 1, recall 3/4; three chunks of three matches: the whole penalty of 0.6.
    mean = 1 * 0.75 / (0.85 * 1 + 0.15 * 0.75)
    assert meteor_exact(stats) == pytest.approx(mean * 0.4)


def test_an_equal_sentence_scores_1():
    assert meteor_exact(meteor_exact_stats("a Man runs", "A man runs")) == 1
    assert meteor_exact(meteor_exact_stats("a", "a")) == 1
    # One chunk as well, but not the whole of the other.
    assert meteor_exact(meteor_exact_stats("a man", "a man runs")) < 1


@pytest.mark.parametrize(("candidate", "reference"), [("", ""), ("", "a"), ("a", ""), ("a", "b")])
def test_nothing_in_common_scores_0(candidate: str, reference: str):
    assert meteor_exact(meteor_exact_stats(candidate, reference)) == 0


def test_pooled_counts_score_as_one_sentence():
    each = meteor_exact_stats("a b", "a b"), meteor_exact_stats("c", "d e")
    pooled = MeteorStats(*map(sum, zip(*each, strict=True)))
    assert pooled == MeteorStats(candidate_words=3, reference_words=4, matches=2, chunks=1)
    assert meteor_exact(pooled) == pytest.approx(
        (2 / 3 * 2 / 4) / (0.85 * 2 / 3 + 0.15 * 2 / 4) * (1 - 0.6 * 0.5**0.2)
    )


def test_a_repeated_word_is_matched_where_chunks_are_fewest():
    # The first "the" of the candidate belongs to the second of the reference.
    assert meteor_exact_stats("the dog", "the man sees the dog").chunks == 1
    assert meteor_exact_stats("the the dog", "the dog").chunks == 1


@settings(deadline=None)
@given(WORDS, WORDS)
def test_fewest_chunks(words: list[str], others: list[str]):
    stats = meteor_exact_stats(" ".join(words), " ".join(others))
    assert stats.chunks == fewest_chunks(words, others)


def test_long_repetitive_sentences_end():
    assert meteor_exact_stats("a b " * 30, "a b " * 28).chunks == 1
