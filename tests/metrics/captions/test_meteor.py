from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.errors import MetricError
from figclip.metrics.captions import MeteorStats, meteor_exact, meteor_exact_stats
from tests.metrics.captions.oracles import fewest_chunks

WORDS = st.lists(st.sampled_from("abc"), max_size=7)


def stats_of(candidate: str, *references: str) -> MeteorStats:
    return meteor_exact_stats(candidate, references)


def test_by_hand():
    stats = stats_of("dog bites man", "man bites dog today")
    assert stats == MeteorStats(candidate_words=3, reference_words=4, matches=3, chunks=3)
    # Precision 1, recall 3/4; three chunks of three matches: the whole penalty of 0.6.
    mean = 1 * 0.75 / (0.85 * 1 + 0.15 * 0.75)
    assert meteor_exact(stats) == pytest.approx(mean * 0.4)


def test_an_equal_sentence_scores_1():
    assert meteor_exact(stats_of("a Man runs", "A man runs")) == 1
    assert meteor_exact(stats_of("a", "a")) == 1
    # One chunk as well, but not the whole of the other.
    assert meteor_exact(stats_of("a man", "a man runs")) < 1


@pytest.mark.parametrize(("candidate", "reference"), [("", ""), ("", "a"), ("a", ""), ("a", "b")])
def test_nothing_in_common_scores_0(candidate: str, reference: str):
    assert meteor_exact(stats_of(candidate, reference)) == 0


def test_the_best_reference_counts():
    assert stats_of("a b c", "c", "a b c d", "x") == stats_of("a b c", "a b c d")
    with pytest.raises(MetricError, match="no reference"):
        stats_of("a b")


def test_pooled_counts_score_as_one_sentence():
    pooled = stats_of("a b", "a b") + stats_of("c", "d e")
    assert pooled == MeteorStats(candidate_words=3, reference_words=4, matches=2, chunks=1)
    assert meteor_exact(pooled) == pytest.approx(
        (2 / 3 * 2 / 4) / (0.85 * 2 / 3 + 0.15 * 2 / 4) * (1 - 0.6 * 0.5**0.2)
    )


def test_a_repeated_word_is_matched_where_chunks_are_fewest():
    # The first "the" of the candidate belongs to the second of the reference.
    assert stats_of("the dog", "the man sees the dog").chunks == 1
    assert stats_of("the the dog", "the dog").chunks == 1


@settings(deadline=None)
@given(WORDS, WORDS)
def test_fewest_chunks(words: list[str], others: list[str]):
    stats = stats_of(" ".join(words), " ".join(others))
    assert stats.chunks == fewest_chunks(words, others)


def test_long_repetitive_sentences_end():
    assert stats_of("a b " * 30, "a b " * 28).chunks == 1
