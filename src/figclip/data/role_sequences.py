"""The roles of an event as one sequence of tokens, which a decoder writes, and back.

`[Arg0] a red cat [Arg1] a dog [AScn] park END`: keys are marks, in the order of the annotation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from figclip.data.fillers import clean_filler, says_nothing
from figclip.data.role_keys import roles_by_key
from figclip.data.vocabulary import END, Vocabulary, build_vocabulary
from figclip.records import Event


def told_roles(event: Event) -> dict[str, str]:
    """Cleaned texts by key of the roles that say something."""
    roles = {key: clean_filler(text) for key, text in roles_by_key(event).items()}
    return {key: text for key, text in roles.items() if not says_nothing(text)}


def build_role_vocabulary(events: Iterable[Event], *, min_count: int) -> Vocabulary:
    """Keys and words of the roles of events; rarer words than `min_count` are unknown."""
    roles = [told_roles(event) for event in events]
    return build_vocabulary(
        (text for one in roles for text in one.values()),
        marks=(key for one in roles for key in one),
        min_count=min_count,
    )


def encode_roles(roles: Mapping[str, str], vocabulary: Vocabulary) -> list[int]:
    """Token ids of roles, with the end.

    Args:
        roles: Texts by key, as `told_roles` gives them.
        vocabulary: Its marks are keys.
    """
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
