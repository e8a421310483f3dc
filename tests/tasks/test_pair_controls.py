from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.datasets.records import Contrast
from figclip.tasks.composition import draw_foreign_media, make_controls, text_only_accuracy
from tests.media_sets import video


def item(
    number: int, true: str | Sequence[str], false: str | Sequence[str], group: str
) -> Contrast:
    return Contrast(
        id=f"c{number}",
        subset="",
        media=(video(f"v{number}"),),
        positives=(true,) if isinstance(true, str) else tuple(true),
        negatives=(false,) if isinstance(false, str) else tuple(false),
        group=group,
    )


def both_ways(sentences: Sequence[tuple[str, str]]) -> list[Contrast]:
    """Each pair as two items of one group."""
    return [
        item(2 * i + side, pair[side], pair[1 - side], f"g{i}")
        for i, pair in enumerate(sentences)
        for side in (0, 1)
    ]


def names(rows: Sequence[object]) -> list[str]:
    return [f"c{number}" for number in range(len(rows))]


def swapped(rng: random.Random) -> tuple[str, str]:
    """Who and whom exchanged."""
    first, second = rng.sample(["dog", "cat", "robot", "man", "bird", "bear", "frog"], 2)
    verb = rng.choice(["lifts", "follows", "pushes", "greets"])
    where = rng.choice(["in a forest", "at the beach", "on the moon"])
    return f"a {first} {verb} a {second} {where}", f"a {second} {verb} a {first} {where}"


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 4)), min_size=1, max_size=12),
    st.integers(0, 3),
)
def test_a_group_is_shown_one_medium_that_is_foreign_to_all_of_it(
    rows: list[tuple[str, int]], seed: int
):
    groups, clips = [group for group, _ in rows], [clip for _, clip in rows]
    foreign_N = draw_foreign_media(names(groups), groups, clips, seed=seed)
    own_of = {g: {clip for group, clip in rows if group == g} for g in groups}

    def has_foreign(group: str) -> bool:
        return any(g != group and clip not in own_of[group] for g, clip in rows)

    if foreign_N is None:
        assert not all(has_foreign(group) for group in groups)
        return
    for group in own_of:
        (shown,) = {int(foreign_N[i]) for i in range(len(rows)) if groups[i] == group}
        assert groups[shown] != group
        assert clips[shown] not in own_of[group]
    assert (foreign_N == draw_foreign_media(names(groups), groups, clips, seed=seed)).all()


def test_foreign_media_are_drawn_evenly():
    groups, clips = ["a", "a", "b", "c", "d"], [0, 1, 2, 3, 0]
    drawn = [draw_foreign_media(names(groups), groups, clips, seed=seed) for seed in range(600)]
    shown = Counter(int(one[0]) for one in drawn if one is not None)
    # The medium of d is also one of a.
    assert set(shown) == {2, 3}
    assert abs(shown[2] - 300) < 3 * np.sqrt(600 / 4)


def test_a_group_keeps_its_foreign_medium_where_others_are_missing():
    groups = [f"g{number // 2}" for number in range(40)]
    whole = draw_foreign_media(names(groups), groups, range(40), seed=0)
    assert whole is not None
    for missing in range(0, 40, 2):
        there = [number for number in range(40) if number // 2 != missing // 2]
        found = draw_foreign_media(
            [f"c{number}" for number in there], [groups[i] for i in there], there, seed=0
        )
        assert found is not None
        for i, foreign in zip(there, found.tolist(), strict=True):
            assert there[foreign] == whole[i] or whole[i] // 2 == missing // 2


def test_items_that_mirror_each_other_are_found_within_their_group():
    items = [
        item(0, "a b", "b a", "g"),
        item(1, "b a", "a b", "h"),  # the other way round, but in another group
        item(2, "b a", "a b", "g"),
        item(3, ["c d", "c e"], "d c", "g"),
        item(4, "d c", "c d", "g"),
    ]
    assert make_controls(items, range(5), listed=items, seed=0).mirrored == ((0, 2),)


def test_words_that_give_away_the_truth_are_found():
    told = [item(i, f"a nice thing {i}", f"a bad thing {i}", f"g{i}") for i in range(10)]
    assert text_only_accuracy(told) == pytest.approx([1.0] * 10)
    # The same words: only which comes first gives it away.
    nouns = ["dog", "cat", "man", "bird"]
    first = [
        item(i, f"a box near a {noun}", f"a {noun} near a box", f"g{i}")
        for i, noun in enumerate(nouns * 3)
    ]
    assert text_only_accuracy(first) == pytest.approx([1.0] * 12)
    marked = [item(i, f"thing {i}.", f"thing {i}", f"g{i}") for i in range(10)]
    assert text_only_accuracy(marked) == pytest.approx([1.0] * 10)


def test_words_tell_the_same_of_an_item_whichever_others_are_there():
    rng = random.Random(0)
    told = [
        item(i, f"a nice thing {i % 7}", f"a bad thing {rng.random()}", f"g{i}") for i in range(9)
    ]
    items = [*told, *both_ways([swapped(rng) for _ in range(9)])]
    whole = make_controls(items, range(len(items)), listed=items, seed=0).text_only_N
    there = [2, 5, 9, 11, 20]
    some = [items[i] for i in there]
    part = make_controls(some, there, listed=items, seed=0).text_only_N
    assert whole is not None and part is not None
    assert part.tolist() == whole[there].tolist()
    assert part.tolist() != text_only_accuracy(some).tolist()


def test_every_true_caption_must_beat_every_false_one():
    rows = [(["good one", "odd one"], ["bad one", "odd one"])] + [("good one", "bad one")] * 5
    found = text_only_accuracy([item(i, *row, f"g{i}") for i, row in enumerate(rows)])
    # The first item has the same caption on both sides: at best a tie.
    assert found is not None and found.tolist() == [0.5, 1, 1, 1, 1, 1]


def test_captions_of_the_same_words_are_half_won():
    same = [item(i, "A dog", "a  dog", f"g{i}") for i in range(4)]
    assert text_only_accuracy(same) == pytest.approx([0.5] * 4)


def test_too_few_groups_give_nothing():
    assert text_only_accuracy([item(i, "good", "bad", "g") for i in range(9)]) is None
    two = [item(i, "good", "bad", f"g{i % 2}") for i in range(3)]
    assert text_only_accuracy(two) is None
    assert text_only_accuracy([*two, item(3, "good", "bad", "g1")]) == pytest.approx([1.0] * 4)


def test_in_a_mirrored_set_words_tell_nothing_and_quickly():
    rng = random.Random(0)
    items = both_ways([swapped(rng) for _ in range(500)])
    started_s = time.process_time()
    controls = make_controls(items, range(len(items)), listed=items, seed=0)
    assert time.process_time() - started_s < 2.0
    assert len(controls.mirrored) == 500
    assert controls.text_only_N is not None
    assert controls.text_only_N.reshape(500, 2).sum(axis=1) == pytest.approx(np.ones(500))
