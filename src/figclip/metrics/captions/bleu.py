"""BLEU 1 … 4 as pycocoevalcap 1.2 computes it.

Source: Papineni et al., "BLEU" (ACL 2002); pycocoevalcap's `bleu_scorer.py`, option "closest".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from figclip.metrics.captions.corpus import MAX_ORDER, CaptionCorpus, ItemGrams, sums

_TINY, _SMALL = 1e-15, 1e-9
"""The official constants, over and under the line: a precision without a match is not quite 0."""


@dataclass(frozen=True, slots=True)
class BleuScores:
    """BLEU of a corpus and of its items, in [0, 1]; column n - 1 is BLEU-n.

    `corpus_N`: From the pooled counts of all items; not the mean of the items'.
    """

    corpus_N: Float64[np.ndarray, " 4"]
    items_MN: Float64[np.ndarray, "M 4"]


@dataclass(frozen=True, slots=True)
class _Counts:
    """What BLEU pools: columns are n = 1 … 4, rows items or groups."""

    hits_MN: Float64[np.ndarray, "M 4"]
    guesses_MN: Float64[np.ndarray, "M 4"]
    words_M: Float64[np.ndarray, " M"]
    closest_M: Float64[np.ndarray, " M"]

    def pooled(self, group_M: Int64[np.ndarray, " M"]) -> _Counts:
        """Sums over the items of each group."""
        order = np.argsort(group_M, kind="stable")
        first = np.searchsorted(group_M[order], np.arange(int(group_M.max()) + 1))
        parts = (self.hits_MN, self.guesses_MN, self.words_M, self.closest_M)
        return _Counts(*(np.add.reduceat(part[order], first) for part in parts))

    def scores(self) -> Float64[np.ndarray, "M 4"]:
        """Geometric mean of the precisions up to n, less the penalty for brevity."""
        precision_MN = (self.hits_MN + _TINY) / (self.guesses_MN + _SMALL)
        mean_MN = np.cumprod(precision_MN, axis=1) ** (1 / np.arange(1, MAX_ORDER + 1))
        ratio_M = (self.words_M + _TINY) / (self.closest_M + _SMALL)
        return mean_MN * np.exp(np.minimum(1 - 1 / ratio_M, 0))[:, None]


def bleu(corpus: CaptionCorpus, items: Int64[np.ndarray, " M"] | None = None) -> BleuScores:
    """BLEU 1 … 4 of the chosen items.

    Counts are clipped by the highest count in one reference. A candidate is compared with the
    reference of the closest length, the shorter of two equally close.

    Raises:
        MetricError: no item is chosen.
    """
    chosen = corpus.choose(items)
    counts = _count(corpus.grams if items is None else corpus.grams.take(chosen))
    everything = np.zeros(len(chosen), np.int64)
    return BleuScores(counts.pooled(everything).scores()[0], counts.scores())


def bleu_by_group(
    corpus: CaptionCorpus, group_M: Int64[np.ndarray, " M"]
) -> Float64[np.ndarray, "V 4"]:
    """BLEU 1 … 4 of the pooled counts of each group of items.

    Groups are numbered from 0 without a gap.

    Raises:
        MetricError: there is no item.
    """
    corpus.check_groups(group_M)
    return _count(corpus.grams).pooled(group_M).scores()


def _count(grams: ItemGrams) -> _Counts:
    num_items = len(grams.first_entry_M1) - 1
    item_E = np.repeat(np.arange(num_items), np.diff(grams.first_entry_M1))
    cell_E = item_E * MAX_ORDER + grams.order_E
    hits_E = np.minimum(grams.candidate_count_E, grams.most_in_reference_E)
    hits_MN = sums(cell_E, hits_E, num_items * MAX_ORDER).reshape(-1, MAX_ORDER)
    words_E = np.where(grams.order_E == 0, grams.candidate_count_E, 0)
    words_M = sums(item_E, words_E, num_items)
    guesses_MN = np.maximum(words_M[:, None] - np.arange(MAX_ORDER), 0)
    return _Counts(hits_MN, guesses_MN, words_M, _closest_lengths(grams, words_M))


def _closest_lengths(
    grams: ItemGrams, words_M: Float64[np.ndarray, " M"]
) -> Float64[np.ndarray, " M"]:
    """Number of words of each item's closest reference."""
    num_items, num_references = len(words_M), len(grams.first_in_reference_R1) - 1
    reference_X = np.repeat(np.arange(num_references), np.diff(grams.first_in_reference_R1))
    words_X = np.where(grams.order_E[grams.entry_X] == 0, grams.count_X, 0)
    words_R = sums(reference_X, words_X, num_references)
    item_R = np.repeat(np.arange(num_items), np.diff(grams.first_reference_M1))
    order = np.lexsort((words_R, np.abs(words_R - words_M[item_R]), item_R))
    return words_R[order][grams.first_reference_M1[:-1]]
