"""Co-reference of role texts: which roles of a video's events name the same thing.

A mention is a role of an event (`Ev2_Arg0`). Mentions with the identical text are one cluster.
Clusters are compared as those of documents are; a video is a document.

Source: github.com/TheShadow29/coval @ 2be2d07, `coval/eval/evaluator.py`, and `EvalFnCap` of
github.com/TheShadow29/VidSitu @ b794988. Lea: Moosavi and Strube, "Which Coreference Evaluation
Metric Do You Trust?" (ACL 2016).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.optimize import linear_sum_assignment  # pyright: ignore

METRICS = ("mentions", "muc", "bcub", "ceafe", "lea", "lea_soft")

Mentions = Sequence[tuple[str, str]]
"""Name and text of each mention of a video; a name may stand there twice."""

Fraction = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreferenceVideo:
    """The mentions of one video.

    Attributes:
        predicted: Mentions of the prediction, under no other names than the annotator's.
        cider: CIDEr of the predicted texts by name; a name without has 0.
    """

    true: Mentions
    predicted: Mentions
    cider: Mapping[str, float]


def coreference_f1(videos: Iterable[CoreferenceVideo]) -> dict[str, float]:
    """F1 of all videos together, by the names of `METRICS`.

    `lea_soft` is Lea whose precision weighs each predicted cluster by the CIDEr of its texts. CIDEr
    reaches 10, so this is no fraction.

    F1 is 0 where nothing is right, also where there is nothing.
    """
    fractions = [
        _fractions(_clusters(video.true), _clusters(video.predicted), video.cider)
        for video in videos
    ]
    # Precision and recall, metrics, numerator and denominator.
    sums = np.array(fractions, np.float64).reshape(-1, 2, len(METRICS), 2).sum(axis=0)
    precision, recall = (_ratios(one) for one in sums)
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    return dict(zip(METRICS, f1.tolist(), strict=True))


def _fractions(
    true: list[list[str]], predicted: list[list[str]], cider: Mapping[str, float]
) -> tuple[list[Fraction], list[Fraction]]:
    """Numerators and denominators of all metrics' precision and recall."""
    in_true, in_predicted = _cluster_of(true), _cluster_of(predicted)
    num_common = len(in_true.keys() & in_predicted.keys())
    similarity = _aligned(true, predicted)
    recall = _Side.of(true, in_predicted, predicted)
    precision = _Side.of(predicted, in_true, true)
    weights = [sum(cider.get(name, 0.0) for name in cluster) for cluster in predicted]
    return (
        [
            (num_common, len(in_predicted)),
            precision.muc(),
            precision.b_cubed(),
            (similarity, len(predicted)),
            precision.lea(),
            precision.lea_soft(weights),
        ],
        [
            (num_common, len(in_true)),
            recall.muc(),
            recall.b_cubed(),
            (similarity, len(true)),
            recall.lea(),
            recall.lea(),
        ],
    )


@dataclass(frozen=True, slots=True)
class _Side:
    """The clusters of one side, true or predicted, seen from the other: a list entry a cluster.

    Attributes:
        sizes: Number of mentions.
        linked: Mentions that the other side has, too.
        parts: Clusters of the other side that these are in.
        squares: Sum over those clusters of the squared number of mentions in common.
        is_single: True where a single mention is single on the other side, too.
    """

    sizes: list[int]
    linked: list[int]
    parts: list[int]
    squares: list[int]
    is_single: list[bool]

    @classmethod
    def of(
        cls, clusters: list[list[str]], other_of: Mapping[str, int], others: list[list[str]]
    ) -> _Side:
        """Counts what the clusters have in common with those of the other side."""
        side = cls([], [], [], [], [])
        for cluster in clusters:
            found = [other_of[name] for name in cluster if name in other_of]
            parts = len(set(found))
            apart = parts == len(found)
            side.sizes.append(len(cluster))
            side.linked.append(len(found))
            side.parts.append(parts)
            side.squares.append(
                parts if apart else sum(count * count for count in Counter(found).values())
            )
            side.is_single.append(
                len(cluster) == 1 and len(found) == 1 and len(others[found[0]]) == 1
            )
        return side

    def muc(self) -> Fraction:
        """Links that hold each cluster together, less those that the other side lacks."""
        return sum(self.linked) - sum(self.parts), sum(self.sizes) - len(self.sizes)

    def b_cubed(self) -> Fraction:
        """For each mention, the share of its cluster that is in its other cluster, too."""
        pairs = zip(self.squares, self.sizes, strict=True)
        return sum(squares / size for squares, size in pairs), sum(self.sizes)

    def lea(self) -> Fraction:
        """For each cluster, by its size, the share of its links that the other side has."""
        pairs = zip(self._shares(), self.sizes, strict=True)
        return sum(share * size for share, size in pairs), sum(self.sizes)

    def lea_soft(self, weights: Sequence[float]) -> Fraction:
        """As Lea, each cluster weighted by a sum over its mentions, of their number."""
        triples = zip(self._shares(), self.sizes, weights, strict=True)
        right = sum(share * size * weight for share, size, weight in triples)
        return right, sum(size * size for size in self.sizes)

    def _shares(self) -> list[float]:
        """Share of each cluster's links; a single mention has one, to itself."""
        return [
            float(is_single) if size == 1 else (squares - linked) / (size * (size - 1))
            for size, linked, squares, is_single in zip(
                self.sizes, self.linked, self.squares, self.is_single, strict=True
            )
        ]


def _clusters(mentions: Mentions) -> list[list[str]]:
    """Names of the mentions of each text, in the order of first use."""
    by_text: dict[str, list[str]] = {}
    for name, text in mentions:
        by_text.setdefault(text, []).append(name)
    return list(by_text.values())


def _cluster_of(clusters: list[list[str]]) -> dict[str, int]:
    """Cluster of each name; the last one of a name that is in several, as officially."""
    return {name: idx for idx, cluster in enumerate(clusters) for name in cluster}


def _aligned(true: list[list[str]], predicted: list[list[str]]) -> float:
    """CEAF-e: similarity of the clusters when each is aligned with at most one, at best."""
    places: dict[str, set[int]] = {}
    for idx, cluster in enumerate(predicted):
        for name in cluster:
            places.setdefault(name, set()).add(idx)
    similarity = np.zeros((len(true), len(predicted)))
    for idx, cluster in enumerate(true):
        for name in cluster:
            for other in places.get(name, ()):
                similarity[idx, other] += 2 / (len(cluster) + len(predicted[other]))
    return float(similarity[linear_sum_assignment(similarity, maximize=True)].sum())


def _ratios(
    fraction_N2: Float64[np.ndarray, "N 2"],
) -> Float64[np.ndarray, " N"]:
    """Numerators over denominators; 0 where there is nothing."""
    numerator, denominator = fraction_N2.T
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
