from __future__ import annotations

import numpy as np
import pytest

from figclip.errors import MetricError
from figclip.metrics.classification import classify, confusion_counts, means_by_name
from figclip.metrics.ranking import hits_at_k


def test_hand_worked_ranks_and_confusion() -> None:
    sim = np.array(
        [
            [0.5, 0.3, 0.2],  # right
            [0.5, 0.5, 0.2],  # ties with class 0, which comes first
            [0.5, 0.5, 0.2],  # the same, and class 0 is right
            [0.1, 0.2, 0.3],  # wrong: class 1 is second
        ]
    )
    true = np.array([0, 1, 0, 1])
    found = classify(sim, true)
    assert found.predicted_N.tolist() == [0, 0, 0, 2]
    assert found.official_rank_N.tolist() == [1, 2, 1, 2]
    assert found.rank_N.tolist() == [1, 2, 2, 2]
    counts = confusion_counts(true, found.predicted_N, num_classes=3)
    assert counts.tolist() == [[2, 0, 0], [1, 0, 1], [0, 0, 0]]


def test_official_top_1_is_argmax() -> None:
    rng = np.random.default_rng(0)
    sim = rng.integers(0, 3, (200, 6)).astype(np.float32)
    true = rng.integers(0, 6, 200)
    found = classify(sim, true)
    assert ((found.official_rank_N == 1) == (sim.argmax(axis=1) == true)).all()
    counts = confusion_counts(true, found.predicted_N, num_classes=6)
    assert counts.trace() == hits_at_k(found.official_rank_N, k=1).sum()
    assert counts.sum(axis=1).tolist() == np.bincount(true, minlength=6).tolist()


def test_perfect_worst_and_all_tied() -> None:
    true = np.arange(7)
    assert (classify(np.eye(7), true).rank_N == 1).all()
    assert (classify(-np.eye(7), true).rank_N == 7).all()
    tied = classify(np.zeros((7, 7)), true)
    assert (tied.rank_N == 7).all()
    assert tied.official_rank_N.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert (tied.predicted_N == 0).all()


def test_a_random_model_is_at_chance() -> None:
    rng = np.random.default_rng(1)
    num, classes = 2000, 20
    found = classify(rng.random((num, classes)), rng.integers(0, classes, num))
    for k in (1, 5):
        chance = k / classes
        accuracy = hits_at_k(found.rank_N, k=k).mean()
        assert abs(accuracy - chance) < 3 * np.sqrt(chance * (1 - chance) / num)


def test_undefined_classification_is_refused() -> None:
    with pytest.raises(MetricError, match="query 1: a similarity is NaN"):
        classify(np.array([[0.1, 0.2], [np.nan, 0.2]]), np.array([0, 1]))
    with pytest.raises(MetricError, match="0 queries"):
        classify(np.zeros((0, 2)), np.zeros(0, np.int64))


def test_means_come_in_the_order_of_first_items() -> None:
    found = means_by_name(np.array([1.0, 0, 1, 1, 0, 0]), ["b", "a", "b", "a", "c", "a"])
    assert list(found.items()) == [("b", 1.0), ("a", 1 / 3), ("c", 0.0)]
