"""Write the counterparts of a plain sentence: what it would be easy to mistake it for.

One thing is changed at a time: who acts on whom, a verb or direction, a manner. What means the same
either way is not known to (`a man meets a woman`).
"""

from __future__ import annotations

from dataclasses import dataclass

from figclip.errors import ConfigError
from figclip.search.opposites import opposites_in
from figclip.search.role_swap import Refusal, swap_roles


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterpart:
    """A sentence, and what was changed: `roles`, or the words (`enters: leaves`)."""

    text: str
    changed: str


def counterparts_of(sentence: str) -> tuple[Counterpart, ...]:
    """All counterparts of a sentence that the rules know, roles first; there may be none.

    The sentence is one of the counterparts of each.
    """
    return _found(sentence, swap_roles(sentence))


def write_counterparts(sentence: str) -> tuple[Counterpart, ...]:
    """As `counterparts_of`, at least one.

    Raises:
        ConfigError: there is none; it says why.
    """
    roles = swap_roles(sentence)
    found = _found(sentence, roles)
    if not found:
        assert isinstance(roles, Refusal)
        raise ConfigError(
            f"no counterpart can be written by rule: {roles.why}, and no verb, direction or manner "
            "with an opposite that is known",
            where=repr(sentence),
            fix='Write one yourself: --not "…"',
        )
    return found


def _found(sentence: str, roles: str | Refusal) -> tuple[Counterpart, ...]:
    """The counterparts, given that with roles exchanged."""
    found = [] if isinstance(roles, Refusal) else [Counterpart(text=roles, changed="roles")]
    for edit in opposites_in(sentence):
        text = sentence
        for part in reversed(edit):
            text = text[: part.start] + part.text + text[part.end :]
        old = " … ".join(sentence[part.start : part.end] for part in edit)
        new = " … ".join(part.text for part in edit)
        found.append(Counterpart(text=text, changed=f"{old}: {new}"))
    return tuple(found)
