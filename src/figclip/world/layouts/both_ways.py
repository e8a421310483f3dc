"""A pair both ways round: two pictures or videos that exchange a true and a false sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Generic[Seen]):
    """What is seen with a true and a false sentence.

    Attributes:
        seen: A situation or a story.
        true: Its sentence.
        false: The other one's.
    """

    seen: Seen
    true: str
    false: str


def both_ways(seen: tuple[Seen, Seen], sentences: tuple[str, str]) -> tuple[Told[Seen], Told[Seen]]:
    """Both sides of a pair, so that each sentence is true once and false once."""
    assert sentences[0] != sentences[1], f"one sentence of both sides: {sentences[0]}"
    return (
        Told(seen=seen[0], true=sentences[0], false=sentences[1]),
        Told(seen=seen[1], true=sentences[1], false=sentences[0]),
    )
