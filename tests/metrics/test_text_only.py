from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from figclip.errors import MetricError
from figclip.metrics.controls import CandidatePairs, group_folds, is_fittable, text_only_margins


def pairs(differences: Sequence[dict[str, float]], folds: Sequence[int]) -> CandidatePairs:
    return CandidatePairs(differences=differences, fold_N=np.array(folds, np.int64))


def test_a_group_is_in_one_fold_and_all_folds_are_used() -> None:
    groups = [f"g{i // 3}" for i in range(30)]
    fold_N = group_folds(groups, num_folds=5)
    assert sorted(np.bincount(fold_N)) == [6] * 5
    assert all(len(set(fold_N[i : i + 3])) == 1 for i in range(0, 30, 3))
    assert (group_folds(groups, num_folds=5) == fold_N).all()
    with pytest.raises(MetricError, match="1 groups cannot make 2 folds"):
        group_folds(["a", "a"], num_folds=2)


def test_what_the_other_folds_know_decides() -> None:
    man_bites = {"biter is man": 1.0, "biter is bone": -1.0}
    train = pairs([man_bites] * 8, [0, 0, 1, 1] * 2)
    test = pairs(
        [man_bites, {name: -value for name, value in man_bites.items()}, {"new": 1.0}], [0, 1, 1]
    )
    margin_N = text_only_margins(train, test)
    assert margin_N[0] == pytest.approx(-margin_N[1])
    assert margin_N[0] > 0
    assert margin_N[2] == 0.0


def test_the_held_out_fold_is_not_known() -> None:
    # What fold 0 says is the opposite of what the others say.
    train = pairs([{"a": 1.0}] * 4 + [{"a": -1.0}] * 8, [0] * 4 + [1, 2] * 4)
    margin_N = text_only_margins(train, pairs([{"a": 1.0}] * 3, [0, 1, 2]))
    assert margin_N[0] < 0
    # Fold 1 sees 4 for and 4 against.
    assert margin_N[1:] == pytest.approx([0.0, 0.0], abs=1e-3)


def test_margins_are_those_of_a_slow_regression() -> None:
    rng = np.random.default_rng(0)
    rows_NW = rng.normal(size=(40, 3)) + [0.5, 0.0, -0.2]
    named = [{name: float(v) for name, v in zip("abc", row, strict=True)} for row in rows_NW]
    margin_N = text_only_margins(pairs(named, [0, 1] * 20), pairs(named, [0, 1] * 20))
    for fold in (0, 1):
        train_NW = rows_NW[1 - fold :: 2]
        weight_W = np.zeros(3)
        for _ in range(5000):  # gradient descent on |w|²/2 + Σ log(1 + exp(-w·x))
            slope_N = 1 / (1 + np.exp(train_NW @ weight_W))
            weight_W -= 0.05 * (weight_W - slope_N @ train_NW)
        assert margin_N[fold::2] == pytest.approx(rows_NW[fold::2] @ weight_W, abs=0.02)


def test_two_pairs_outside_of_every_fold_are_needed() -> None:
    one = {"a": 1.0}
    assert is_fittable(pairs([one] * 4, [0, 0, 1, 1]), pairs([one], [0]))
    assert not is_fittable(pairs([one] * 3, [0, 0, 1]), pairs([one], [0]))
    assert is_fittable(pairs([one] * 3, [0, 0, 1]), pairs([one], [1]))
    assert not is_fittable(pairs([], []), pairs([one], [0]))
    assert not is_fittable(pairs([one] * 4, [0, 0, 1, 1]), pairs([], []))
