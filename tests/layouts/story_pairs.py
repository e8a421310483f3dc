"""Pairs of stories, each of which makes the other's sentence false."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from figclip.miniworld.situations import (
    NUM_EVENTS,
    EditKind,
    Story,
    can_edit,
    edit,
    is_held_out,
    sample_story,
)

StoryTest = Literal["agent_bind", "agent_random", "action_adv", "action_manner", "chrono"]
"""Tests of VELOCITI: who did it is exchanged or replaced, the verb or the manner replaced, the
order of two events exchanged."""

EDIT_OF_TEST: dict[StoryTest, EditKind] = {
    "agent_bind": "role_swap",
    "agent_random": "kind",
    "action_adv": "verb",
    "action_manner": "manner",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryPair:
    """Two stories that differ in one event, or in the order of two.

    Attributes:
        test: In which way.
        first: As it was drawn.
        second: Edited.
        event_idxs: The event that differs; or the two that change places, in order.
    """

    test: StoryTest
    first: Story
    second: Story
    event_idxs: tuple[int, ...]


def sample_story_pair(rng: random.Random, test: StoryTest, *, held_out: bool | None) -> StoryPair:
    """Draws a story and changes it so that no event of one fits the other's sentence.

    The verbs of the changed events, before and after, occur in no other event.
    """
    while True:
        story = sample_story(rng, held_out=held_out)
        num_changed = 2 if test == "chrono" else 1
        idxs = tuple(sorted(rng.sample(range(NUM_EVENTS), num_changed)))
        changed = _change(story, test, idxs, rng)
        if changed is None or not _stand_out(story, changed, idxs):
            continue
        if held_out is not False or not any(map(is_held_out, changed)):
            return StoryPair(test=test, first=story, second=changed, event_idxs=idxs)


def _change(story: Story, test: StoryTest, idxs: Sequence[int], rng: random.Random) -> Story | None:
    """The other story; None where the event has nothing of the kind to change."""
    events = list(story)
    if test == "chrono":
        early, late = idxs
        events[early], events[late] = events[late], events[early]
        return tuple(events)
    event = events[idxs[0]]
    if not can_edit(event, EDIT_OF_TEST[test]):
        return None
    events[idxs[0]] = edit(event, EDIT_OF_TEST[test], rng)
    return tuple(events)


def _stand_out(story: Story, changed: Story, idxs: Sequence[int]) -> bool:
    """Whether the verbs at these places differ and are nowhere else."""
    others = {event.verb for idx, event in enumerate(story) if idx not in idxs}
    verbs = [story[idx].verb for idx in idxs]
    after = {changed[idx].verb for idx in idxs}
    return len(set(verbs)) == len(verbs) and others.isdisjoint({*verbs, *after})
