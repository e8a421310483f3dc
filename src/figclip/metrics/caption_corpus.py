"""Count the n-grams (n = 1 … 4) of candidates and references, each sentence and n-gram stored once.

Counts are flat integer arrays. Shape letters of captions: M items, R references of all items,
S distinct sentences, G distinct n-grams, W words of all sentences, C distinct n-grams of a
sentence, over all sentences, E distinct n-grams of an item (candidate and references together),
over all items, X distinct n-grams of a reference, over all references.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from jaxtyping import Int64

from figclip.errors import MetricError

MAX_ORDER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceGrams:
    """n-grams of distinct sentences.

    `first_S1` says where each sentence's n-grams begin in the next two, numbers and counts, and the
    end. `order_G` is n - 1 of each n-gram.
    """

    first_S1: Int64[np.ndarray, " S1"]
    gram_C: Int64[np.ndarray, " C"]
    count_C: Int64[np.ndarray, " C"]
    order_G: Int64[np.ndarray, " G"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemGrams:
    """n-grams of items: what CIDEr and BLEU need of the texts.

    Attributes:
        num_grams: G.
        item_E: Item of each of its n-grams, ascending.
        gram_E: Number of the n-gram, in [0, G).
        order_E: Its n - 1.
        candidate_count_E: How often the candidate holds it.
        most_in_reference_E: The highest count in one reference; 0: no reference holds it.
        item_R: Item of each reference, ascending.
        reference_X: Reference of each of its n-grams, ascending.
        entry_X: Position of the n-gram in the arrays of E.
        count_X: How often the reference holds it.
    """

    num_grams: int
    item_E: Int64[np.ndarray, " E"]
    gram_E: Int64[np.ndarray, " E"]
    order_E: Int64[np.ndarray, " E"]
    candidate_count_E: Int64[np.ndarray, " E"]
    most_in_reference_E: Int64[np.ndarray, " E"]
    item_R: Int64[np.ndarray, " R"]
    reference_X: Int64[np.ndarray, " X"]
    entry_X: Int64[np.ndarray, " X"]
    count_X: Int64[np.ndarray, " X"]


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


def _ranges(
    first_S1: Int64[np.ndarray, " S1"], chosen_N: Int64[np.ndarray, " N"]
) -> tuple[Int64[np.ndarray, " E"], Int64[np.ndarray, " E"]]:
    """Positions in a flat array of the chosen parts, part after part, and which part each is of."""
    start_N = first_S1[chosen_N]
    length_N = first_S1[chosen_N + 1] - start_N
    moved_N = start_N - np.cumsum(length_N) + length_N
    part_E = np.repeat(np.arange(len(chosen_N)), length_N)
    return np.arange(len(part_E)) + moved_N[part_E], part_E


def count_item_grams(
    sentence_grams: SentenceGrams,
    *,
    candidate_M: Int64[np.ndarray, " M"],
    reference_R: Int64[np.ndarray, " R"],
    item_R: Int64[np.ndarray, " R"],
) -> ItemGrams:
    """n-grams of items that are given as sentences."""
    num_grams = len(sentence_grams.order_G)
    in_candidate, item_of_candidate_gram = _ranges(sentence_grams.first_S1, candidate_M)
    in_reference, reference_X = _ranges(sentence_grams.first_S1, reference_R)
    key_E, entry = np.unique(
        np.concatenate([item_of_candidate_gram, item_R[reference_X]]) * num_grams
        + sentence_grams.gram_C[np.concatenate([in_candidate, in_reference])],
        return_inverse=True,
    )
    entry_X = entry[len(in_candidate) :]
    count_X = sentence_grams.count_C[in_reference]
    candidate_count_E = np.zeros(len(key_E), np.int64)
    candidate_count_E[entry[: len(in_candidate)]] = sentence_grams.count_C[in_candidate]
    most_in_reference_E = np.zeros(len(key_E), np.int64)
    np.maximum.at(most_in_reference_E, entry_X, count_X)
    item_E, gram_E = np.divmod(key_E, max(num_grams, 1))
    return ItemGrams(
        num_grams=num_grams,
        item_E=item_E,
        gram_E=gram_E,
        order_E=sentence_grams.order_G[gram_E],
        candidate_count_E=candidate_count_E,
        most_in_reference_E=most_in_reference_E,
        item_R=item_R,
        reference_X=reference_X,
        entry_X=entry_X,
        count_X=count_X,
    )


class CaptionCorpus:
    """M items, each a candidate sentence and one reference or more; any may be empty (`""`).

    Sentences are taken as they are: the caller tokenises and lower-cases, or does not. Equal
    sentences are stored once.

    Attributes:
        sentences: Distinct sentences, in the order of their first use.
        candidate_M: Position in `sentences` of each item's candidate.
        reference_R: The same for all references, item after item.
        item_R: Item of each reference.
        first_reference_M: Where each item's references begin in `reference_R`.

    Raises:
        MetricError: no item, lists of different lengths, or an item without a reference.
    """

    def __init__(self, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        if len(candidates) != len(references):
            raise MetricError(
                f"{len(candidates)} candidates stand beside {len(references)} lists of references",
                fix="give one list of references a candidate",
            )
        if not candidates:
            raise MetricError("there is no caption to score")
        num_references_M = np.array([len(each) for each in references], np.int64)
        if not num_references_M.all():
            raise MetricError(
                "an item has no reference",
                where=f"item {int(np.argmin(num_references_M))}",
                fix='leave it out, or compare it with the empty sentence ""',
            )
        ids: dict[str, int] = {}
        self.candidate_M = _intern(candidates, ids)
        self.reference_R = _intern(list(chain.from_iterable(references)), ids)
        self.item_R = np.repeat(np.arange(len(candidates)), num_references_M)
        self.first_reference_M = np.cumsum(num_references_M) - num_references_M
        self.sentences = tuple(ids)

    def __len__(self) -> int:
        return len(self.candidate_M)

    @cached_property
    def grams(self) -> ItemGrams:
        """n-grams of all items, counted at first use."""
        return count_item_grams(
            count_sentence_grams(self.sentences),
            candidate_M=self.candidate_M,
            reference_R=self.reference_R,
            item_R=self.item_R,
        )


def _intern(sentences: Sequence[str], ids: dict[str, int]) -> Int64[np.ndarray, " N"]:
    """Number of each sentence; new ones are added to `ids`."""
    return np.array([ids.setdefault(sentence, len(ids)) for sentence in sentences], np.int64)
