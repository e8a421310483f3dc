import random
from collections import Counter
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.annotations.captions import TEMPLATES, caption_event, text_hash
from figclip.annotations.verb_negatives import (
    SensePool,
    build_sense_pool,
    event_seed,
    event_shape,
    negative_events,
    sense_key,
)
from figclip.config import NegativePolicy
from figclip.records import Annotation, Event, Role, VideoRecord


def event(verb: str, slots: str = "0", *, gloss: str = "") -> Event:
    """Fills the numbered slots named by digits; `-` after a digit leaves that one unfilled."""
    roles = [Role(name="manner", text="slowly", slot="ArgM")]
    for position, slot in enumerate(slots):
        if slot != "-":
            text = "-" if slots[position + 1 : position + 2] == "-" else f"man {slot}"
            roles.append(Role(name=f"{verb}er {slot}", text=text, slot=f"Arg{slot}"))
    return Event(start_s=0.0, end_s=2.0, verb=verb, gloss=gloss, roles=tuple(roles), scene="barn")


def video(name: str, *annotations: list[Event]) -> VideoRecord:
    return VideoRecord(
        id=name,
        video=name,
        split="train",
        group="",
        annotations=tuple(Annotation(events=tuple(events)) for events in annotations),
    )


def draw(true: Event, of: VideoRecord, pool: SensePool, num_negatives: int, **options):
    arguments = {"policy": "matched", "seed": 0, "key": "k"} | options
    return negative_events(true, video=of, pool=pool, num_negatives=num_negatives, **arguments)


def drawn_verbs(true: Event, of: VideoRecord, pool: SensePool, num_negatives: int, **options):
    return [one and one.verb for one in draw(true, of, pool, num_negatives, **options)]


def test_the_only_candidate_by_hand():
    mine = video("a", [event("walk", "01")])
    pool = build_sense_pool([mine, video("b", [event("hit", "01"), event("nap", "0")])])
    negatives = draw(mine.annotations[0].events[0], mine, pool, 2)
    captions = [one and caption_event(one, template=TEMPLATES["default"]) for one in negatives]
    assert captions == [
        "In this photo, the action is hit, manner is slowly, the hiter 0 is man 0, "
        "the hiter 1 is man 1, scene is barn",
        None,
    ]


def test_matched_draws_only_senses_that_fill_the_same_slots():
    mine = video("a", [event("walk", "01")])
    others = [event(verb, "01") for verb in "bcde"] + [event("f", "0"), event("g", "012")]
    # This one names Arg1, but says nothing in it.
    others.append(event("h", "01-"))
    pool = build_sense_pool([mine, video("b", others)])
    for seed in range(20):
        verbs = drawn_verbs(mine.annotations[0].events[0], mine, pool, 4, seed=seed)
        assert set(verbs) <= set("bcde")


def test_covering_senses_fill_up_and_the_rest_is_masked():
    mine = video("a", [event("walk", "0")])
    others = [event("b", "0"), event("c", "012"), event("d", "01"), event("e", "1")]
    pool = build_sense_pool([mine, video("b", others)])
    true = mine.annotations[0].events[0]
    for seed in range(20):
        verbs = drawn_verbs(true, mine, pool, 5, seed=seed)
        assert verbs[0] == "b"
        assert set(verbs[1:3]) <= {"c", "d"}
        assert verbs[3:] == [None, None]


def test_no_more_covering_senses_than_places_left():
    mine = video("a", [event("walk", "0")])
    others = [event("b", "0"), event("c", "012"), event("d", "01")]
    pool = build_sense_pool([mine, video("b", others)])
    true = mine.annotations[0].events[0]
    for seed in range(20):
        first, second = drawn_verbs(true, mine, pool, 2, seed=seed)
        assert first == "b" and second in ("c", "d")


def test_matched_follows_the_frequencies_of_the_pool():
    mine = video("a", [event("walk")])
    counts = {"b": 6, "c": 3, "d": 2, "e": 1}
    others = [event(verb) for verb, count in counts.items() for _ in range(count)]
    # Frequent, but with other slots: these must not count.
    others += [event("e", "01") for _ in range(50)]
    pool = build_sense_pool([mine, video("b", others)])
    true = mine.annotations[0].events[0]
    drawn = Counter(
        verb for seed in range(3000) for verb in drawn_verbs(true, mine, pool, 4, seed=seed)
    )
    for verb, count in counts.items():
        # Standard deviation of a share over 12,000 draws: at most 0.0046.
        assert drawn[verb] / 12_000 == pytest.approx(count / 12, abs=0.02)


def test_balanced_draws_every_sense_as_often_false_as_true():
    """`fall` and `rise` go by another modifier than the rest, and are exchanged for each other."""
    counts = {"b": 12, "c": 6, "d": 6, "fall": 5, "rise": 5}
    videos = []
    for verb, count in counts.items():
        for number in range(count):
            one = event(verb)
            if verb in ("fall", "rise"):
                one = replace(one, roles=(Role(name="goal", text="up", slot="ArgM"), one.roles[1]))
            videos.append(video(f"{verb}{number}", [one]))
    pool = build_sense_pool(videos)
    drawn: Counter[str | None] = Counter()
    pairs = set()
    for one in videos:
        for seed in range(40):
            options = {"policy": "balanced", "seed": seed, "key": one.id}
            verbs = drawn_verbs(one.annotations[0].events[0], one, pool, 4, **options)
            drawn.update(verbs)
            pairs |= {(one.annotations[0].events[0].verb, verb) for verb in verbs}
    assert ("fall", "rise") in pairs and ("rise", "fall") in pairs
    assert not {("fall", "b"), ("b", "fall"), ("c", "rise")} & pairs
    for verb, count in counts.items():
        # Standard deviation of a share over 160 draws an event: at most 0.02.
        assert drawn[verb] / 160 == pytest.approx(count, rel=0.08), verb
    assert drawn[None] < 0.02 * drawn.total()


def test_balanced_gives_the_share_of_the_videos_own_verbs_to_others():
    mine = video("a", [event("walk"), event("b")])
    pool = build_sense_pool([mine, video("c", [event("b"), event("c")]), video("d", [event("d")])])
    seen = Counter(
        verb
        for seed in range(200)
        for verb in drawn_verbs(
            mine.annotations[0].events[0], mine, pool, 2, seed=seed, policy="balanced"
        )
    )
    assert set(seen) == {"c", "d"}


def test_balanced_draws_for_a_sense_that_the_pool_lacks_as_often_as_senses_occur():
    counts = {"b": 12, "c": 6, "d": 6}
    others = [event(verb) for verb, count in counts.items() for _ in range(count)]
    pool = build_sense_pool([video("p", others)])
    mine = video("a", [event("walk")])
    options = {"policy": "balanced"}
    drawn = Counter(
        verb
        for seed in range(1000)
        for verb in drawn_verbs(mine.annotations[0].events[0], mine, pool, 4, seed=seed, **options)
    )
    for verb, count in counts.items():
        # Standard deviation of a share over 4,000 draws: at most 0.008.
        assert drawn[verb] / 4000 == pytest.approx(count / 24, abs=0.03)


def test_balanced_draws_are_those_of_random_choices():
    rng = random.Random(0)
    verbs = [f"verb{number:02d}" for number in range(40)]
    videos = [
        video(f"v{n}", [event(rng.choice(verbs), rng.choice(["0", "01", "1"])) for _ in range(4)])
        for n in range(60)
    ]
    pool = build_sense_pool(videos)
    num_drawn = 0
    for number, one in enumerate(videos):
        true = one.annotations[0].events[0]
        exchange = pool.exchanges[event_shape(true)]
        shares = exchange.shares_for(pool.position_of[sense_key(true)])
        own = {each.verb for each in one.annotations[0].events}
        allowed = {
            pool.frames[sense].verb: share
            for sense, share in zip(exchange.senses, shares.share_S.tolist(), strict=True)
            if pool.frames[sense].verb not in own
        }
        rng = random.Random(event_seed(3, f"{number}"))
        num_filled = sum(rng.random() < shares.filled for _ in range(6))
        expected = rng.choices(list(allowed), list(allowed.values()), k=num_filled)
        found = drawn_verbs(true, one, pool, 6, policy="balanced", seed=3, key=f"{number}")
        assert found == [*expected, *[None] * (6 - num_filled)]
        num_drawn += num_filled
    assert num_drawn > 200


def test_balanced_masks_what_cannot_be_exchanged():
    mine = video("a", [event("walk", "01")])
    pool = build_sense_pool([mine, video("b", [event("hit", "0")])])
    assert (
        drawn_verbs(mine.annotations[0].events[0], mine, pool, 3, policy="balanced") == [None] * 3
    )


def test_own_verbs_of_all_annotators_and_equal_glosses_are_not_drawn():
    true = event("speak", gloss="speak")
    mine = video("a", [true, event("walk")], [event("Run")])
    others = [
        event("talk", gloss="Speak"),
        event("run"),
        event("WALK"),
        event("sing"),
        event("cry"),
    ]
    pool = build_sense_pool([mine, video("b", others)])
    seen = {verb for seed in range(30) for verb in drawn_verbs(true, mine, pool, 2, seed=seed)}
    assert seen == {"sing", "cry"}
    uniform = {
        verb
        for seed in range(50)
        for verb in drawn_verbs(true, mine, pool, 2, seed=seed, policy="uniform")
    }
    assert uniform == {"sing", "cry", "talk"}


def test_missing_glosses_are_not_equal_glosses():
    mine = video("a", [event("walk")])
    pool = build_sense_pool([mine, video("b", [event("sing")])])
    assert drawn_verbs(mine.annotations[0].events[0], mine, pool, 1) == ["sing"]


def test_uniform_draws_every_sense_alike_and_none_twice():
    mine = video("a", [event("walk", "01")])
    others = [event("b", "0")] * 20 + [event("c", "01"), event("d", "012"), event("e", "1")]
    pool = build_sense_pool([mine, video("b", others)])
    true = mine.annotations[0].events[0]
    drawn: Counter[str | None] = Counter()
    for seed in range(1000):
        verbs = drawn_verbs(true, mine, pool, 2, seed=seed, policy="uniform")
        assert len(set(verbs)) == 2
        drawn.update(verbs)
    assert set(drawn) == set("bcde")
    assert all(450 < count < 550 for count in drawn.values())
    assert drawn_verbs(true, mine, pool, 6, policy="uniform")[4:] == [None, None]


def test_uniform_drops_the_roles_that_the_sense_lacks():
    mine = video("a", [event("walk", "01")])
    pool = build_sense_pool([mine, video("b", [event("nap", "0")])])
    (negative,) = draw(mine.annotations[0].events[0], mine, pool, 1, policy="uniform")
    assert negative is not None
    assert [role.name for role in negative.roles] == ["manner", "naper 0"]


def test_an_empty_pool_masks_every_column():
    mine = video("a", [event("walk")])
    for policy in get_args(NegativePolicy):
        negatives = draw(
            mine.annotations[0].events[0], mine, build_sense_pool([]), 3, policy=policy
        )
        assert negatives == (None, None, None)


def test_seed_and_key_both_matter_and_nothing_else():
    assert event_seed(0, "a") == event_seed(0, "a")
    assert len({event_seed(0, "a"), event_seed(1, "a"), event_seed(0, "b")}) == 3
    # Not the same when digits move from one to the other.
    assert event_seed(1, "1/a") != event_seed(11, "/a")


def test_the_seed_of_an_event_is_the_same_in_every_version():
    """`printf 0/a | b2sum --length 64`: another draw would change every run of the same seed."""
    assert event_seed(0, "a") == 0xB78B2EF3C704F401


verbs_with_slots = st.tuples(
    st.sampled_from("abcdefgh"), st.sampled_from(["", "0", "01", "1", "0-"])
)
video_lists = st.lists(st.lists(verbs_with_slots, min_size=1, max_size=5), min_size=1, max_size=6)


@given(
    video_lists,
    st.sampled_from(get_args(NegativePolicy)),
    st.integers(0, 5),
    st.integers(0, 2**32),
    st.randoms(use_true_random=False),
)
def test_negatives_are_pure_false_and_say_something(lists, policy, num_negatives, seed, rng):
    videos = [video(str(i), [event(*each) for each in one]) for i, one in enumerate(lists)]
    shuffled = list(videos)
    rng.shuffle(shuffled)
    pool, other_pool = build_sense_pool(videos), build_sense_pool(shuffled)
    template = TEMPLATES["default"]
    options = {"policy": policy, "seed": seed}
    expected = {
        one.id: draw(one.annotations[0].events[0], one, pool, num_negatives, key=one.id, **options)
        for one in videos
    }
    for one in shuffled:
        events = one.annotations[0].events
        negatives = draw(events[0], one, other_pool, num_negatives, key=one.id, **options)
        assert negatives == expected[one.id]
        assert len(negatives) == num_negatives
        drawn = [each for each in negatives if each is not None]
        assert list(negatives) == drawn + [None] * (num_negatives - len(drawn))
        captions = [caption_event(each, template=template) for each in drawn]
        true = {text_hash(caption_event(each, template=template)) for each in events}
        assert true.isdisjoint(map(text_hash, captions))
        assert not any(" is -" in caption for caption in captions)


def test_renaming_the_video_key_changes_the_draw():
    mine = video("a", [event("walk")])
    pool = build_sense_pool([mine, video("b", [event(verb) for verb in "bcdefghijklm"])])
    true = mine.annotations[0].events[0]
    draws = {tuple(drawn_verbs(true, mine, pool, 4, key=str(key))) for key in range(20)}
    assert len(draws) > 15


def test_time_and_relation_of_the_event_stay():
    mine = video("a", [replace(event("walk"), start_s=4.0, end_s=6.0, relation="Causes")])
    pool = build_sense_pool([mine, video("b", [event("sing")])])
    (negative,) = draw(mine.annotations[0].events[0], mine, pool, 1)
    assert negative is not None
    assert (negative.start_s, negative.end_s, negative.relation) == (4.0, 6.0, "Causes")
