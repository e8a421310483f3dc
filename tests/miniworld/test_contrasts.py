"""Pairs that make each other's sentence false."""

from __future__ import annotations

import random
from typing import get_args

import pytest

from figclip.miniworld.situations import EditKind, is_held_out, sample_pair
from tests.layouts.story_pairs import StoryTest, sample_story_pair

KINDS: tuple[EditKind, ...] = get_args(EditKind)
TESTS: tuple[StoryTest, ...] = get_args(StoryTest)


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_keep_to_what_is_held_out(kind: EditKind):
    rng = random.Random(f"pairs {kind}")
    for _ in range(50):
        pair = sample_pair(rng, kind, held_out=False)
        assert not is_held_out(pair.first) and not is_held_out(pair.second)
        pair = sample_pair(rng, kind, held_out=True)
        assert is_held_out(pair.first)
        assert kind in ("verb", "kind") or is_held_out(pair.second)


@pytest.mark.parametrize("test", TESTS)
def test_no_event_of_one_story_fits_the_sentence_of_the_other(test: StoryTest):
    rng = random.Random(f"stories {test}")
    for held_out in (False, True, None):
        for _ in range(8):
            pair = sample_story_pair(rng, test, held_out=held_out)
            differing = [i for i in range(5) if pair.first[i] != pair.second[i]]
            assert tuple(differing) == pair.event_idxs
            assert len(differing) == (2 if test == "chrono" else 1)
            for idx in pair.event_idxs:
                others = {event.verb for i, event in enumerate(pair.first) if i not in differing}
                assert pair.first[idx].verb not in others
                assert pair.second[idx].verb not in others
            if test == "chrono":
                early, late = pair.event_idxs
                assert pair.second[early] == pair.first[late]
                assert pair.second[late] == pair.first[early]
            if held_out is False:
                assert not any(map(is_held_out, (*pair.first, *pair.second)))
