from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.annotations.captions import concept_phrases, plain_sentence, third_person
from figclip.records import Event, Role


def role(slot: str, name: str, text: str) -> Role:
    return Role(slot=slot, name=name, text=text)


def event(verb: str, *roles: Role, scene: str = "") -> Event:
    return Event(start_s=0.0, end_s=2.0, verb=verb, roles=roles, scene=scene)


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        ("walk", "walks"),
        ("push", "pushes"),
        ("watch", "watches"),
        ("kiss", "kisses"),
        ("fix", "fixes"),
        ("carry", "carries"),
        ("play", "plays"),
        ("go", "goes"),
        ("do", "does"),
        ("boo", "boos"),
        ("have", "has"),
        ("be", "is"),
        ("Open", "Opens"),
        ("look up", "looks up"),
        ("carry on with", "carries on with"),
        ("pick-up", "picks-up"),
        ("double-check", "double-checks"),
        ("", ""),
        ("5", "5"),
    ],
)
def test_third_person(verb: str, expected: str) -> None:
    assert third_person(verb) == expected


@pytest.mark.parametrize(
    ("true", "expected"),
    [
        (
            event(
                "talk",
                role("Arg0", "talker", "man  in green"),
                role("Arg2", "hearer", "dog"),
                role("ArgM", "manner", "slowly"),
                scene="in a kitchen",
            ),
            "man in green talks to dog slowly in a kitchen",
        ),
        # Direction before manner, others as annotated, wherever they stand.
        (
            event(
                "run",
                role("ArgM", "purpose", "to escape"),
                role("ArgM", "manner", "fast"),
                role("ArgM", "location", "old barn"),
                role("Arg0", "runner", "boy"),
                role("ArgM", "direction (usually up or down)", "up"),
                scene="Outside",
            ),
            "boy runs up fast to escape in old barn Outside",
        ),
        # The role's description says the preposition; a text with its own keeps it.
        (
            event(
                "look",
                role("Arg0", "looker", "she"),
                role("Arg1", "thing looked at or for or on", "dog"),
            ),
            "she looks at dog",
        ),
        (
            event(
                "look",
                role("Arg0", "looker", "she"),
                role("Arg1", "thing looked at", "into the car"),
            ),
            "she looks into the car",
        ),
        (
            event(
                "hit",
                role("Arg0", "agent, hitter - animate only!", "man"),
                role("Arg1", "thing hit", "drum"),
                role("Arg2", "instrument, thing hit by or with", "stick"),
            ),
            "man hits drum with stick",
        ),
        # The first numbered role that says something is the subject, whichever its slot.
        (
            event(
                "fall",
                role("Arg0", "faller", "-"),
                role("Arg1", "thing falling", "vase"),
                role("Arg4", "end point", "floor"),
                scene="hall",
            ),
            "vase falls to floor in hall",
        ),
        (event("wave", role("ArgM", "manner", "unknown")), "someone waves"),
        (event("", role("Arg0", "agent", "man")), "man"),
        # What a role is called is not what its name begins with.
        (
            event(
                "sort",
                role("Arg0", "sorter", "man"),
                role("Arg2", "sources", "mail"),
            ),
            "man sorts mail",
        ),
    ],
)
def test_sentences_by_hand(true: Event, expected: str) -> None:
    assert plain_sentence(true) == expected


@given(
    verb=st.text(),
    scene=st.text(),
    told=st.lists(
        st.tuples(st.sampled_from(["Arg0", "Arg1", "Arg2", "ArgM"]), st.text(), st.text()),
        max_size=5,
    ),
)
def test_any_event_makes_a_single_spaced_sentence(
    verb: str, scene: str, told: list[tuple[str, str, str]]
) -> None:
    sentence = plain_sentence(event(verb, *(role(*one) for one in told), scene=scene))
    assert sentence
    assert sentence == " ".join(sentence.split())


def test_phrases_of_an_event_by_hand() -> None:
    hit = event(
        "hit",
        role("Arg0", "hitter", "man  in green"),
        role("Arg1", "thing hit", "drum"),
        role("Arg2", "instrument", "stick"),
        role("ArgM", "manner", "-"),
        role("ArgM", "direction", "down"),
        scene="kitchen",
    )
    phrases = ("hits drum with stick", "man in green", "drum", "stick", "down", "kitchen")
    assert concept_phrases(hit) == phrases
    # Each once, and a verb alone where there is no more.
    same = event("see", role("Arg0", "seer", "dog"), role("Arg1", "thing seen", "dog"))
    assert concept_phrases(same) == ("sees dog", "dog")
    assert concept_phrases(event("wave", role("ArgM", "manner", "unknown"))) == ("waves",)
