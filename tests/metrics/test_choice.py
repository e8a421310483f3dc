from __future__ import annotations

import numpy as np
import pytest

from figclip.errors import MetricError
from figclip.metrics.controls import choose


def test_hand_worked_wins_ties_and_masked_negatives() -> None:
    choices = choose(
        np.array([0.5, 0.5, 0.5]),
        np.array([[0.4, 0.3], [0.5, 0.6], [0.1, np.nan]]),
        present_NK=np.array([[True, True], [True, True], [True, False]]),
    )
    assert choices.accuracy_N.tolist() == [1.0, 0.0, 1.0]
    assert choices.ties_N.tolist() == [0.0, 0.5, 0.0]


def test_equal_to_a_slow_oracle() -> None:
    rng = np.random.default_rng(0)
    positive = rng.integers(0, 3, 50).astype(np.float32)
    negative = rng.integers(0, 3, (50, 4)).astype(np.float32)
    present = rng.random((50, 4)) < 0.6
    present[:, 0] = True
    choices = choose(positive, negative, present_NK=present)
    for i in range(50):
        rivals = [negative[i, k] for k in range(4) if present[i, k]]
        assert choices.accuracy_N[i] == sum(positive[i] > r for r in rivals) / len(rivals)
        assert choices.ties_N[i] == sum(positive[i] == r for r in rivals) / len(rivals)


def test_all_tied_wins_nothing() -> None:
    choices = choose(np.ones(3), np.ones((3, 2)), present_NK=np.ones((3, 2), bool))
    assert choices.accuracy_N.tolist() == [0.0] * 3
    assert choices.ties_N.tolist() == [1.0] * 3


def test_undefined_choices_are_refused() -> None:
    ones = np.ones((2, 2))
    with pytest.raises(MetricError, match="item 1: has no negative"):
        choose(np.ones(2), ones, present_NK=np.array([[True, False], [False, False]]))
    with pytest.raises(MetricError, match="not finite"):
        choose(np.array([1.0, np.nan]), ones, present_NK=ones > 0)
    with pytest.raises(MetricError, match="not finite"):
        choose(np.ones(2), np.array([[1.0, np.inf], [1.0, 1.0]]), present_NK=ones > 0)
    with pytest.raises(MetricError, match="no item"):
        choose(np.ones(0), np.ones((0, 2)), present_NK=np.ones((0, 2), bool))
