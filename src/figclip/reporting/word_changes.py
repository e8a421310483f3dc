"""Which words of a sentence another one lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

_WORD = re.compile(r"\s*(?:\w+|[^\w\s])")
"""A word or a sign, with the space before it."""


@dataclass(frozen=True, slots=True)
class Words:
    """Words in a row, and whether the other sentence has others in their place."""

    text: str
    changed: bool


def changed_words(sentence: str, other: str) -> Iterator[Words]:
    """The sentence in parts: those that the other one shares, and those that it does not.

    Args:
        sentence: To be shown; the parts joined are the sentence without space at its end.
        other: To be compared with.
    """
    words, others = _WORD.findall(sentence), _WORD.findall(other)
    matcher = SequenceMatcher(
        a=[word.strip() for word in words], b=[word.strip() for word in others], autojunk=False
    )
    for kind, start, end, _, _ in matcher.get_opcodes():
        if end > start:
            yield Words("".join(words[start:end]), kind != "equal")
