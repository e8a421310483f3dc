from __future__ import annotations

import numpy as np
import pytest

from figclip.errors import MetricError
from figclip.metrics.composition import judge, judge_text_only, judge_winoground


def rows(*values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)


def test_hand_worked_wins_losses_and_ties() -> None:
    found = judge(
        rows([0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]),
        rows([0.4, 0.1], [0.5, 0.1], [0.5, 0.5], [0.5, 0.6]),
    )
    assert found.accuracy_N.tolist() == [1, 0, 0, 0]
    assert found.ties_N.tolist() == [0, 1, 1, 0]


def test_text_only_wants_the_true_captions_closer_than_either_to_the_false() -> None:
    found = judge_text_only(
        np.array([0.9, 0.9, 0.9], np.float32), rows([0.8, 0.7], [0.8, 0.95], [0.8, 0.9])
    )
    assert found.accuracy_N.tolist() == [1, 0, 0]
    assert found.ties_N.tolist() == [0, 0, 1]


def test_winoground_by_hand() -> None:
    sim = np.array(
        [
            [[0.9, 0.1], [0.2, 0.8]],  # all right
            [[0.5, 0.6], [0.4, 0.7]],  # captions right for each image; image 1 takes both captions
            [[0.5, 0.4], [0.6, 0.7]],  # the other way round
            [[0.5, 0.5], [0.4, 0.7]],  # caption 0 does not tell the images apart
        ],
        np.float32,
    )
    found = judge_winoground(sim)
    assert found.text.accuracy_N.tolist() == [1, 1, 0, 1]
    assert found.image.accuracy_N.tolist() == [1, 0, 1, 0]
    assert found.group.accuracy_N.tolist() == [1, 0, 0, 0]
    assert found.image.ties_N.tolist() == [0, 0, 0, 1]
    assert found.group.ties_N.tolist() == [0, 0, 0, 1]


def test_perfect_worst_and_all_tied() -> None:
    high, low = np.ones((4, 1), np.float32), np.zeros((4, 1), np.float32)
    assert judge(high, low).accuracy_N.mean() == 1
    assert judge(low, high).accuracy_N.mean() == judge(low, high).ties_N.mean() == 0
    assert judge(low, low).accuracy_N.mean() == 0
    assert judge(low, low).ties_N.mean() == 1
    tied = judge_winoground(np.zeros((3, 2, 2), np.float32))
    for kind in (tied.text, tied.image, tied.group):
        assert (kind.accuracy_N.sum(), kind.ties_N.sum()) == (0, 3)


def test_a_random_model_is_at_chance() -> None:
    num = 3000
    rng = np.random.default_rng(0)
    winoground = judge_winoground(rng.random((num, 2, 2)).astype(np.float32))
    triples = rng.random((num, 3)).astype(np.float32)
    # Of 24 orders of four scores, both true ones lead in 4; each true one beats one other in 6.
    for verdicts, chance in (
        (judge(triples[:, :1], triples[:, 1:2]), 1 / 2),
        (judge(triples[:, :2].min(axis=1, keepdims=True), triples[:, 2:]), 1 / 3),
        (judge_text_only(triples[:, 0], triples[:, 1:]), 1 / 3),
        (winoground.text, 1 / 4),
        (winoground.image, 1 / 4),
        (winoground.group, 1 / 6),
    ):
        sigma = np.sqrt(chance * (1 - chance) / num)
        assert abs(verdicts.accuracy_N.mean() - chance) < 3 * sigma


def test_undefined_judgements_are_refused() -> None:
    with pytest.raises(MetricError, match="0 items"):
        judge(np.zeros((0, 1), np.float32), np.zeros((0, 1), np.float32))
    with pytest.raises(MetricError, match="row 1: a value is not finite"):
        judge(rows([1], [np.nan]), rows([0], [0]))
    with pytest.raises(MetricError, match="row 0: a value is not finite"):
        judge(rows([1, 1]), rows([np.inf, 1]))
