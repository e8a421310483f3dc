"""ROUGE-L as pycocoevalcap 1.2 computes it.

Source: Lin, "ROUGE" (2004); pycocoevalcap's `rouge.py`: beta 1.2, best precision and best recall
over the references taken separately. Words are split at single spaces, so two spaces hold an empty
word between them, and `""` is one empty word: against `""` it scores 1.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

from figclip.metrics.captions.corpus import CaptionCorpus, ranges

_BETA = 1.2


def rouge_l(
    corpus: CaptionCorpus, items: Int64[np.ndarray, " M"] | None = None
) -> Float64[np.ndarray, " M"]:
    """ROUGE-L of each chosen item, in [0, 1]; the corpus score is their mean.

    Raises:
        MetricError: no item is chosen.
    """
    chosen = corpus.choose(items)
    slots, first_M1 = ranges(corpus.first_reference_M1, chosen)
    candidate_R = np.repeat(corpus.candidate_M[chosen], np.diff(first_M1))
    num_sentences = len(corpus.sentences)
    pairs, pair_R = np.unique(
        candidate_R * num_sentences + corpus.reference_R[slots], return_inverse=True
    )
    candidate_P, reference_P = np.divmod(pairs, num_sentences)
    words = [sentence.split(" ") for sentence in corpus.sentences]
    length_S = np.array([len(each) for each in words], np.float64)
    common_P = _common_of_pairs(words, candidate_P.tolist(), reference_P.tolist())
    precision_M = np.maximum.reduceat((common_P / length_S[candidate_P])[pair_R], first_M1[:-1])
    recall_M = np.maximum.reduceat((common_P / length_S[reference_P])[pair_R], first_M1[:-1])
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
