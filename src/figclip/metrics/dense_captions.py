"""Caption scores of dense captioning: of every pair of spans that meet, and in order (SODA).

Source: ttengwang/PDVC@0b025c8 densevid_eval3/evaluate2018.py with `verbose`; SODA: Fujita et al.,
"SODA: Story Oriented Dense Video Captioning Evaluation Framework" (ECCV 2020), fujiso/SODA@9cb3e2c.
Shape letters as in `localisation`; M items (a pair at a threshold), T thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from figclip.errors import MetricError
from figclip.metrics.caption_corpus import CaptionCorpus
from figclip.metrics.caption_scores import bleu_by_group, cider_d_by_group, rouge_l
from figclip.metrics.localisation import (
    OFFICIAL_EPSILON,
    TIOUS,
    OverlappingPairs,
    SpanLists,
    overlapping_pairs,
)

UNMATCHED_REFERENCE = "abc123!@#"
"""What a prediction that meets no event is compared with: the string of the 2018 evaluator. That of
2021 draws one at random, which changes the official METEOR alone, and never the other scores."""

GroupScore = Callable[[CaptionCorpus, Int64[np.ndarray, " M"]], Float64[np.ndarray, " K"]]
"""One score of each group of captions, for example METEOR of their pooled counts."""


@dataclass(frozen=True, slots=True)
class CaptionedSpanLists:
    """Spans with their sentences; a `MetricError` if there are not as many of these."""

    spans: SpanLists
    sentences: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.sentences) != len(self.spans.spans_N2):
            raise MetricError(
                f"{len(self.sentences)} sentences for {len(self.spans.spans_N2)} spans"
            )

    def take(self, kept_N: Int64[np.ndarray, " M"]) -> CaptionedSpanLists:
        """These only, in this order, which may not mix videos."""
        return CaptionedSpanLists(self.spans.take(kept_N), tuple(_pick(self.sentences, kept_N)))


def caption_scores(
    predictions: CaptionedSpanLists,
    references: Sequence[CaptionedSpanLists],
    *,
    meteor: Mapping[str, GroupScore],
    tious: Sequence[float] = TIOUS,
) -> dict[str, Float64[np.ndarray, "T B"]]:
    """Scores of each video at each threshold, from all pairs with IoU >= tiou.

    The references of all annotations are pooled. A prediction without a pair is compared with
    `UNMATCHED_REFERENCE`; an event without one is not counted against the video. Scores are of each
    video as a corpus of its own: CIDEr's IDF is counted within the video, BLEU and METEOR pool its
    counts, ROUGE-L is the mean of its pairs. A video without predictions scores 0; so does CIDEr
    where no reference of a video holds a word, which stops the official evaluator.

    The published numbers are means over B, then over T.
    """
    items = _items(predictions, references, tious=tious)
    bleu_KN = bleu_by_group(items.corpus, items.group_M)
    scores = {
        "CIDEr": items.means(np.nan_to_num(cider_d_by_group(items.corpus, items.group_M))),
        **{f"BLEU-{n + 1}": bleu_KN[:, n] for n in range(bleu_KN.shape[1])},
        "ROUGE-L": items.means(rouge_l(items.corpus)),
        **{name: score(items.corpus, items.group_M) for name, score in meteor.items()},
    }
    return {name: items.by_video(score_K) for name, score_K in scores.items()}


@dataclass(frozen=True, slots=True)
class _Items:
    """All pairs at all thresholds, and the groups of them: one video at one threshold.

    Groups are numbered from 0 without a gap; `cell_K` is each one's place in the table of
    thresholds by videos, row by row.
    """

    corpus: CaptionCorpus
    group_M: Int64[np.ndarray, " M"]
    cell_K: Int64[np.ndarray, " K"]
    shape: tuple[int, int]

    def means(self, score_M: Float64[np.ndarray, " M"]) -> Float64[np.ndarray, " K"]:
        """Mean score of each group."""
        return np.bincount(self.group_M, score_M) / np.bincount(self.group_M)

    def by_video(self, score_K: Float64[np.ndarray, " K"]) -> Float64[np.ndarray, "T B"]:
        """The table of scores, 0 where there is no pair."""
        table = np.zeros(self.shape)
        table.flat[self.cell_K] = score_K
        return table


def _items(
    predictions: CaptionedSpanLists,
    references: Sequence[CaptionedSpanLists],
    *,
    tious: Sequence[float],
) -> _Items:
    """Matched pairs, and unmatched predictions, of each threshold in turn."""
    prediction_N, reference_N, iou_N = _pooled_pairs(predictions, references)
    sentences = [sentence for each in references for sentence in each.sentences]
    sentences.append(UNMATCHED_REFERENCE)
    num_predictions, num_videos = len(predictions.sentences), len(predictions.spans.count_B)
    chosen: list[Int64[np.ndarray, "3 M"]] = []
    for row, tiou in enumerate(tious):
        is_match_N = iou_N >= tiou
        unmatched = np.setdiff1d(np.arange(num_predictions), prediction_N[is_match_N])
        prediction_M = np.concatenate([prediction_N[is_match_N], unmatched])
        none_M = np.full(len(unmatched), len(sentences) - 1)
        reference_M = np.concatenate([reference_N[is_match_N], none_M])
        cell_M = row * num_videos + predictions.spans.video_N[prediction_M]
        chosen.append(np.stack([prediction_M, reference_M, cell_M]))
    prediction_M, reference_M, cell_M = np.concatenate(chosen, axis=1)
    cell_K, group_M = np.unique(cell_M, return_inverse=True)
    corpus = CaptionCorpus(
        _pick(predictions.sentences, prediction_M),
        [(sentence,) for sentence in _pick(sentences, reference_M)],
    )
    return _Items(corpus, group_M, cell_K, (len(tious), num_videos))


def _pooled_pairs(
    predictions: CaptionedSpanLists, references: Sequence[CaptionedSpanLists]
) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"], Float64[np.ndarray, " N"]]:
    """Prediction, position in the references of all annotations, and IoU of overlapping pairs."""
    found = [
        overlapping_pairs(predictions.spans, each.spans, epsilon=OFFICIAL_EPSILON)
        for each in references
    ]
    num_sentences = np.array([len(each.sentences) for each in references])
    first = np.cumsum(num_sentences) - num_sentences
    return (
        np.concatenate([pairs.prediction_N for pairs in found]),
        np.concatenate(
            [pairs.reference_N + start for pairs, start in zip(found, first, strict=True)]
        ),
        np.concatenate([pairs.iou_N for pairs in found]),
    )


def _pick(sentences: Sequence[str], positions: Int64[np.ndarray, " N"]) -> list[str]:
    chosen: list[int] = positions.tolist()
    return [sentences[index] for index in chosen]


def best_total(value_GP: Float64[np.ndarray, "G P"]) -> float:
    """Largest sum of values of pairs in order: both indices grow from one pair to the next.

    No value is negative.
    """
    best_P1 = np.zeros(value_GP.shape[1] + 1)
    for value_P in value_GP:
        best_P1[1:] = np.maximum.accumulate(np.maximum(best_P1[1:], best_P1[:-1] + value_P))
    return float(best_P1[-1])


def order_by_start(lists: SpanLists) -> Int64[np.ndarray, " N"]:
    """Positions of the spans, each video's by start time; equal starts stay as they are."""
    return np.lexsort((lists.spans_N2[:, 0], lists.video_N))


@dataclass(frozen=True, slots=True, kw_only=True)
class SodaScores:
    """SODA of each video against one annotation.

    Attributes:
        f1_B: Harmonic mean of precision, the best total over the number of predictions, and recall,
            that over the number of annotated events; 0 for a video without one or the other.
        is_scored_B: True for videos that have both predictions and annotated events. The official
            scores are means over these alone.
    """

    f1_B: Float64[np.ndarray, " B"]
    is_scored_B: Bool[np.ndarray, " B"]

    @property
    def f1(self) -> float:
        """Mean F1 of the videos with predictions, as official; 0 if there are none."""
        return float(self.f1_B[self.is_scored_B].mean()) if self.is_scored_B.any() else 0.0


def soda(
    predictions: SpanLists,
    references: SpanLists,
    *,
    pairs: OverlappingPairs,
    value_N: Float64[np.ndarray, " N"],
) -> SodaScores:
    """Best totals of each video over what the overlapping pairs are worth.

    With IoU x METEOR as values this is SODA_c, with the IoU alone type d. The official order of
    both lists is `order_by_start`.

    Pairs that do not overlap are worth 0, and no value is negative.
    """
    assert (value_N >= 0).all()
    num_videos = len(predictions.count_B)
    video_N = predictions.video_N[pairs.prediction_N]
    first_N1 = np.searchsorted(video_N, np.arange(num_videos + 1))
    gold_N = pairs.reference_N - references.first_B[video_N]
    predicted_N = pairs.prediction_N - predictions.first_B[video_N]
    total_B = np.zeros(num_videos)
    for video in np.unique(video_N):
        own = slice(first_N1[video], first_N1[video + 1])
        value_GP = np.zeros((references.count_B[video], predictions.count_B[video]))
        value_GP[gold_N[own], predicted_N[own]] = value_N[own]
        total_B[video] = best_total(value_GP)
    count_B = predictions.count_B + references.count_B
    return SodaScores(
        f1_B=2 * total_B / np.maximum(count_B, 1),
        is_scored_B=(predictions.count_B > 0) & (references.count_B > 0),
    )
