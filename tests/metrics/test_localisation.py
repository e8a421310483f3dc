from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.errors import MetricError
from figclip.metrics.localisation import (
    OFFICIAL_EPSILON,
    SpanLists,
    f1,
    localise,
    overlapping_pairs,
    temporal_iou,
)

Spans = list[tuple[float, float]]


def span_lists(videos: list[Spans]) -> SpanLists:
    spans = np.array([span for video in videos for span in video], np.float64).reshape(-1, 2)
    return SpanLists(spans, np.array([len(video) for video in videos], np.int64))


def slow_iou(first: tuple[float, float], second: tuple[float, float], epsilon: float) -> float:
    """As the official evaluators write it: the smaller of hull and sum of lengths as union."""
    overlap = max(0.0, min(first[1], second[1]) - max(first[0], second[0]))
    hull = max(first[1], second[1]) - min(first[0], second[0])
    union = min(hull, first[1] - first[0] + second[1] - second[0]) + epsilon
    return overlap / union if overlap else 0.0


def slow_recall_precision(
    predicted: Spans, references: list[Spans], tiou: float
) -> tuple[float, float]:
    recalls, precisions = [0.0], [0.0]
    for spans in references:
        hits = [
            (p, g)
            for p, prediction in enumerate(predicted)
            for g, gold in enumerate(spans)
            if slow_iou(prediction, gold, OFFICIAL_EPSILON) > tiou
        ]
        if spans:
            recalls.append(len({g for _, g in hits}) / len(spans))
        if predicted:
            precisions.append(len({p for p, _ in hits}) / len(predicted))
    return max(recalls), max(precisions)


# Whole and half seconds: many touch, coincide, have no length or are reversed.
TIMES = st.integers(0, 12).map(lambda number: number / 2)
SPANS = st.lists(st.tuples(TIMES, TIMES), max_size=5)
VIDEOS = st.lists(st.tuples(SPANS, SPANS, SPANS), min_size=1, max_size=4)


def test_hand_worked_iou() -> None:
    first = np.array([[0.0, 10.0], [0.0, 4.0], [0.0, 4.0], [2.0, 2.0], [5.0, 1.0]])
    second = np.array([[5.0, 20.0], [4.0, 8.0], [0.0, 4.0], [2.0, 2.0], [1.0, 5.0]])
    np.testing.assert_array_equal(temporal_iou(first, second), [0.25, 0, 1, 0, 0])


def test_iou_broadcasts_to_a_table() -> None:
    spans = np.array([[0.0, 2.0], [1.0, 3.0]])
    table = temporal_iou(spans[:, None], spans[None])
    np.testing.assert_allclose(table, [[1, 1 / 3], [1 / 3, 1]])


def test_the_official_epsilon_makes_an_exact_threshold_fall_short() -> None:
    first, second = np.array([[0.0, 3.0]]), np.array([[0.0, 10.0]])
    assert temporal_iou(first, second) == 0.3
    assert temporal_iou(first, second, epsilon=OFFICIAL_EPSILON) < 0.3
    predictions, references = span_lists([[(0, 3)]]), [span_lists([[(0, 10)]])]
    official = localise(predictions, references, tiou=0.3, is_official=True)
    corrected = localise(predictions, references, tiou=0.3, is_official=False)
    assert (official.recall, official.precision) == (0, 0)
    assert (corrected.recall, corrected.precision) == (1, 1)


def test_hand_worked_recall_and_precision() -> None:
    predictions = span_lists([[(0, 10), (0, 9), (50, 60)], [], [(0, 5)]])
    references = span_lists([[(0, 10), (20, 30)], [(0, 10)], [(100, 200)]])
    found = localise(predictions, [references], tiou=0.5, is_official=True)
    np.testing.assert_allclose(found.recall_B, [1 / 2, 0, 0])
    np.testing.assert_allclose(found.precision_B, [2 / 3, 0, 0])
    assert found.recall == pytest.approx(1 / 6)
    assert found.precision == pytest.approx(2 / 9)


def test_each_measure_takes_its_better_annotation() -> None:
    predictions = span_lists([[(0, 10), (20, 30)]])
    one_of_one, both_of_three = [(0.0, 10.0)], [(0.0, 10.0), (20.0, 30.0), (40.0, 50.0)]
    references = [span_lists([one_of_one]), span_lists([both_of_three])]
    found = localise(predictions, references, tiou=0.5, is_official=True)
    assert (found.recall, found.precision) == (1, 1)


@given(VIDEOS, st.sampled_from([0.3, 0.5, 0.7, 0.9]))
def test_as_the_slow_way(videos: list[tuple[Spans, Spans, Spans]], tiou: float) -> None:
    predictions, *references = (span_lists([video[part] for video in videos]) for part in range(3))
    found = localise(predictions, references, tiou=tiou, is_official=True)
    expected = [slow_recall_precision(video[0], list(video[1:]), tiou) for video in videos]
    np.testing.assert_allclose(
        np.stack([found.recall_B, found.precision_B], axis=1), expected, atol=1e-12
    )


@given(SPANS, SPANS)
def test_pairs_are_those_that_overlap(predicted: Spans, annotated: Spans) -> None:
    empty: Spans = []
    pairs = overlapping_pairs(
        span_lists([empty, predicted]), span_lists([empty, annotated]), epsilon=0.0
    )
    expected = {
        (p, g): slow_iou(first, second, 0.0)
        for p, first in enumerate(predicted)
        for g, second in enumerate(annotated)
        if slow_iou(first, second, 0.0) > 0
    }
    found = zip(pairs.prediction_N.tolist(), pairs.reference_N.tolist(), strict=True)
    assert dict(zip(found, pairs.iou_N.tolist(), strict=True)) == pytest.approx(expected)


def test_lists_are_checked() -> None:
    with pytest.raises(MetricError, match="2 spans in lists of 3"):
        SpanLists(np.zeros((2, 2)), np.array([3]))
    with pytest.raises(MetricError, match="span 1: has a time that is not finite"):
        SpanLists(np.array([[0, 1], [0, np.nan]]), np.array([2]))


def test_f1() -> None:
    assert f1(0.5, 1.0) == pytest.approx(2 / 3)
    assert f1(0.0, 0.0) == 0
