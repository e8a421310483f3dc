"""Sentences of a situation, in styles for training and in others for evaluation."""

from __future__ import annotations

import random
import re

import pytest

from figclip.annotations.captions import text_hash
from figclip.miniworld.situations import VERBS, Actor, Situation, sample_situation
from figclip.miniworld.wording import (
    ALL_FACTS,
    EVALUATION_STYLES,
    TRAINING_STYLES,
    Style,
    annotate,
    natural_sentence,
    web_caption,
    with_article,
)

ALL_STYLES = TRAINING_STYLES + EVALUATION_STYLES
CHASE = Situation(
    verb="chase",
    agent=Actor(kind="dog", colour="blue", size="big"),
    patient=Actor(kind="woman", colour="orange", size="small"),
    direction="left",
    manner="quickly",
    scene="beach",
)
SLEEP = Situation(
    verb="sleep",
    agent=Actor(kind="cat", colour="orange", size="small"),
    patient=None,
    direction="right",
    manner="happily",
    scene="cave",
)


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (
            TRAINING_STYLES[0],
            "a big blue dog is chasing a small woman in orange to the left quickly on the beach",
        ),
        (
            TRAINING_STYLES[6],
            "a small woman in orange is chased to the left by a big blue dog on the beach quickly",
        ),
        (
            TRAINING_STYLES[3],
            "on the beach, a big blue dog chases a small woman in orange to the left quickly",
        ),
        (
            EVALUATION_STYLES[3],
            "here a small woman in orange is being chased to the left quickly by a big blue dog "
            "on the beach",
        ),
    ],
)
def test_a_sentence_of_two(style: Style, expected: str):
    assert natural_sentence(CHASE, style) == expected


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (TRAINING_STYLES[0], "a small orange cat is sleeping happily in the cave"),
        (TRAINING_STYLES[6], "a small orange cat is happily sleeping in the cave"),
        (EVALUATION_STYLES[3], "here a small orange cat sleeps happily in the cave"),
    ],
)
def test_a_sentence_of_one_who_stays(style: Style, expected: str):
    assert natural_sentence(SLEEP, style) == expected


@pytest.mark.parametrize(
    ("tells", "expected"),
    [
        ((), "a woman is chased by a dog"),
        (("colour",), "a woman in orange is chased by a blue dog"),
        (("size",), "a small woman is chased by a big dog"),
        (("direction", "manner"), "a woman is quickly chased by a dog to the left"),
        (("scene",), "on the beach, a woman is chased by a dog"),
    ],
)
def test_facts_that_are_not_told_leave_no_gap(tells: tuple, expected: str):
    sentence = natural_sentence(CHASE, TRAINING_STYLES[8], tells=frozenset(tells))
    assert sentence == expected


def test_an_article_fits_what_follows():
    assert [with_article(text) for text in ("orange cat", "cat")] == ["an orange cat", "a cat"]


@pytest.mark.parametrize("tells", [frozenset(), ALL_FACTS])
@pytest.mark.parametrize("situation", [CHASE, SLEEP])
def test_styles_for_evaluation_give_no_sentence_of_training(situation: Situation, tells):
    training, evaluation = (
        {text_hash(natural_sentence(situation, one, tells=tells)) for one in styles}
        for styles in (TRAINING_STYLES, EVALUATION_STYLES)
    )
    assert not training & evaluation
    if situation.patient and tells == ALL_FACTS:
        assert (len(training), len(evaluation)) == (len(TRAINING_STYLES), len(EVALUATION_STYLES))


def test_styles_are_unique_and_both_sets_have_active_and_passive():
    assert len({*ALL_STYLES}) == len(ALL_STYLES)
    shares = [
        sum("{done}" in one.transitive for one in styles) / len(styles)
        for styles in (TRAINING_STYLES, EVALUATION_STYLES)
    ]
    assert shares == [0.4, 0.5]


def test_every_style_tells_every_fact_once():
    for one in ALL_STYLES:
        for frame, names in (
            (one.transitive, {"agent", "patient", "way", "manner", "place"}),
            (
                one.intransitive or one.transitive.replace("{patient} ", ""),
                {"agent", "way", "manner", "place"},
            ),
        ):
            gaps = re.findall(r"{(\w+)}", frame)
            assert len(gaps) == len(set(gaps))
            assert names < set(gaps) and len(set(gaps) & {"does", "doing", "done"}) == 1


def test_every_verb_has_its_forms():
    for name, verb in VERBS.items():
        assert verb.does.startswith(name[:-1]) and verb.does.endswith("s")
        assert verb.doing.endswith("ing")
        assert bool(verb.done) == verb.is_transitive


def test_training_has_every_word_of_evaluation():
    rng = random.Random("words")
    drawn = [sample_situation(rng, held_out=False) for _ in range(3000)]
    training = {
        word
        for one in drawn
        for text in (
            natural_sentence(one, rng.choice(TRAINING_STYLES)),
            web_caption(one, rng),
            *annotate([one], rng)[0].values(),
        )
        for word in words(text)
    }
    evaluation = {
        word
        for _ in range(2000)
        for word in words(
            natural_sentence(sample_situation(rng, held_out=True), rng.choice(EVALUATION_STYLES))
        )
    }
    assert evaluation <= training
    assert {*VERBS, "snowy"} <= training


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text)
