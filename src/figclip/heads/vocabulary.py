"""The words that heads can write, and an event's roles as tokens and back.

A text decoder writes the roles of an event as one sequence, `[Arg0] a red cat [Arg1] a dog [AScn]
park END`, where the keys are marks, in the order of the annotation.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

PAD, END, UNKNOWN = 0, 1, 2
NUM_SPECIAL = 3


@dataclass(frozen=True)
class Vocabulary:
    """Token ids: padding, end, unknown word, then marks, then words.

    Marks are no words, for example the keys of roles. Words are separated by white space, verbatim.
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

    Words of fewer than `min_count` occurrences are unknown, and never written.
    """
    counts = Counter(word for text in texts for word in text.split())
    words = sorted(word for word, count in counts.items() if count >= min_count)
    return Vocabulary(marks=tuple(sorted(set(marks))), words=tuple(words))


def encode_roles(roles: Mapping[str, str], vocabulary: Vocabulary) -> list[int]:
    """Token ids of roles, with the end."""
    tokens: list[int] = []
    for key, text in roles.items():
        tokens += [vocabulary.mark_id(key), *vocabulary.word_ids(text)]
    return [*tokens, END]


def decode_roles(tokens: Sequence[int], vocabulary: Vocabulary) -> dict[str, str]:
    """Texts by key.

    Words before the first key belong to no role; of a key written twice the first text is taken.
    """
    roles: dict[str, str] = {}
    key: str | None = None
    words: list[int] = []
    for token in [*tokens, END]:
        if token == END or vocabulary.is_mark(token):
            if key is not None:
                roles.setdefault(key, vocabulary.text(words))
            if token == END:
                break
            key, words = vocabulary.token(token), []
        else:
            words.append(token)
    return roles
