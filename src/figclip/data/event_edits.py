"""Counterfactual events: one thing of an annotated event changed, everything else kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from figclip.data.captions import text_hash
from figclip.data.fillers import filled_roles
from figclip.data.sense_pool import SenseFrame
from figclip.records import Event, Role


def replace_verb(event: Event, frame: SenseFrame) -> Event:
    """The event with another verb sense, which names the numbered roles slot by slot.

    Modifiers, scene and the order of the roles stay. Roles in a slot that the sense lacks go: a
    caption that is shorter for it gives the negative away, see `negatives.negative_events`.

    Args:
        event: The event to change.
        frame: The sense to put in.

    Returns:
        A new event.
    """
    roles = (
        role if role.is_modifier else replace(role, name=frame.role_names[role.slot])
        for role in event.roles
        if role.is_modifier or role.slot in frame.role_names
    )
    return replace(event, verb=frame.verb, gloss=frame.gloss, sense=frame.sense, roles=tuple(roles))


def role_swap(event: Event) -> Event | None:
    """The event with who and whom exchanged: `the biter is man, the bitten is dog`.

    Texts of Arg0 and Arg1 change places; where one of them is missing or says nothing, those of
    the first two numbered roles that say something. For evaluation only, never for training.

    Args:
        event: The event to change.

    Returns:
        A new event; None when it has no two such roles, or both say the same.
    """
    roles = list(filled_roles(event))
    pair = _swappable_pair(roles)
    if pair is None:
        return None
    first, second = pair
    texts = roles[first].text, roles[second].text
    if text_hash(texts[0]) == text_hash(texts[1]):
        return None
    roles[first] = replace(roles[first], text=texts[1])
    roles[second] = replace(roles[second], text=texts[0])
    return replace(event, roles=tuple(roles))


def replace_filler(event: Event, position: int, text: str) -> Event:
    """The event with another text in one of its roles, or another scene.

    Args:
        event: The event to change.
        position: Index in `event.roles`; one past the last means the scene.
        text: What stands there instead.

    Returns:
        A new event.
    """
    if position == len(event.roles):
        return replace(event, scene=text)
    roles = list(event.roles)
    roles[position] = replace(roles[position], text=text)
    return replace(event, roles=tuple(roles))


def _swappable_pair(roles: Sequence[Role]) -> tuple[int, int] | None:
    """Positions of Arg0 and Arg1, else of the first two numbered roles."""
    numbered = [position for position, role in enumerate(roles) if not role.is_modifier]
    core = {roles[position].slot: position for position in reversed(numbered)}
    if "Arg0" in core and "Arg1" in core:
        return core["Arg0"], core["Arg1"]
    return (numbered[0], numbered[1]) if len(numbered) >= 2 else None
