"""Count the n-grams (n = 1 … 4) of candidates and references, each sentence and n-gram stored once.

Counts are flat integer arrays. Shape letters of this package: M items, R references of all items,
S distinct sentences, G distinct n-grams, W words of all sentences, C distinct n-grams of a
sentence, over all sentences, E distinct n-grams of an item (candidate and references together),
over all items, X distinct n-grams of a reference, over all references. `first_M1` has M + 1
numbers: where each item's part of a flat array begins, and the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from jaxtyping import Float64, Int64

from figclip.errors import MetricError

MAX_ORDER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceGrams:
    """n-grams of distinct sentences.

    Attributes:
        first_S1: Where each sentence's n-grams begin in the next two, and the end.
        gram_C: Number of the n-gram.
        count_C: How often the sentence holds it.
        order_G: n - 1 of each n-gram.
    """

    first_S1: Int64[np.ndarray, " S1"]
    gram_C: Int64[np.ndarray, " C"]
    count_C: Int64[np.ndarray, " C"]
    order_G: Int64[np.ndarray, " G"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemGrams:
    """n-grams of items: what CIDEr and BLEU need of the texts, whatever subset they score.

    Attributes:
        num_grams: G.
        first_entry_M1: Where each item's n-grams begin in the arrays of E, and the end.
        gram_E: Number of the n-gram, in [0, G).
        order_E: Its n - 1.
        candidate_count_E: How often the candidate holds it.
        most_in_reference_E: The highest count in one reference; 0: no reference holds it.
        first_reference_M1: Where each item's references begin, and the end.
        first_in_reference_R1: Where each reference's n-grams begin in the arrays of X, and the end.
        entry_X: Position of the n-gram in the arrays of E.
        count_X: How often the reference holds it.
    """

    num_grams: int
    first_entry_M1: Int64[np.ndarray, " M1"]
    gram_E: Int64[np.ndarray, " E"]
    order_E: Int64[np.ndarray, " E"]
    candidate_count_E: Int64[np.ndarray, " E"]
    most_in_reference_E: Int64[np.ndarray, " E"]
    first_reference_M1: Int64[np.ndarray, " M1"]
    first_in_reference_R1: Int64[np.ndarray, " R1"]
    entry_X: Int64[np.ndarray, " X"]
    count_X: Int64[np.ndarray, " X"]

    def take(self, items: Int64[np.ndarray, " M"]) -> ItemGrams:
        """The n-grams of these items, in their order; an item may occur twice."""
        entries, first_entry = ranges(self.first_entry_M1, items)
        references, first_reference = ranges(self.first_reference_M1, items)
        rows, first_in_reference = ranges(self.first_in_reference_R1, references)
        # Entries of an item move together: by what its first one moves.
        moved_M = first_entry[:-1] - self.first_entry_M1[items]
        num_rows_M = np.diff(first_in_reference[first_reference])
        return ItemGrams(
            num_grams=self.num_grams,
            first_entry_M1=first_entry,
            gram_E=self.gram_E[entries],
            order_E=self.order_E[entries],
            candidate_count_E=self.candidate_count_E[entries],
            most_in_reference_E=self.most_in_reference_E[entries],
            first_reference_M1=first_reference,
            first_in_reference_R1=first_in_reference,
            entry_X=self.entry_X[rows] + np.repeat(moved_M, num_rows_M),
            count_X=self.count_X[rows],
        )


def ranges(
    first_N1: Int64[np.ndarray, " N1"], chosen: Int64[np.ndarray, " M"]
) -> tuple[Int64[np.ndarray, " E"], Int64[np.ndarray, " M1"]]:
    """Positions in a flat array of the chosen parts, part after part, and where each now begins."""
    start_M = first_N1[chosen]
    length_M = first_N1[chosen + 1] - start_M
    first_M1 = np.concatenate([[0], np.cumsum(length_M)])
    positions_E = np.arange(int(first_M1[-1])) + np.repeat(start_M - first_M1[:-1], length_M)
    return positions_E, first_M1


def sums(
    cell_E: Int64[np.ndarray, " E"], value_E: np.ndarray, num_cells: int
) -> Float64[np.ndarray, " N"]:
    """Sum of the values of each cell."""
    # Of no values at all numpy makes integers.
    return np.bincount(cell_E, value_E, num_cells).astype(np.float64, copy=False)


def count_sentence_grams(sentences: Sequence[str]) -> SentenceGrams:
    """n-grams of each sentence; words are what `str.split` gives."""
    words_of_sentence = [sentence.split() for sentence in sentences]
    length_S = np.array([len(words) for words in words_of_sentence], np.int64)
    ids: dict[str, int] = {}
    word_W = np.array(
        [ids.setdefault(word, len(ids)) for words in words_of_sentence for word in words], np.int64
    )
    sentence_W = np.repeat(np.arange(len(sentences)), length_S)
    left_W = np.repeat(np.cumsum(length_S), length_S) - np.arange(len(word_W))  # words to the end
    gram_W = word_W  # the n-gram that begins at each word
    num_grams_of_order = [len(ids)]
    grams, owners = [word_W], [sentence_W]
    for order in range(1, MAX_ORDER):
        start = np.flatnonzero(left_W > order)
        # A longer n-gram is a shorter one and the word behind it.
        pairs = gram_W[start] * len(ids) + word_W[start + order]
        distinct, number = np.unique(pairs, return_inverse=True)
        gram_W = np.zeros_like(word_W)
        gram_W[start] = number
        grams.append(number + sum(num_grams_of_order))
        owners.append(sentence_W[start])
        num_grams_of_order.append(len(distinct))
    num_grams = sum(num_grams_of_order)
    key_C, count_C = np.unique(
        np.concatenate(owners) * num_grams + np.concatenate(grams), return_counts=True
    )
    return SentenceGrams(
        first_S1=np.searchsorted(key_C, np.arange(len(sentences) + 1) * num_grams),
        gram_C=key_C % max(num_grams, 1),
        count_C=count_C,
        order_G=np.repeat(np.arange(MAX_ORDER), num_grams_of_order),
    )


def count_item_grams(
    sentence_grams: SentenceGrams,
    *,
    candidate_M: Int64[np.ndarray, " M"],
    reference_R: Int64[np.ndarray, " R"],
    first_reference_M1: Int64[np.ndarray, " M1"],
) -> ItemGrams:
    """n-grams of items that are given as sentences."""
    num_items, num_grams = len(candidate_M), len(sentence_grams.order_G)
    item_R = np.repeat(np.arange(num_items), np.diff(first_reference_M1))
    in_candidate, first_in_candidate_M1 = ranges(sentence_grams.first_S1, candidate_M)
    in_reference, first_in_reference_R1 = ranges(sentence_grams.first_S1, reference_R)
    item_of_candidate_gram = np.repeat(np.arange(num_items), np.diff(first_in_candidate_M1))
    item_X = np.repeat(item_R, np.diff(first_in_reference_R1))
    key_E, entry = np.unique(
        np.concatenate([item_of_candidate_gram, item_X]) * num_grams
        + sentence_grams.gram_C[np.concatenate([in_candidate, in_reference])],
        return_inverse=True,
    )
    entry_X = entry[len(in_candidate) :]
    count_X = sentence_grams.count_C[in_reference]
    candidate_count_E = np.zeros(len(key_E), np.int64)
    candidate_count_E[entry[: len(in_candidate)]] = sentence_grams.count_C[in_candidate]
    most_in_reference_E = np.zeros(len(key_E), np.int64)
    np.maximum.at(most_in_reference_E, entry_X, count_X)
    gram_E = key_E % max(num_grams, 1)
    return ItemGrams(
        num_grams=num_grams,
        first_entry_M1=np.searchsorted(key_E, np.arange(num_items + 1) * num_grams),
        gram_E=gram_E,
        order_E=sentence_grams.order_G[gram_E],
        candidate_count_E=candidate_count_E,
        most_in_reference_E=most_in_reference_E,
        first_reference_M1=first_reference_M1,
        first_in_reference_R1=first_in_reference_R1,
        entry_X=entry_X,
        count_X=count_X,
    )


class CaptionCorpus:
    """M items, each a candidate sentence and one reference or more.

    Sentences are taken as they are: the caller tokenises and lower-cases, or does not. Equal
    sentences are stored once, so an item may be scored in many subsets at no cost of text.

    Args:
        candidates: The sentence to score of each item; may be empty (`""`).
        references: What it is scored against; may be empty strings, but at least one per item.

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
