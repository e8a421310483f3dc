from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from figclip.annotations.verb_negatives import build_sense_pool
from figclip.records import Annotation, Event, Role, VideoRecord


def event(verb: str, gloss: str = "", **roles: str) -> Event:
    """Roles as `Arg0_walker="man"`."""
    parsed = (key.split("_", 1) + [text] for key, text in roles.items())
    return Event(
        start_s=0.0,
        end_s=2.0,
        verb=verb,
        gloss=gloss,
        roles=tuple(Role(slot=slot, name=name, text=text) for slot, name, text in parsed),
    )


def video(name: str, *events: Event) -> VideoRecord:
    annotation = Annotation(events=events)
    return VideoRecord(id=name, video=name, split="train", group="", annotations=(annotation,))


def test_counts_names_and_slots():
    pool = build_sense_pool(
        [
            video(
                "a",
                event("walk", Arg0_walker="man", ArgM_manner="slowly"),
                event("hit", Arg0_hitter="man", Arg1_struck="dog"),
            ),
            video(
                "b",
                event("hit", Arg0_striker="man", Arg1_struck="-"),
                event("hit", Arg0_hitter="man", Arg1_struck="dog"),
            ),
        ]
    )
    hit, walk = pool.frames
    assert (hit.verb, dict(hit.role_names)) == ("hit", {"Arg0": "hitter", "Arg1": "struck"})
    assert (walk.verb, dict(walk.role_names)) == ("walk", {"Arg0": "walker"})
    assert pool.counts == (3, 1)
    assert pool.counts_by_slots == {
        frozenset({"Arg0"}): {0: 1, 1: 1},
        frozenset({"Arg0", "Arg1"}): {0: 2},
    }
    assert pool.covering(frozenset({"Arg1"})) == {0: 3}
    assert pool.covering(frozenset()) == {0: 3, 1: 1}


def test_equally_frequent_names_are_decided_by_the_alphabet():
    pool = build_sense_pool([video("a", event("hit", Arg0_b="man"), event("hit", Arg0_a="man"))])
    assert pool.frames[0].role_names == {"Arg0": "a"}


def test_lookup_ignores_case_and_spaces():
    pool = build_sense_pool(
        [video("a", event("Talk", "to  speak"), event("talk", "To speak"), event("say", "say"))]
    )
    assert pool.senses_by_verb == {"talk": {0, 2}, "say": {1}}
    assert pool.senses_by_gloss == {"to speak": {0, 2}, "say": {1}}


def test_empty_set_gives_an_empty_pool():
    pool = build_sense_pool([])
    assert (pool.frames, pool.counts, pool.counts_by_slots) == ((), (), {})


# Plain values, not records: the run-time checks of records draw random numbers, which hypothesis
# does not allow inside a strategy.
events = st.tuples(
    st.sampled_from("vwx"), st.dictionaries(st.integers(0, 2), st.sampled_from(["man", "-"]))
)
video_lists = st.lists(st.lists(events, max_size=5), max_size=4)


def build_videos(lists: list[list[tuple[str, dict[int, str]]]]) -> list[VideoRecord]:
    return [
        video(
            str(i),
            *(
                event(verb, **{f"Arg{slot}_role{slot}": text for slot, text in texts.items()})
                for verb, texts in each
            ),
        )
        for i, each in enumerate(lists)
    ]


@given(video_lists, st.randoms(use_true_random=False))
def test_order_of_videos_does_not_matter(lists, rng):
    videos = build_videos(lists)
    shuffled = list(videos)
    rng.shuffle(shuffled)
    assert build_sense_pool(shuffled) == build_sense_pool(videos)


@given(video_lists)
def test_frequencies_agree_with_counting_by_hand(lists):
    videos = build_videos(lists)
    pool = build_sense_pool(videos)
    expected: Counter[tuple[tuple[str, ...], str]] = Counter()
    for one in videos:
        for each in one.annotations[0].events:
            filled = tuple(sorted(r.slot for r in each.roles if r.text == "man"))
            expected[filled, each.verb] += 1
    actual = {
        (tuple(sorted(slots)), pool.frames[sense].verb): count
        for slots, counts in pool.counts_by_slots.items()
        for sense, count in counts.items()
    }
    assert actual == dict(expected)
    assert sum(pool.counts) == sum(expected.values())
