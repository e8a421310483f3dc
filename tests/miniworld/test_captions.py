"""Sparse captions: few facts, all of them true, and hardly ever who does it to whom."""

from __future__ import annotations

import random
import re

import pytest

from figclip.miniworld.situations import (
    COLOURS,
    DIRECTIONS,
    KINDS,
    MANNERS,
    SCENES,
    SIZES,
    VERBS,
    actors_of,
    sample_situation,
)
from figclip.miniworld.wording import web_caption

NUM_CAPTIONS = 6000
VERB_WORDS = {
    word: verb for verb in VERBS for word in (verb, VERBS[verb].doing, VERBS[verb].done) if word
}
GROUPS = {"animal", "animals", "person", "people", "robots"}


@pytest.fixture(scope="module")
def captioned():
    rng = random.Random("captions")
    drawn = [sample_situation(rng, held_out=None) for _ in range(NUM_CAPTIONS)]
    return [(one, web_caption(one, rng)) for one in drawn]


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.replace("snowy", "snow"))


def facts_in(text: str) -> list[str]:
    known = {*KINDS, *COLOURS, *SIZES, *SCENES, *MANNERS, *DIRECTIONS, *VERB_WORDS, *GROUPS}
    return [word for word in words_of(text) if word in known]


def test_one_to_three_facts(captioned):
    counts = [len(facts_in(text)) for _, text in captioned]
    assert set(counts) == {1, 2, 3}


def test_what_is_said_is_true(captioned):
    for situation, text in captioned:
        actors = actors_of(situation)
        allowed = {situation.verb, situation.direction, situation.manner, situation.scene}
        allowed |= {fact for one in actors for fact in (one.kind, one.colour, one.size)}
        for word in facts_in(text):
            assert VERB_WORDS.get(word, word) in allowed | GROUPS, text


def test_the_examples_occur(captioned):
    texts = {text for _, text in captioned}
    for pattern in (
        r"a red [a-z]+ in the park",
        r"[a-z]+ chasing",
        r"snowy day",
        r"two animals",
        r"(man|woman) in red",
        r"a photo of an? [a-z ]+",
        r"[a-z]+, [a-z]+",
    ):
        assert any(re.fullmatch(pattern, text) for text in texts), pattern


def test_shares_that_make_a_base_sparse(captioned):
    named = {
        name: sum(any(word in values for word in words_of(text)) for _, text in captioned)
        / NUM_CAPTIONS
        for name, values in (
            ("verb", VERB_WORDS),
            ("colour", COLOURS),
            ("manner", MANNERS),
            ("direction", DIRECTIONS),
        )
    }
    assert 0.15 < named["verb"] < 0.3
    assert 0.3 < named["colour"] < 0.45
    assert 0 < named["manner"] < 0.03
    assert 0 < named["direction"] < 0.03


def test_the_agent_is_named_first_at_most_half_of_the_time(captioned):
    orders = [
        words_of(text).index(one.agent.kind) < words_of(text).index(one.patient.kind)
        for one, text in captioned
        if one.patient and {one.agent.kind, one.patient.kind} <= set(words_of(text))
    ]
    assert len(orders) > 500
    assert 0.4 < sum(orders) / len(orders) < 0.5


def test_who_does_it_to_whom_is_seldom_told_and_in_both_voices(captioned):
    pairs = [(one, text) for one, text in captioned if one.patient]
    active = sum(f" {VERBS[one.verb].doing} a" in text for one, text in pairs)
    passive = sum(f" {VERBS[one.verb].done} by a" in text for one, text in pairs)
    assert active > 10 and passive > 10
    assert (active + passive) / len(pairs) < 0.05
