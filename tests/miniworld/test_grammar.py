"""Which situations there are, and which of them training never sees."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from itertools import permutations, product

import pytest

from figclip.miniworld.situations import (
    COLOURS,
    DIRECTIONS,
    KINDS,
    MANNERS,
    NUM_EVENTS,
    SCENES,
    SIZES,
    VERBS,
    Actor,
    Situation,
    actors_of,
    is_held_out,
    sample_situation,
    sample_story,
)

NUM_DRAWS = 8000


def situation(verb: str, *kinds: str) -> Situation:
    agent, *patients = (
        Actor(kind=kind, colour=colour, size="big")
        for kind, colour in zip(kinds, ("red", "blue"), strict=False)
    )
    return Situation(
        verb=verb,
        agent=agent,
        patient=patients[0] if patients else None,
        direction="left",
        manner="slowly",
        scene="park",
    )


def combinations() -> list[Situation]:
    return [
        situation(verb, *kinds)
        for verb, sense in VERBS.items()
        for kinds in permutations(KINDS, 1 + sense.is_transitive)
    ]


def draws(held_out: bool | None, *, seed: str = "draws") -> list[Situation]:
    rng = random.Random(seed)
    return [sample_situation(rng, held_out=held_out) for _ in range(NUM_DRAWS)]


class TestHeldOut:
    @pytest.mark.parametrize(
        ("verb", "kinds", "expected"),
        [
            ("walk", ("cat",), True),  # 3 * 0 + 0
            ("walk", ("dog",), False),  # 3 * 0 + 1
            ("run", ("bird",), True),  # 3 * 1 + 4
            ("chase", ("dog", "bear"), True),  # 3 * 8 + 1 + 3
            ("chase", ("bear", "dog"), True),
            ("chase", ("cat", "dog"), False),  # 3 * 8 + 0 + 1
            ("greet", ("cat", "bird"), True),  # 3 * 15 + 0 + 4
        ],
    )
    def test_worked_by_hand(self, verb: str, kinds: tuple[str, ...], expected: bool):
        assert is_held_out(situation(verb, *kinds)) == expected

    def test_about_fifteen_per_cent_of_the_combinations(self):
        held_out = [one for one in combinations() if is_held_out(one)]
        assert (len(held_out), len(combinations())) == (93, 648)
        assert sum(one.patient is not None for one in held_out) == 82

    def test_every_verb_and_every_kind_in_every_role_is_on_both_sides(self):
        for wanted in (True, False):
            chosen = [one for one in combinations() if is_held_out(one) == wanted]
            assert {one.verb for one in chosen} == set(VERBS)
            assert {one.agent.kind for one in chosen if one.patient is None} == set(KINDS)
            assert {one.agent.kind for one in chosen if one.patient} == set(KINDS)
            assert {one.patient.kind for one in chosen if one.patient} == set(KINDS)

    @pytest.mark.parametrize("wanted", [True, False])
    def test_draws_keep_to_their_side(self, wanted: bool):
        assert all(is_held_out(one) == wanted for one in draws(wanted))
        rng = random.Random("stories")
        for _ in range(200):
            assert all(is_held_out(one) == wanted for one in sample_story(rng, held_out=wanted))


class TestSituations:
    def test_every_fact_is_close_to_uniform(self):
        drawn = draws(False)
        for name, values in (
            ("verb", tuple(VERBS)),
            ("direction", DIRECTIONS),
            ("manner", MANNERS),
            ("scene", SCENES),
        ):
            assert_uniform([getattr(one, name) for one in drawn], values)
        for name, values in (("kind", KINDS), ("colour", COLOURS), ("size", SIZES)):
            assert_uniform([getattr(one.agent, name) for one in drawn], values)
            assert_uniform([getattr(one.patient, name) for one in drawn if one.patient], values)

    def test_facts_of_agent_and_patient_are_as_good_as_independent(self):
        pairs = [(one.agent.colour, one.patient.colour) for one in draws(None) if one.patient]
        counts = Counter(pairs)
        assert set(counts) == {(a, b) for a, b in product(COLOURS, repeat=2) if a != b}
        assert min(counts.values()) > 0.5 * len(pairs) / 56

    def test_agent_and_patient_differ_in_kind_and_colour(self):
        for one in draws(None):
            assert (one.patient is not None) == VERBS[one.verb].is_transitive
            if one.patient is not None:
                assert one.agent.kind != one.patient.kind
                assert one.agent.colour != one.patient.colour

    def test_same_seed_same_draws_in_another_process(self):
        code = (
            "import random\n"
            "from figclip.miniworld.situations import sample_story\n"
            "print(sample_story(random.Random('a'), held_out=None))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == str(sample_story(random.Random("a"), held_out=None))


@pytest.fixture(scope="module")
def stories() -> list[tuple[Situation, ...]]:
    rng = random.Random("stories")
    return [sample_story(rng, held_out=None) for _ in range(2000)]


class TestStories:
    def test_five_events_of_one_cast_in_one_scene(self, stories):
        for story in stories:
            assert len(story) == NUM_EVENTS
            assert len({event.scene for event in story}) == 1
            cast = {actor for event in story for actor in actors_of(event)}
            assert len(cast) <= 3
            assert len({actor.kind for actor in cast}) == len(cast)
            assert len({actor.colour for actor in cast}) == len(cast)

    def test_neighbours_differ_in_verb_or_roles_and_all_in_something(self, stories):
        for story in stories:
            deeds = [(event.verb, event.agent, event.patient) for event in story]
            assert all(one != other for one, other in zip(deeds, deeds[1:], strict=False))
            assert len(set(story)) == NUM_EVENTS

    def test_who_did_it_often_has_it_done_to_them_next(self, stories):
        swaps = sum(
            event.verb == after.verb
            and event.patient is not None
            and (after.agent, after.patient) == (event.patient, event.agent)
            for story in stories
            for event, after in zip(story, story[1:], strict=False)
        )
        # Half of the verbs have two actors, and three of ten events repeat the verb.
        assert 0.1 < swaps / (4 * len(stories)) < 0.2

    def test_facts_are_close_to_uniform(self, stories):
        events = [event for story in stories for event in story]
        assert_uniform([event.verb for event in events], tuple(VERBS), tolerance=0.2)
        assert_uniform([event.agent.kind for event in events], KINDS, tolerance=0.2)
        assert_uniform([event.agent.colour for event in events], COLOURS, tolerance=0.2)


def assert_uniform(drawn: list[str], values: tuple[str, ...], *, tolerance: float = 0.15) -> None:
    counts = Counter(drawn)
    expected = len(drawn) / len(values)
    assert set(counts) == set(values)
    for value, count in counts.items():
        assert abs(count - expected) < tolerance * expected, value
