"""Candidates beside their references, every sentence and n-gram interned once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import chain

import numpy as np
from jaxtyping import Int64

from figclip.errors import MetricError
from figclip.metrics.captions.ngrams import ItemGrams, count_item_grams, count_sentence_grams


class CaptionCorpus:
    """M items, each a candidate sentence and one reference or more.

    Sentences are taken as they are: the caller tokenises and lower-cases, or does not. Equal
    sentences are stored once, so an item may be scored in many subsets at no cost of text.

    Args:
        candidates: The sentence to score of each item; may be empty (`""`).
        references: What it is scored against; may be empty strings, but at least one an item.

    Attributes:
        sentences: Distinct sentences, in the order of their first use.
        candidate_M: Position in `sentences` of each item's candidate.
        reference_R: The same for all references, item after item.
        first_reference_M1: Where each item's references begin in `reference_R`, and the end.

    Raises:
        MetricError: the lists differ in length, or an item has no reference.
    """

    def __init__(self, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        if len(candidates) != len(references):
            raise MetricError(
                f"{len(candidates)} candidates stand beside {len(references)} lists of references",
                fix="give one list of references a candidate",
            )
        num_references = np.array([len(each) for each in references], np.int64)
        if not num_references.all():
            raise MetricError(
                "an item has no reference",
                where=f"item {int(np.flatnonzero(num_references == 0)[0])}",
                fix='leave it out, or compare it with the empty sentence ""',
            )
        ids: dict[str, int] = {}
        self.candidate_M = _intern(candidates, ids)
        self.reference_R = _intern(list(chain.from_iterable(references)), ids)
        self.first_reference_M1 = np.concatenate([[0], np.cumsum(num_references)])
        self.sentences = tuple(ids)

    def __len__(self) -> int:
        return len(self.candidate_M)

    def choose(self, items: Int64[np.ndarray, " M"] | None) -> Int64[np.ndarray, " M"]:
        """Positions of the chosen items: all of them for None.

        Raises:
            MetricError: a position is outside the corpus, or none is chosen.
        """
        chosen = np.arange(len(self)) if items is None else np.asarray(items, np.int64)
        if not len(chosen):
            raise MetricError("there is no caption to score")
        if chosen.min() < 0 or chosen.max() >= len(self):
            raise MetricError(
                f"items {chosen.min()} to {chosen.max()} are chosen of {len(self)} items"
            )
        return chosen

    def check_groups(self, group_M: Int64[np.ndarray, " M"]) -> None:
        """Hold that every item has a group, and that groups are numbered from 0 without a gap.

        Raises:
            MetricError: there is no item.
        """
        self.choose(None)
        assert len(group_M) == len(self) and group_M.min() >= 0
        assert np.bincount(group_M).all(), "a group without items"

    @cached_property
    def grams(self) -> ItemGrams:
        """n-grams of all items, counted at first use."""
        return count_item_grams(
            count_sentence_grams(self.sentences),
            candidate_M=self.candidate_M,
            reference_R=self.reference_R,
            first_reference_M1=self.first_reference_M1,
        )


def _intern(sentences: Sequence[str], ids: dict[str, int]) -> Int64[np.ndarray, " N"]:
    """Number of each sentence; new ones are added to `ids`."""
    return np.array([ids.setdefault(sentence, len(ids)) for sentence in sentences], np.int64)
