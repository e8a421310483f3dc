"""Situations with one thing changed."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import get_args

import pytest

from figclip.miniworld.situations import (
    VERBS,
    Actor,
    EditKind,
    Situation,
    can_edit,
    edit,
    sample_pair,
    sample_situation,
)
from figclip.miniworld.wording import (
    EVALUATION_STYLES,
    TRAINING_STYLES,
    facts_to_tell,
    natural_sentence,
)

KINDS: tuple[EditKind, ...] = get_args(EditKind)
DOG = Actor(kind="dog", colour="blue", size="big")
CAT = Actor(kind="cat", colour="red", size="small")
CHASE = Situation(
    verb="chase", agent=DOG, patient=CAT, direction="left", manner="quickly", scene="park"
)


def test_swaps_by_hand():
    rng = random.Random(0)
    assert edit(CHASE, "role_swap", rng) == replace(CHASE, agent=CAT, patient=DOG)
    assert edit(CHASE, "attribute_swap", rng) == replace(
        CHASE, agent=replace(DOG, colour="red"), patient=replace(CAT, colour="blue")
    )
    assert edit(CHASE, "direction", rng) == replace(CHASE, direction="right")


@pytest.mark.parametrize("kind", KINDS)
def test_one_fact_changes_and_the_edit_can_be_undone(kind: EditKind):
    rng = random.Random(f"undo {kind}")
    for _ in range(100):
        first = sample_situation(rng, held_out=None)
        if not can_edit(first, kind):
            continue
        second = edit(first, kind, rng)
        facts, changed = facts_of(first), facts_of(second)
        differing = {name for name in facts if facts[name] != changed[name]}
        if kind == "role_swap":
            assert (second.agent, second.patient) == (first.patient, first.agent)
        elif kind == "attribute_swap":
            assert differing == {"agent colour", "patient colour"}
        else:
            assert len(differing) == 1 and next(iter(differing)).endswith(kind)
        if second.patient is not None:
            assert second.agent.kind != second.patient.kind
            assert second.agent.colour != second.patient.colour
        assert any(edit(second, kind, rng) == first for _ in range(300))


def facts_of(situation: Situation) -> dict[str, str]:
    actors = {"agent": situation.agent, "patient": situation.patient}
    return {
        **{name: getattr(situation, name) for name in ("verb", "direction", "manner", "scene")},
        **{
            f"{role} {name}": getattr(actor, name)
            for role, actor in actors.items()
            if actor
            for name in ("kind", "colour", "size")
        },
    }


def test_a_verb_is_replaced_by_one_of_its_shape():
    rng = random.Random("verbs")
    for verb in ("walk", "sleep", "chase"):
        first = Situation(
            verb=verb,
            agent=DOG,
            patient=CAT if VERBS[verb].is_transitive else None,
            direction="left",
            manner="slowly",
            scene="park",
        )
        found = {edit(first, "verb", rng).verb for _ in range(200)}
        assert found == {
            name
            for name, sense in VERBS.items()
            if name != verb
            and sense.moves == VERBS[verb].moves
            and sense.is_transitive == VERBS[verb].is_transitive
        }


def test_what_cannot_be_edited():
    sleep = replace(CHASE, verb="sleep", patient=None)
    for kind in ("role_swap", "attribute_swap", "direction"):
        assert not can_edit(sleep, kind)
        with pytest.raises(AssertionError):
            edit(sleep, kind, random.Random(0))
    assert all(can_edit(CHASE, kind) for kind in KINDS)
    assert all(can_edit(sleep, kind) for kind in ("verb", "manner", "kind", "colour", "scene"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_style_tells_both_in_as_many_words_and_differently(kind: EditKind):
    rng = random.Random(f"sentences {kind}")
    for style in TRAINING_STYLES + EVALUATION_STYLES:
        pair = sample_pair(rng, kind, held_out=None)
        first, second = (
            natural_sentence(one, style, tells=facts_to_tell(kind))
            for one in (pair.first, pair.second)
        )
        assert first != second
        assert abs(len(first.split()) - len(second.split())) <= (kind == "kind")
