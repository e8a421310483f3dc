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
from scipy.optimize import linear_sum_assignment  # pyright: ignore

METRICS = ("mentions", "muc", "bcub", "ceafe", "lea", "lea_soft")

Mentions = Sequence[tuple[str, str]]
"""Name and text of each mention of a video; a name may stand there twice."""

Fraction = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreferenceVideo:
    """The mentions of one video, predicted ones under no other names than the annotator's.

    `cider` is that of the predicted texts by name; a name without has 0.
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
    right, number = sums[..., 0], sums[..., 1]
    precision, recall = np.divide(right, number, out=np.zeros_like(right), where=number > 0)
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
    of_true = [_Cluster.of(one, in_predicted, predicted) for one in true]
    of_predicted = [_Cluster.of(one, in_true, true) for one in predicted]
    weights = [sum(cider.get(name, 0.0) for name in cluster) for cluster in predicted]
    # Lea-soft: as Lea, each cluster weighted by a sum over its mentions, of their number.
    soft = sum(one.share * one.size * w for one, w in zip(of_predicted, weights, strict=True))
    precision, recall = (
        [
            (num_common, len(in_own)),
            # MUC: links that hold each cluster together, less those that the other side lacks.
            (sum(one.linked - one.parts for one in own), sum(one.size - 1 for one in own)),
            # B-cubed: for each mention, the share of its cluster that is in its other cluster, too.
            (sum(one.squares / one.size for one in own), sum(one.size for one in own)),
            (similarity, len(own)),
            # Lea: for each cluster, by its size, the share of its links that the other side has.
            (sum(one.share * one.size for one in own), sum(one.size for one in own)),
        ]
        for own, in_own in ((of_predicted, in_predicted), (of_true, in_true))
    )
    return [*precision, (soft, sum(one.size**2 for one in of_predicted))], [*recall, recall[-1]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cluster:
    """A cluster of one side, true or predicted, seen from the other.

    Attributes:
        size: Number of mentions.
        linked: Mentions that the other side has, too.
        parts: Clusters of the other side that these are in.
        squares: Sum over those clusters of the squared number of mentions in common.
        is_single: True where a single mention is single on the other side, too.
    """

    size: int
    linked: int
    parts: int
    squares: int
    is_single: bool

    @classmethod
    def of(
        cls, cluster: list[str], other_of: Mapping[str, int], others: list[list[str]]
    ) -> _Cluster:
        """Count what it has in common with the clusters of the other side."""
        found = [other_of[name] for name in cluster if name in other_of]
        counts = Counter(found)
        return cls(
            size=len(cluster),
            linked=len(found),
            parts=len(counts),
            squares=sum(count**2 for count in counts.values()),
            is_single=len(cluster) == len(found) == 1 and len(others[found[0]]) == 1,
        )

    @property
    def share(self) -> float:
        """Share of its links that the other side has; a single mention has one, to itself."""
        if self.size == 1:
            return float(self.is_single)
        return (self.squares - self.linked) / (self.size * (self.size - 1))


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
