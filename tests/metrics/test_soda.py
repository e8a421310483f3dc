from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.metrics.dense_captions import best_total, order_by_start, soda
from figclip.metrics.localisation import OFFICIAL_EPSILON, overlapping_pairs
from tests.metrics.test_localisation import span_lists


def slow_best_total(values: np.ndarray) -> float:
    """Every choice of as many rows as columns, in order."""
    rows, columns = range(values.shape[0]), range(values.shape[1])
    return max(
        sum(values[row, column] for row, column in zip(chosen, partners, strict=True))
        for size in range(min(values.shape) + 1)
        for chosen in combinations(rows, size)
        for partners in combinations(columns, size)
    )


@given(st.integers(0, 4), st.integers(0, 5), st.data())
def test_best_total_as_the_slow_way(rows: int, columns: int, data: st.DataObject) -> None:
    # Few values, so that many ways tie.
    cells = st.lists(st.integers(0, 4), min_size=rows * columns, max_size=rows * columns)
    values = np.array(data.draw(cells), np.float64).reshape(rows, columns)
    assert best_total(values) == slow_best_total(values)


def test_crossing_pairs_exclude_each_other() -> None:
    assert best_total(np.array([[0.0, 3.0], [4.0, 0.0]])) == 4
    assert best_total(np.array([[4.0, 0.0], [0.0, 3.0]])) == 7


def test_thousands_of_events_in_a_video() -> None:
    assert best_total(np.eye(2500)) == 2500


def test_order_by_start_is_stable_within_videos() -> None:
    lists = span_lists([[(5, 6), (1, 9), (1, 2)], [(0, 1)]])
    assert order_by_start(lists).tolist() == [1, 2, 0, 3]


def test_hand_worked_scores() -> None:
    predictions = span_lists([[(0, 10), (10, 20), (50, 60)], [], [(0, 1)]])
    references = span_lists([[(0, 10), (10, 30)], [(0, 10)], []])
    pairs = overlapping_pairs(predictions, references, epsilon=0.0)
    assert pairs.iou_N.tolist() == [1, 0.5]
    scores = soda(predictions, references, pairs=pairs, value_N=pairs.iou_N * np.array([0.5, 0.4]))
    precision, recall = 0.7 / 3, 0.7 / 2
    f1 = 2 * precision * recall / (precision + recall)
    np.testing.assert_allclose(scores.f1_B, [f1, 0, 0])
    # The second video lacks predictions, the third annotated events: left out of the mean.
    assert scores.is_scored_B.tolist() == [True, False, False]
    assert scores.f1 == pytest.approx(f1)


def test_a_copy_scores_1_but_for_the_epsilon() -> None:
    spans = span_lists([[(0, 10), (2, 8), (5, 30)]])
    for epsilon in (0.0, OFFICIAL_EPSILON):
        pairs = overlapping_pairs(spans, spans, epsilon=epsilon)
        assert soda(spans, spans, pairs=pairs, value_N=pairs.iou_N).f1 == pytest.approx(1, abs=1e-8)


def test_no_video_with_both() -> None:
    predictions, references = span_lists([[]]), span_lists([[(0, 1)]])
    pairs = overlapping_pairs(predictions, references, epsilon=0.0)
    assert soda(predictions, references, pairs=pairs, value_N=pairs.iou_N).f1 == 0
