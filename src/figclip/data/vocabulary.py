"""The words that a text decoder knows, as token ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

PAD, END, UNKNOWN = 0, 1, 2
NUM_SPECIAL = 3


@dataclass(frozen=True)
class Vocabulary:
    """Token ids: padding, end, unknown word, then marks, then words.

    Attributes:
        marks: Tokens that are no words, for example the keys of roles.
        words: Separated by white space in texts, verbatim.
    """

    marks: tuple[str, ...]
    words: tuple[str, ...]

    def __len__(self) -> int:
        return NUM_SPECIAL + len(self.marks) + len(self.words)

    @cached_property
    def _id_of_mark(self) -> dict[str, int]:
        return {mark: NUM_SPECIAL + i for i, mark in enumerate(self.marks)}

    @cached_property
    def _id_of_word(self) -> dict[str, int]:
        first = NUM_SPECIAL + len(self.marks)
        return {word: first + i for i, word in enumerate(self.words)}

    def mark_id(self, mark: str) -> int:
        """Id of a mark, `UNKNOWN` for another."""
        return self._id_of_mark.get(mark, UNKNOWN)

    def word_ids(self, text: str) -> list[int]:
        """Ids of the words of a text; `UNKNOWN` stands for those that are not in here."""
        return [self._id_of_word.get(word, UNKNOWN) for word in text.split()]

    def is_mark(self, token: int) -> bool:
        """Whether an id is that of a mark."""
        return NUM_SPECIAL <= token < NUM_SPECIAL + len(self.marks)

    def token(self, token: int) -> str:
        """Mark or word of an id."""
        return (*self.marks, *self.words)[token - NUM_SPECIAL] if token >= NUM_SPECIAL else ""

    def text(self, tokens: Sequence[int]) -> str:
        """The words of these ids, joined by spaces; other tokens are left out."""
        first = NUM_SPECIAL + len(self.marks)
        return " ".join(self.words[token - first] for token in tokens if token >= first)


def build_vocabulary(
    texts: Iterable[str], *, marks: Iterable[str] = (), min_count: int = 1
) -> Vocabulary:
    """The words that occur often enough, sorted, so that their order in the texts is of no account.

    Args:
        texts: All texts to be written.
        marks: All marks.
        min_count: Rarer words are unknown, and never written.
    """
    counts = Counter(word for text in texts for word in text.split())
    words = sorted(word for word, count in counts.items() if count >= min_count)
    return Vocabulary(marks=tuple(sorted(set(marks))), words=tuple(words))
