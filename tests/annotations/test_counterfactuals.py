from __future__ import annotations

from dataclasses import replace

import pytest

from figclip.annotations.counterfactuals import (
    KINDS,
    Kind,
    build_counterfeit_pools,
    counterfeit_events,
)
from figclip.records import Annotation, Event, Role, VideoRecord


def role(slot: str, name: str, text: str) -> Role:
    return Role(slot=slot, name=name, text=text)


def event(
    verb: str, who: str, whom: str, *, direction: str, manner: str, scene: str, purpose: str = "-"
) -> Event:
    return Event(
        start_s=0.0,
        end_s=2.0,
        verb=verb,
        roles=(
            role("Arg0", "agent", who),
            role("Arg1", "patient", whom),
            role("ArgM", "direction (up or down)", direction),
            role("ArgM", "Manner", manner),
            role("ArgM", "purpose", purpose),
        ),
        scene=scene,
    )


def video(name: str, *events: Event) -> VideoRecord:
    annotation = Annotation(events=events)
    return VideoRecord(id=name, video=name, split="valid", group=name, annotations=(annotation,))


MINE = event("push", "man", "box", direction="up", manner="slowly", scene="barn", purpose="to win")
OTHER = event("pull", "dog", "cart", direction="down", manner="fast", scene="hut", purpose="to eat")
EMPTY = event("push", "-", "-", direction="-", manner="-", scene="-")


def changed(**words: str) -> Event:
    own = {
        "verb": "push",
        "who": "man",
        "whom": "box",
        "direction": "up",
        "manner": "slowly",
        "scene": "barn",
        "purpose": "to win",
    }
    return event(**(own | words))


def draw(
    true: Event, kind: Kind, *others: Event, num_negatives: int = 2, seed: int = 0
) -> tuple[Event | None, ...]:
    mine = video("a", true)
    pools = build_counterfeit_pools([mine, *(video(f"b{i}", e) for i, e in enumerate(others))])
    return counterfeit_events(
        true, kind, video=mine, pools=pools, num_negatives=num_negatives, seed=seed, key="a#0/0"
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("role swap", {changed(who="box", whom="man")}),
        ("verb", {changed(verb="pull")}),
        ("filler", {changed(who="dog"), changed(whom="cart")}),
        ("direction", {changed(direction="down")}),
        ("manner", {changed(manner="fast")}),
        ("scene", {changed(scene="hut")}),
    ],
)
def test_only_what_the_kind_names_is_changed(kind: Kind, expected: set[Event]) -> None:
    drawn = [one for one in draw(MINE, kind, OTHER) if one is not None]
    assert set(drawn) == expected
    # Verbs are drawn with replacement, other texts are not.
    assert len(drawn) == (2 if kind == "verb" else len(expected))


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_drawn_is_none(kind: Kind) -> None:
    # Alone in the set there is nothing to draw; who and whom are always at hand.
    alone = draw(MINE, kind)
    assert alone == ((changed(who="box", whom="man"),) if kind == "role swap" else (None, None))
    # What is not annotated cannot be changed; verbs change with events of the same roles only.
    assert set(draw(EMPTY, kind, OTHER)) == {None}
    other = replace(EMPTY, verb="pull")
    assert (set(draw(EMPTY, kind, other)) == {None}) == (kind != "verb")


def test_there_is_one_role_swap_and_k_of_the_others() -> None:
    for kind in KINDS:
        assert len(draw(MINE, kind, OTHER, num_negatives=3)) == (1 if kind == "role swap" else 3)


def test_draws_follow_the_seed() -> None:
    others = [
        event("pull", "dog", "cart", direction="down", manner=f"fast {i}", scene="hut")
        for i in range(50)
    ]
    first, again, other_seed = (draw(MINE, "manner", *others, seed=seed) for seed in (0, 0, 1))
    assert first == again != other_seed


def test_kinds_are_drawn_apart() -> None:
    # With one random state for all kinds, the same number would be drawn for each.
    others = [
        event("pull", "dog", "cart", direction=f"down {i:02}", manner=f"fast {i:02}", scene="hut")
        for i in range(50)
    ]
    drawn = {kind: draw(MINE, kind, *others) for kind in ("direction", "manner")}
    numbers = {
        kind: [
            role.text[-2:]
            for one in events
            if one
            for role in one.roles
            if role.text[-1] in "0123456789"
        ]
        for kind, events in drawn.items()
    }
    assert len(numbers["direction"]) == len(numbers["manner"]) == 2
    assert numbers["direction"] != numbers["manner"]
