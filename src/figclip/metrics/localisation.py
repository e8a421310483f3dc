"""How well predicted spans of videos meet the annotated ones: temporal IoU, recall, precision.

Shape letters of dense captioning: B videos, P predicted events and G annotated ones (of all videos,
end to end, unless one video is meant), N pairs of one of each.

Source: ttengwang/PDVC@0b025c8 densevid_eval3/evaluate2018.py, the evaluator of ActivityNet
Captions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from figclip.errors import MetricError

TIOUS = (0.3, 0.5, 0.7, 0.9)
OFFICIAL_EPSILON = 1e-8
"""What the official evaluators add to the union: an IoU of exactly 0.3 hence falls short of 0.3."""


def temporal_iou(
    first: Float[np.ndarray, "*N 2"], second: Float[np.ndarray, "*M 2"], *, epsilon: float = 0.0
) -> Float64[np.ndarray, "*K"]:
    """Overlap of spans divided by their union, in [0, 1]; shapes broadcast.

    Spans are start and end in seconds. One that ends where it starts, or before, overlaps nothing,
    not even itself. `epsilon` seconds are added to the union: 0, or `OFFICIAL_EPSILON`.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    overlap = np.minimum(first[..., 1], second[..., 1]) - np.maximum(first[..., 0], second[..., 0])
    # Of spans that overlap, and the others have IoU 0.
    union = np.maximum(first[..., 1], second[..., 1]) - np.minimum(first[..., 0], second[..., 0])
    return np.divide(overlap, union + epsilon, out=np.zeros(overlap.shape), where=overlap > 0)


@dataclass(frozen=True, slots=True)
class SpanLists:
    """The spans of B videos, start and end in seconds, video after video; a video may have none.

    Raises:
        MetricError: the counts do not add up to the spans, or a time is not finite.
    """

    spans_N2: Float64[np.ndarray, "N 2"]
    count_B: Int64[np.ndarray, " B"]

    def __post_init__(self) -> None:
        if self.count_B.sum() != len(self.spans_N2):
            raise MetricError(f"{len(self.spans_N2)} spans in lists of {self.count_B.sum()}")
        if not np.isfinite(self.spans_N2).all():
            where = int(np.flatnonzero(~np.isfinite(self.spans_N2).all(axis=1))[0])
            raise MetricError("has a time that is not finite", where=f"span {where}")

    @property
    def first_B(self) -> Int64[np.ndarray, " B"]:
        """Where each video's spans begin."""
        return np.cumsum(self.count_B) - self.count_B

    @property
    def video_N(self) -> Int64[np.ndarray, " N"]:
        """The video of each span."""
        return np.repeat(np.arange(len(self.count_B)), self.count_B)

    def take(self, kept_N: Int64[np.ndarray, " M"]) -> SpanLists:
        """These spans only, in this order, which may not mix videos."""
        video_M = self.video_N[kept_N]
        assert (np.diff(video_M) >= 0).all()
        counts_B = np.bincount(video_M, minlength=len(self.count_B))
        return SpanLists(self.spans_N2[kept_N], counts_B)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlappingPairs:
    """Predicted and annotated spans of one video that overlap; other pairs have IoU 0.

    Positions in the predictions ascend, and for each of them those in the references.
    """

    prediction_N: Int64[np.ndarray, " N"]
    reference_N: Int64[np.ndarray, " N"]
    iou_N: Float64[np.ndarray, " N"]


def overlapping_pairs(
    predictions: SpanLists, references: SpanLists, *, epsilon: float
) -> OverlappingPairs:
    """All pairs of a video that overlap."""
    assert len(predictions.count_B) == len(references.count_B)
    video_P = predictions.video_N
    partners_P = references.count_B[video_P]
    prediction_N = np.repeat(np.arange(len(video_P)), partners_P)
    skipped_P = np.cumsum(partners_P) - partners_P
    moved_P = references.first_B[video_P] - skipped_P
    reference_N = np.arange(len(prediction_N)) + moved_P[prediction_N]
    iou_N = temporal_iou(
        predictions.spans_N2[prediction_N], references.spans_N2[reference_N], epsilon=epsilon
    )
    overlaps_N = iou_N > 0
    return OverlappingPairs(
        prediction_N=prediction_N[overlaps_N],
        reference_N=reference_N[overlaps_N],
        iou_N=iou_N[overlaps_N],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Localisation:
    """Recall and precision of each video at one threshold, in [0, 1].

    The shares of the annotated events that a prediction meets, and of the predictions that meet
    one; 0 for a video without.
    """

    recall_B: Float64[np.ndarray, " B"]
    precision_B: Float64[np.ndarray, " B"]

    @property
    def recall(self) -> float:
        """Mean over videos."""
        return float(self.recall_B.mean())

    @property
    def precision(self) -> float:
        """Mean over videos."""
        return float(self.precision_B.mean())


def localise(
    predictions: SpanLists, references: Sequence[SpanLists], *, tiou: float, is_official: bool
) -> Localisation:
    """Recall and precision against one annotation or several.

    Official: IoU (with `OFFICIAL_EPSILON`) > tiou. Corrected: IoU >= tiou, nothing added. Of
    several annotations each video's better recall and better precision count, which may come from
    different ones. A video that lacks predictions counts 0, and so does its part in an annotation
    that lacks it.
    """
    epsilon = OFFICIAL_EPSILON if is_official else 0.0
    recall_B = precision_B = np.zeros(len(predictions.count_B))
    for annotation in references:
        pairs = overlapping_pairs(predictions, annotation, epsilon=epsilon)
        is_met_N = pairs.iou_N > tiou if is_official else pairs.iou_N >= tiou
        recall_B = np.maximum(recall_B, _share(annotation, pairs.reference_N[is_met_N]))
        precision_B = np.maximum(precision_B, _share(predictions, pairs.prediction_N[is_met_N]))
    return Localisation(recall_B=recall_B, precision_B=precision_B)


def _share(lists: SpanLists, met: Int64[np.ndarray, " N"]) -> Float64[np.ndarray, " B"]:
    """Share of each video's spans that are met at least once; 0 of none."""
    is_met: Bool[np.ndarray, " N"] = np.zeros(len(lists.spans_N2), np.bool_)
    is_met[met] = True
    met_B = np.bincount(lists.video_N[is_met], minlength=len(lists.count_B))
    return met_B / np.maximum(lists.count_B, 1)


def f1(precision: float, recall: float) -> float:
    """Harmonic mean; 0 when both are."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
