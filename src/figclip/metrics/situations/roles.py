"""Texts of roles against those of several annotators, over all items and within groups.

Source: github.com/TheShadow29/VidSitu @ b794988, `EvalFnCap` of `vidsitu_code/evl_fns.py`: the
scores of captions, once over all items, and once in each verb and each role by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from figclip.metrics.captions import (
    BleuScores,
    CaptionCorpus,
    bleu,
    bleu_by_group,
    cider_d,
    cider_d_by_group,
    rouge_l,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextScores:
    """Scores of all items.

    Attributes:
        cider_M: CIDEr-D of each item, in [0, 10]; their mean is the score.
        rouge_M: ROUGE-L of each item; their mean is the score.
    """

    cider_M: Float64[np.ndarray, " M"]
    rouge_M: Float64[np.ndarray, " M"]
    bleu: BleuScores


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupScores:
    """Scores of each group of items, as if there were no others.

    Attributes:
        names: Names of the groups, in the order of their first items.
        cider_M: CIDEr-D of each item among those of its group; NaN where it is not defined.
        cider_V: Its mean in each group; NaN where no reference of the group holds a word. A group
            of a single item has 0, whatever is predicted.
    """

    names: tuple[str, ...]
    group_M: Int64[np.ndarray, " M"]
    size_V: Int64[np.ndarray, " V"]
    cider_M: Float64[np.ndarray, " M"]
    cider_V: Float64[np.ndarray, " V"]
    rouge_V: Float64[np.ndarray, " V"]
    bleu_VN: Float64[np.ndarray, "V 4"]

    @property
    def is_defined_V(self) -> Bool[np.ndarray, " V"]:
        """True where CIDEr is defined."""
        return ~np.isnan(self.cider_V)

    def macro_cider(self, *, min_items: int = 1) -> float | None:
        """Mean over the groups where it is defined and that have so many items; None for none."""
        chosen_V = self.is_defined_V & (self.size_V >= min_items)
        return float(self.cider_V[chosen_V].mean()) if chosen_V.any() else None


def score_texts(corpus: CaptionCorpus) -> TextScores:
    """Scores of all items.

    Raises:
        MetricError: no item, or no reference holds a word.
    """
    return TextScores(cider_M=cider_d(corpus), rouge_M=rouge_l(corpus), bleu=bleu(corpus))


def score_groups(
    corpus: CaptionCorpus, names: Sequence[str], *, rouge_M: Float64[np.ndarray, " M"]
) -> GroupScores:
    """Scores of each group of items by itself."""
    number_of: dict[str, int] = {}
    group_M = np.array([number_of.setdefault(name, len(number_of)) for name in names], np.int64)
    size_V = np.bincount(group_M)
    cider_M = _cider_within_groups(corpus, group_M)
    return GroupScores(
        names=tuple(number_of),
        group_M=group_M,
        size_V=size_V,
        cider_M=cider_M,
        cider_V=np.bincount(group_M, cider_M) / size_V,
        rouge_V=np.bincount(group_M, rouge_M) / size_V,
        bleu_VN=bleu_by_group(corpus, group_M),
    )


def _cider_within_groups(
    corpus: CaptionCorpus, group_M: Int64[np.ndarray, " M"]
) -> Float64[np.ndarray, " M"]:
    """CIDEr-D of each item among those of its group; NaN where no reference there holds a word."""
    has_word_S = np.array([bool(sentence.split()) for sentence in corpus.sentences])
    has_word_R = has_word_S[corpus.reference_R]
    group_R = np.repeat(group_M, np.diff(corpus.first_reference_M1))
    num_words_V = np.bincount(group_R, has_word_R)
    if num_words_V.all():
        return cider_d_by_group(corpus, group_M)
    cider_M = np.full(len(corpus), np.nan)
    for group in np.flatnonzero(num_words_V):
        items = np.flatnonzero(group_M == group)
        cider_M[items] = cider_d(corpus, items)
    return cider_M
