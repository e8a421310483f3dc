from __future__ import annotations

import numpy as np

from figclip.metrics.ranking import Places, place
from figclip.metrics.retrieval import RetrievalScores, one_caption_scores, several_captions_scores


def places(ahead: list[int], tied: list[int], tied_before: list[int]) -> Places:
    return Places(np.array(ahead), np.array(tied), np.array(tied_before))


def test_tied_positions_all_count() -> None:
    # Positions 0 | 0 1 2 | 9 10: six of three queries.
    scores = one_caption_scores(places([0, 0, 9], [0, 2, 1], [0, 0, 0]))
    assert scores == RetrievalScores(
        recall_1=2 / 6, recall_5=4 / 6, recall_10=5 / 6, median_rank=2.5, mean_rank=1 + 22 / 6
    )


def test_several_captions_take_the_stable_place_and_the_lower_median() -> None:
    # Positions 0, 2, 9, 10.
    scores = several_captions_scores(places([0, 1, 9, 9], [0, 3, 1, 1], [0, 1, 0, 1]))
    assert scores == RetrievalScores(
        recall_1=0.25, recall_5=0.5, recall_10=0.75, median_rank=3.0, mean_rank=6.25
    )


def test_equal_to_the_listed_positions() -> None:
    rng = np.random.default_rng(0)
    for num_items in (1, 2, 3, 8, 25):
        found = place(
            rng.integers(0, 5, (17, num_items)).astype(float), rng.integers(0, num_items, 17)
        )
        listed = np.concatenate(
            [np.arange(a, a + t + 1) for a, t in zip(found.ahead_Q, found.tied_Q, strict=True)]
        )
        scores = one_caption_scores(found)
        assert scores.recall_5 == (listed < 5).mean()
        assert scores.median_rank == np.median(listed) + 1
        assert np.isclose(scores.mean_rank, listed.mean() + 1, rtol=1e-12)
        stable = np.sort(found.stable_ranks)
        assert several_captions_scores(found).median_rank == stable[(len(stable) - 1) // 2]


def test_perfect_worst_and_all_tied() -> None:
    index = np.arange(20)
    perfect = one_caption_scores(place(np.eye(20), index))
    assert perfect == RetrievalScores(
        recall_1=1, recall_5=1, recall_10=1, median_rank=1, mean_rank=1
    )
    worst = one_caption_scores(place(-np.eye(20), index))
    assert worst == RetrievalScores(
        recall_1=0, recall_5=0, recall_10=0, median_rank=20, mean_rank=20
    )
    # Every position of every query: what a guess would score.
    tied = one_caption_scores(place(np.zeros((20, 20)), index))
    assert tied == RetrievalScores(
        recall_1=0.05, recall_5=0.25, recall_10=0.5, median_rank=10.5, mean_rank=10.5
    )
    stable = several_captions_scores(place(np.zeros((20, 20)), index))
    assert (stable.recall_1, stable.median_rank, stable.mean_rank) == (0.05, 10, 10.5)
