from collections import Counter

import pytest

from figclip.annotations.filler_negatives import (
    Place,
    PlaceFillers,
    build_filler_pool,
    filler_negatives,
)
from figclip.records import Annotation, Event, Role, VideoRecord


def event(walker: str, *, scene: str = "", name: str = "walker") -> Event:
    role = Role(name=name, text=walker, slot="Arg0")
    return Event(start_s=0.0, end_s=2.0, verb="walk", roles=(role,), scene=scene)


def video(name: str, *events: Event) -> VideoRecord:
    annotation = Annotation(events=events)
    return VideoRecord(id=name, video=name, split="train", group="", annotations=(annotation,))


def draw(of: VideoRecord, pool, num_negatives: int, *, seed: int = 0):
    true = of.annotations[0].events[0]
    return filler_negatives(
        true, video=of, pool=pool, num_negatives=num_negatives, seed=seed, key=of.id
    )


def test_pool_counts_by_place_and_skips_what_says_nothing():
    pool = build_filler_pool(
        [
            video("a", event("a  man", scene="barn"), event("a man", name="Walker")),
            video("b", event("-"), event("cat"), event("dog", name="runner", scene="unknown")),
        ]
    )
    assert pool == {
        Place(slot="Arg0", name="walker"): PlaceFillers(("a man", "cat"), (2, 3)),
        Place(slot="Arg0", name="runner"): PlaceFillers(("dog",), (1,)),
        Place(slot="scene", name=""): PlaceFillers(("barn",), (1,)),
    }


def test_one_filler_changes_and_nothing_that_may_be_true_is_put_in():
    mine = video("a", event("old man", scene="barn"), event("girl"))
    others = ["man", "old man with hat", "Girl", "dog", "cat"]
    pool = build_filler_pool([mine, video("b", *(event(text) for text in others))])
    drawn = {negative for seed in range(30) for negative in draw(mine, pool, 2, seed=seed)}
    assert drawn == {event("dog", scene="barn"), event("cat", scene="barn")}


def test_scene_and_role_are_drawn_alike():
    mine = video("a", event("man", scene="barn"))
    others = [event(f"dog {i}") for i in range(20)] + [event("man", scene="street")]
    pool = build_filler_pool([mine, video("b", *others)])
    drawn = Counter(negative for seed in range(1000) for negative in draw(mine, pool, 1, seed=seed))
    # Standard deviation of the share: 0.016.
    assert drawn[event("man", scene="street")] / 1000 == pytest.approx(0.5, abs=0.07)


def test_fillers_follow_their_frequency():
    mine = video("a", event("man"))
    others = [event("dog")] * 3 + [event("cat")]
    pool = build_filler_pool([mine, video("b", *others)])
    drawn = Counter(negative for seed in range(1000) for negative in draw(mine, pool, 1, seed=seed))
    assert set(drawn) == {event("dog"), event("cat")}
    assert drawn[event("dog")] / 1000 == pytest.approx(0.75, abs=0.07)


def test_none_twice_and_masked_when_there_are_no_more():
    mine = video("a", event("man"))
    assert draw(mine, build_filler_pool([mine]), 2) == (None, None)
    pool = build_filler_pool([mine, video("b", event("dog"), event("cat"))])
    for seed in range(10):
        first, second, *rest = draw(mine, pool, 4, seed=seed)
        assert {first, second} == {event("dog"), event("cat")}
        assert rest == [None, None]


def test_rare_fillers_are_found_among_forbidden_ones():
    mine = video("a", event("man"))
    others = [event("man")] * 5000 + [event("dog")] * 3 + [event("cat")]
    pool = build_filler_pool([mine, video("b", *others)])
    drawn = Counter(negative for seed in range(200) for negative in draw(mine, pool, 1, seed=seed))
    assert set(drawn) == {event("dog"), event("cat")}
    assert drawn[event("dog")] / 200 == pytest.approx(0.75, abs=0.13)


def test_order_of_the_pool_does_not_matter():
    mine = video("a", event("man", scene="barn"))
    other = video("b", *(event(f"dog {i}", scene=f"street {i}") for i in range(9)))
    first, second = build_filler_pool([mine, other]), build_filler_pool([other, mine])
    assert [draw(mine, first, 4, seed=s) for s in range(9)] == [
        draw(mine, second, 4, seed=s) for s in range(9)
    ]


def test_only_the_places_asked_for_are_filled_anew():
    mine = video("a", event("man", scene="barn"))
    pool = build_filler_pool([mine, video("b", event("dog", scene="street"))])
    true = mine.annotations[0].events[0]
    for where, expected in (
        (lambda place: place.slot == "scene", event("man", scene="street")),
        (lambda place: place.name == "walker", event("dog", scene="barn")),
        (lambda place: False, None),
    ):
        drawn = filler_negatives(
            true, video=mine, pool=pool, num_negatives=2, seed=0, key="a", where=where
        )
        assert drawn == (expected, None)
