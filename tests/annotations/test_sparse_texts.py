from __future__ import annotations

import pytest

from figclip.annotations.sparse_texts import sparse_texts
from figclip.records import Annotation, Event, Role, VideoRecord


def record(*events: Event) -> VideoRecord:
    return VideoRecord(
        id="v", video="v", split="train", group="", annotations=(Annotation(events=events),)
    )


def event(*roles: Role, scene: str = "") -> Event:
    return Event(start_s=0.0, end_s=2.0, verb="bite", roles=roles, scene=scene)


def test_what_is_named_where_and_both():
    biting = event(
        Role(name="biter", text="red dog", slot="Arg0"),
        Role(name="thing bitten", text="the man", slot="Arg1"),
        Role(name="manner", text="hard", slot="ArgM"),
        scene="a dark alley",
    )
    assert sparse_texts([record(biting)], limit=9, seed=0) == (
        "a red dog",
        "the man",
        "a dark alley",
        "a red dog in the dark alley",
        "the man in the dark alley",
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("apple", "an apple"),
        ("two dogs", "two dogs"),
        ("His hat", "His hat"),
        ("people on a bus", "people on a bus"),
    ],
)
def test_articles_only_where_none_is_needed(text: str, told: str):
    only = event(Role(name="thing", text=text, slot="Arg1"))
    assert sparse_texts([record(only)], limit=9, seed=0) == (told,)


def test_roles_and_scenes_that_say_nothing_have_no_text():
    empty = event(Role(name="biter", text="-", slot="Arg0"), scene="")
    assert sparse_texts([record(empty)], limit=9, seed=0) == ()


def test_of_too_many_some_are_drawn_in_their_order_by_seed():
    events = [event(Role(name="thing", text=f"thing {i}", slot="Arg1")) for i in range(30)]
    records = [record(*events)]
    every = sparse_texts(records, limit=30, seed=0)
    assert len(every) == 30
    drawn = [sparse_texts(records, limit=10, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    for one in drawn:
        assert len(set(one)) == 10 and list(one) == [text for text in every if text in one]
