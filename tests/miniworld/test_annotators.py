"""What annotators write down: roles in VidSitu's names, each in their own words."""

from __future__ import annotations

import random
from collections import Counter

from figclip.annotations.roles import says_nothing
from figclip.annotations.vidsitu import SCENE_ROLE
from figclip.miniworld.situations import VERBS, Actor, Situation, sample_story
from figclip.miniworld.wording import annotate

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
    agent=CHASE.agent,
    patient=None,
    direction="right",
    manner="happily",
    scene="beach",
)


def annotations(story: list[Situation], number: int) -> list[tuple[dict[str, str], ...]]:
    return [annotate(story, random.Random(f"annotator {idx}")) for idx in range(number)]


def test_roles_in_order_and_no_direction_where_nobody_moves():
    chase, sleep = max(annotations([CHASE, SLEEP], 20), key=lambda roles: sum(map(len, roles)))
    assert list(chase) == [
        *("Arg0 (chaser)", "Arg1 (one chased)", "ArgM (direction)", "ArgM (manner)"),
        SCENE_ROLE,
    ]
    assert list(sleep) == ["Arg0 (sleeper)", "ArgM (manner)", SCENE_ROLE]


def test_annotators_differ_in_words_but_stay_with_theirs():
    told = annotations([CHASE, SLEEP], 300)
    dogs = {chase["Arg0 (chaser)"] for chase, _ in told}
    assert {"big blue dog", "the blue dog", "dog in blue", "dog", "big dog"} <= dogs
    women = {chase["Arg1 (one chased)"] for chase, _ in told}
    assert {"woman in orange", "small woman in orange", "woman wearing orange"} <= women
    assert {chase["ArgM (direction)"] for chase, _ in told if "ArgM (direction)" in chase} >= {
        *("left", "to the left", "towards the left"),
        "-",
    }
    assert {chase[SCENE_ROLE] for chase, _ in told} == {"beach", "the beach", "on the beach", "-"}
    assert all(chase["Arg0 (chaser)"] == sleep["Arg0 (sleeper)"] for chase, sleep in told)


def test_what_is_missing_is_rare_and_never_a_role_that_annotators_must_share():
    rng = random.Random("missing")
    num_events, missing, dashes = 0, Counter[str](), Counter[str]()
    for _ in range(1000):
        story = sample_story(rng, held_out=None)
        for event, roles in zip(story, annotate(story, rng), strict=True):
            verb = VERBS[event.verb]
            num_events += 1
            for name, is_due in (("manner", True), ("direction", verb.moves)):
                missing[name] += is_due and f"ArgM ({name})" not in roles
            dashes.update(role for role, text in roles.items() if says_nothing(text))
            assert f"Arg0 ({verb.agent_role})" in roles and SCENE_ROLE in roles
            assert not verb.is_transitive or f"Arg1 ({verb.patient_role})" in roles
    assert 0.02 < missing["manner"] / num_events < 0.06
    assert missing["direction"] > 0
    assert set(dashes) == {"ArgM (direction)", "ArgM (manner)", SCENE_ROLE}
    assert 0.02 < dashes[SCENE_ROLE] / num_events < 0.06
