"""CIDEr-D: TF-IDF vectors of a candidate's n-grams against its references'.

Source: Vedantam, Zitnick, Parikh, "CIDEr: Consensus-based Image Description Evaluation" (CVPR
2015), as in pycocoevalcap 1.2: n = 1 … 4, sigma 6, x 10; its length penalty compares numbers of
bigrams, not of words.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

from figclip.errors import MetricError
from figclip.metrics.captions.corpus import MAX_ORDER, CaptionCorpus, ItemGrams, sums

_SIGMA = 6.0
_SCALE = 10.0
_BIGRAM = 1


def cider_d(
    corpus: CaptionCorpus, items: Int64[np.ndarray, " M"] | None = None
) -> Float64[np.ndarray, " M"]:
    """CIDEr-D of each chosen item; the corpus score is their mean.

    How rare an n-gram is (IDF) is counted over the references of exactly the chosen items. A single
    item, whose n-grams are all in every document, hence scores 0.

    Scores are in [0, 10].

    Raises:
        MetricError: no item is chosen, or no reference of a chosen one holds a word: IDF is not
            defined, and the official code stops.
    """
    chosen = corpus.choose(items)
    grams = corpus.grams if items is None else corpus.grams.take(chosen)
    return _scores(grams, np.zeros(len(chosen), np.int64))


def cider_d_by_group(
    corpus: CaptionCorpus, group_M: Int64[np.ndarray, " M"]
) -> Float64[np.ndarray, " M"]:
    """CIDEr-D of all items, IDF counted within each group: `cider_d` of each group, in one go.

    Groups are numbered from 0 without a gap.

    Raises:
        MetricError: there is no item, or no reference of some group holds a word.
    """
    corpus.check_groups(group_M)
    return _scores(corpus.grams, group_M)


def _scores(grams: ItemGrams, group_M: Int64[np.ndarray, " M"]) -> Float64[np.ndarray, " M"]:
    num_items, num_references = len(group_M), len(grams.first_in_reference_R1) - 1
    item_E = np.repeat(np.arange(num_items), np.diff(grams.first_entry_M1))
    reference_X = np.repeat(np.arange(num_references), np.diff(grams.first_in_reference_R1))
    item_R = np.repeat(np.arange(num_items), np.diff(grams.first_reference_M1))
    idf_E = _idf(grams, group_M, item_E)

    candidate_cell_E = item_E * MAX_ORDER + grams.order_E
    reference_cell_X = reference_X * MAX_ORDER + grams.order_E[grams.entry_X]
    squared_idf_X = (idf_E**2)[grams.entry_X]
    hits_X = np.minimum(grams.candidate_count_E[grams.entry_X], grams.count_X)
    dot_RN = _sums_of_orders(
        reference_cell_X, hits_X * grams.count_X * squared_idf_X, num_references
    )
    square_RN = _sums_of_orders(reference_cell_X, grams.count_X**2 * squared_idf_X, num_references)
    square_MN = _sums_of_orders(candidate_cell_E, (grams.candidate_count_E * idf_E) ** 2, num_items)
    norm_RN = np.sqrt(square_RN * square_MN[item_R])
    cosine_RN = np.divide(dot_RN, norm_RN, out=np.zeros_like(dot_RN), where=norm_RN > 0)

    bigrams_R = _sums_of_orders(reference_cell_X, grams.count_X, num_references)[:, _BIGRAM]
    bigrams_M = _sums_of_orders(candidate_cell_E, grams.candidate_count_E, num_items)[:, _BIGRAM]
    penalty_R = np.exp(-((bigrams_M[item_R] - bigrams_R) ** 2) / (2 * _SIGMA**2))
    score_R = cosine_RN.mean(axis=1) * penalty_R
    num_references_M = np.diff(grams.first_reference_M1)
    return _SCALE * sums(item_R, score_R, num_items) / num_references_M


def _idf(
    grams: ItemGrams, group_M: Int64[np.ndarray, " M"], item_E: Int64[np.ndarray, " E"]
) -> Float64[np.ndarray, " E"]:
    """Log of the group's number of items over those whose references hold the n-gram (min 1)."""
    is_in_reference_E = grams.most_in_reference_E > 0
    group_E = group_M[item_E]
    items_of_group = np.bincount(group_M)
    if not np.bincount(group_E[is_in_reference_E], minlength=len(items_of_group)).all():
        raise MetricError(
            "no reference of the chosen captions holds a word, so CIDEr is not defined",
            fix="leave such a group of captions out of the mean, and say so",
        )
    key_E = group_E * grams.num_grams + grams.gram_E
    _, number_E = np.unique(key_E, return_inverse=True)
    documents = np.bincount(number_E, is_in_reference_E)
    return np.log(items_of_group[group_E] / np.maximum(documents[number_E], 1.0))


def _sums_of_orders(
    cell_E: Int64[np.ndarray, " E"], value_E: np.ndarray, num_rows: int
) -> Float64[np.ndarray, "M N"]:
    """Sums of the values of each row and order of n-gram."""
    return sums(cell_E, value_E, num_rows * MAX_ORDER).reshape(num_rows, MAX_ORDER)
