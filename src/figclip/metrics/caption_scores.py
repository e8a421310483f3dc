"""BLEU, CIDEr-D and ROUGE-L of captions, as pycocoevalcap 1.2 computes them.

Source:
    Papineni et al., "BLEU" (ACL 2002); `bleu_scorer.py`, option "closest".
    Vedantam, Zitnick, Parikh, "CIDEr: Consensus-based Image Description Evaluation" (CVPR 2015):
    n = 1 … 4, sigma 6, x 10; the length penalty compares numbers of bigrams, not of words.
    Lin, "ROUGE" (2004): beta 1.2, best precision and best recall over the references taken
    separately. Words are split at single spaces, so two spaces hold an empty word between them, and
    `""` is one empty word: against `""` it scores 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from figclip.errors import MetricError
from figclip.metrics.caption_corpus import MAX_ORDER, CaptionCorpus, ItemGrams

_TINY, _SMALL = 1e-15, 1e-9
"""BLEU's constants, over and under the line: a precision without a match is not quite 0."""
_SIGMA, _SCALE, _BIGRAM = 6.0, 10.0, 1
_BETA = 1.2


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


def bleu(corpus: CaptionCorpus) -> BleuScores:
    """BLEU 1 … 4.

    Counts are clipped by the highest count in one reference. A candidate is compared with the
    reference of the closest length, the shorter of two equally close.
    """
    counts = _count(corpus)
    everything = np.zeros(len(corpus), np.int64)
    return BleuScores(counts.pooled(everything).scores()[0], counts.scores())


def bleu_by_group(
    corpus: CaptionCorpus, group_M: Int64[np.ndarray, " M"]
) -> Float64[np.ndarray, "V 4"]:
    """BLEU 1 … 4 of the pooled counts of each group of items, numbered from 0 without a gap."""
    _check_groups(corpus, group_M)
    return _count(corpus).pooled(group_M).scores()


def _check_groups(corpus: CaptionCorpus, group_M: Int64[np.ndarray, " M"]) -> None:
    assert len(group_M) == len(corpus) and group_M.min() >= 0
    assert np.bincount(group_M).all(), "a group without items"


def _count(corpus: CaptionCorpus) -> _Counts:
    grams, num_items = corpus.grams, len(corpus)
    hits_E = np.minimum(grams.candidate_count_E, grams.most_in_reference_E)
    words_M = _sums(
        grams.item_E, np.where(grams.order_E == 0, grams.candidate_count_E, 0), num_items
    )
    # The closest reference of each item.
    words_X = np.where(grams.order_E[grams.entry_X] == 0, grams.count_X, 0)
    words_R = _sums(grams.reference_X, words_X, len(grams.item_R))
    order = np.lexsort((words_R, np.abs(words_R - words_M[grams.item_R]), grams.item_R))
    return _Counts(
        hits_MN=_sums_of_orders(grams.item_E, grams.order_E, hits_E, num_items),
        guesses_MN=np.maximum(words_M[:, None] - np.arange(MAX_ORDER), 0),
        words_M=words_M,
        closest_M=words_R[order][corpus.first_reference_M],
    )


def cider_d(corpus: CaptionCorpus) -> Float64[np.ndarray, " M"]:
    """CIDEr-D of each item, in [0, 10]; the corpus score is their mean.

    How rare an n-gram is (IDF) is counted over the references of all items. A single item, whose
    n-grams are all in every document, hence scores 0.

    Raises:
        MetricError: no reference holds a word: IDF is not defined, and the official code stops.
    """
    score_M = cider_d_by_group(corpus, np.zeros(len(corpus), np.int64))
    if np.isnan(score_M).any():
        raise MetricError(
            "no reference of the chosen captions holds a word, so CIDEr is not defined",
            fix="leave such a group of captions out of the mean, and say so",
        )
    return score_M


def cider_d_by_group(
    corpus: CaptionCorpus, group_M: Int64[np.ndarray, " M"]
) -> Float64[np.ndarray, " M"]:
    """As `cider_d` of each group of items, numbered from 0 without a gap.

    NaN in a group whose references hold no word.
    """
    _check_groups(corpus, group_M)
    grams, num_items, num_references = corpus.grams, len(corpus), len(corpus.item_R)
    idf_E = _idf(grams, group_M)
    order_X, squared_idf_X = grams.order_E[grams.entry_X], (idf_E**2)[grams.entry_X]
    hits_X = np.minimum(grams.candidate_count_E[grams.entry_X], grams.count_X)

    def sums_R(value_X: np.ndarray) -> Float64[np.ndarray, "R N"]:
        return _sums_of_orders(grams.reference_X, order_X, value_X, num_references)

    def sums_M(value_E: np.ndarray) -> Float64[np.ndarray, "M N"]:
        return _sums_of_orders(grams.item_E, grams.order_E, value_E, num_items)

    dot_RN = sums_R(hits_X * grams.count_X * squared_idf_X)
    square_RN = sums_R(grams.count_X**2 * squared_idf_X)
    square_MN = sums_M((grams.candidate_count_E * idf_E) ** 2)
    norm_RN = np.sqrt(square_RN * square_MN[grams.item_R])
    cosine_RN = np.divide(dot_RN, norm_RN, out=np.zeros_like(dot_RN), where=norm_RN > 0)
    bigrams_R = sums_R(grams.count_X)[:, _BIGRAM]
    bigrams_M = sums_M(grams.candidate_count_E)[:, _BIGRAM]
    penalty_R = np.exp(-((bigrams_M[grams.item_R] - bigrams_R) ** 2) / (2 * _SIGMA**2))
    score_R = cosine_RN.mean(axis=1) * penalty_R
    score_M = _SCALE * _sums(grams.item_R, score_R, num_items) / np.bincount(grams.item_R)
    is_in_reference_E = grams.most_in_reference_E > 0
    num_told_V = np.bincount(group_M[grams.item_E], is_in_reference_E, int(group_M.max()) + 1)
    return np.where(num_told_V[group_M] > 0, score_M, np.nan)


def _idf(grams: ItemGrams, group_M: Int64[np.ndarray, " M"]) -> Float64[np.ndarray, " E"]:
    """Log of the group's number of items over those whose references hold the n-gram (min 1)."""
    group_E = group_M[grams.item_E]
    _, number_E = np.unique(group_E * grams.num_grams + grams.gram_E, return_inverse=True)
    documents = np.bincount(number_E, grams.most_in_reference_E > 0)
    return np.log(np.bincount(group_M)[group_E] / np.maximum(documents[number_E], 1.0))


def _sums_of_orders(
    row_E: Int64[np.ndarray, " E"],
    order_E: Int64[np.ndarray, " E"],
    value_E: np.ndarray,
    num_rows: int,
) -> Float64[np.ndarray, "M N"]:
    cells = _sums(row_E * MAX_ORDER + order_E, value_E, num_rows * MAX_ORDER)
    return cells.reshape(num_rows, MAX_ORDER)


def _sums(
    cell_E: Int64[np.ndarray, " E"], value_E: np.ndarray, num_cells: int
) -> Float64[np.ndarray, " N"]:
    # Of no values at all numpy makes integers.
    return np.bincount(cell_E, value_E, num_cells).astype(np.float64, copy=False)


def rouge_l(corpus: CaptionCorpus) -> Float64[np.ndarray, " M"]:
    """ROUGE-L of each item, in [0, 1]; the corpus score is their mean."""
    num_sentences = len(corpus.sentences)
    candidate_R = corpus.candidate_M[corpus.item_R]
    pairs, pair_R = np.unique(candidate_R * num_sentences + corpus.reference_R, return_inverse=True)
    candidate_P, reference_P = np.divmod(pairs, num_sentences)
    words = [sentence.split(" ") for sentence in corpus.sentences]
    length_S = np.array([len(each) for each in words], np.float64)
    common_P = _common_of_pairs(words, candidate_P.tolist(), reference_P.tolist())
    precision_M, recall_M = (
        np.maximum.reduceat((common_P / length_S[own_P])[pair_R], corpus.first_reference_M)
        for own_P in (candidate_P, reference_P)
    )
    weighted_M = recall_M + _BETA**2 * precision_M
    product_M = (1 + _BETA**2) * precision_M * recall_M
    return np.divide(product_M, weighted_M, out=np.zeros_like(product_M), where=weighted_M > 0)


def _common_of_pairs(
    words: list[list[str]], candidates: list[int], references: list[int]
) -> Float64[np.ndarray, " P"]:
    """Length of the longest common subsequence of each pair of sentences, given by number."""
    masks: dict[int, dict[str, int]] = {}
    return np.array(
        [
            len(words[own])
            if own == other
            else _common_words(words[own], other, words[other], masks)
            for own, other in zip(candidates, references, strict=True)
        ],
        np.float64,
    )


def _common_words(
    words: list[str], reference: int, its_words: list[str], masks: dict[int, dict[str, int]]
) -> int:
    """Length of the longest common subsequence of two lists of words.

    One bit a word of the reference, all steps of a row at once (Hyyrö, "Bit-parallel LCS-length
    computation revisited", 2004): ten times faster than the table for sentences.

    `masks` says where each word stands in the references met so far, and is extended.
    """
    place = masks.get(reference)
    if place is None:
        place = masks[reference] = {}
        for position, word in enumerate(its_words):
            place[word] = place.get(word, 0) | 1 << position
    full = (1 << len(its_words)) - 1
    unmatched = full
    for word in words:
        if word in place:
            match = unmatched & place[word]
            unmatched = (unmatched + match) | (unmatched - match)
    return len(its_words) - (unmatched & full).bit_count()
