from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from figclip.errors import MetricError
from figclip.metrics.controls import (
    BlindControl,
    Choices,
    choose_blindly,
    draw_foreign_items,
    mirrored_pairs,
    with_half_ties,
)


def pairs_of(*items: tuple[str, set[str]]) -> tuple[tuple[int, int], ...]:
    return mirrored_pairs([true for true, _ in items], [frozenset(false) for _, false in items])


def test_mirrored_pairs_by_hand() -> None:
    ab, ba, ac = ("a", {"b"}), ("b", {"a"}), ("a", {"c"})
    assert pairs_of() == ()
    assert pairs_of(ab, ac, ba) == ((0, 2),)
    # Each item once; the third has no partner left.
    assert pairs_of(ab, ab, ba) == ((0, 2),)
    assert pairs_of(ab, ab, ba, ba) == ((0, 2), (1, 3))
    # Several false texts have no mirror image, nor has none.
    assert pairs_of(("a", {"b", "c"}), ba, ("c", set())) == ()
    assert pairs_of(("A", {"b"}), ba) == ()


def draw(groups: str, *, mirrored=(), num_foreign: int = 3, seed: int = 0) -> BlindControl | None:
    return draw_foreign_items(
        [f"item {number}" for number in range(len(groups))],
        list(groups),
        mirrored=mirrored,
        num_foreign=num_foreign,
        seed=seed,
    )


def test_foreign_items_are_different_ones_of_other_groups() -> None:
    groups = "aaabbbbccddddddd"
    control = draw(groups)
    assert control is not None
    for item, row in enumerate(control.foreign_NF):
        assert len(set(row)) == 3
        assert all(groups[other] != groups[item] for other in row)
    assert (draw(groups).foreign_NF == control.foreign_NF).all()
    assert (draw(groups, seed=1).foreign_NF != control.foreign_NF).any()


def test_foreign_items_are_drawn_evenly() -> None:
    drawn = Counter(
        int(other)
        for seed in range(600)
        for other in draw("abbcc", num_foreign=2, seed=seed).foreign_NF[0]
    )
    assert set(drawn) == {1, 2, 3, 4}
    # 1,200 draws of two in four: standard deviation of each count about 12.
    assert all(count == pytest.approx(300, abs=50) for count in drawn.values())


def test_items_keep_their_foreign_items_where_others_are_missing() -> None:
    names = [f"item {number}" for number in range(40)]
    groups = [str(number // 3) for number in range(40)]

    def drawn(there: list[int]) -> dict[str, list[str]]:
        control = draw_foreign_items(
            [names[i] for i in there],
            [groups[i] for i in there],
            mirrored=(),
            num_foreign=4,
            seed=0,
        )
        assert control is not None
        rows = control.foreign_NF.tolist()
        return {
            names[i]: [names[there[k]] for k in row] for i, row in zip(there, rows, strict=True)
        }

    whole = drawn(list(range(40)))
    there = [number for number in range(39, -1, -1) if number % 4]
    for item, foreign in drawn(there).items():
        kept = [one for one in whole[item] if int(one.split()[1]) % 4]
        assert foreign[: len(kept)] == kept


def test_fewer_foreign_items_than_asked_for() -> None:
    control = draw("aab")
    assert control is not None
    assert control.foreign_NF[:2].tolist() == [[2, -1, -1]] * 2
    assert sorted(control.foreign_NF[2]) == [-1, 0, 1]
    assert draw("aaa") is None
    assert draw("") is None


def test_mirrored_items_share_their_foreign_items() -> None:
    groups = "aabbccdd"
    control = draw(groups, mirrored=[(0, 3), (4, 5)])
    assert control is not None
    assert control.mirrored == ((0, 3), (4, 5))
    for first, second in control.mirrored:
        assert (control.foreign_NF[first] == control.foreign_NF[second]).all()
    assert all(groups[other] in "cd" for other in control.foreign_NF[0])


def test_a_pair_to_which_nothing_is_foreign_is_given_up() -> None:
    control = draw("ab", mirrored=[(0, 1)])
    assert control is not None
    assert control.mirrored == ()
    assert control.foreign_NF[:, 0].tolist() == [1, 0]


def test_blind_choices_by_hand() -> None:
    control = BlindControl(foreign_NF=np.array([[1, 2], [0, -1]]), mirrored=())
    # Lead of each negative over the positive. Item 0: won, tied / lost, won. Item 1: won, masked.
    lead_NFK = np.array([[[-1.0, 0.0], [2.0, -0.5]], [[-3.0, np.nan], [9.0, 9.0]]])
    present_NK = np.array([[True, True], [True, False]])
    choices = choose_blindly(lead_NFK, control=control, present_NK=present_NK)
    assert choices.accuracy_N.tolist() == [0.5, 1.0]
    assert choices.ties_N.tolist() == [0.25, 0.0]
    assert with_half_ties(choices).tolist() == [0.625, 1.0]


@pytest.mark.parametrize("num_foreign", [1, 3, 5, 7, 8])
def test_the_same_share_under_every_video_is_exactly_that_share(num_foreign: int) -> None:
    control = BlindControl(foreign_NF=np.zeros((1, num_foreign), np.int64), mirrored=())
    for num_negatives in range(1, 8):
        for num_won in range(num_negatives + 1):
            lead_K = np.where(np.arange(num_negatives) < num_won, -1.0, 1.0)
            lead_NFK = np.broadcast_to(lead_K, (1, num_foreign, num_negatives))
            choices = choose_blindly(
                lead_NFK, control=control, present_NK=np.ones((1, num_negatives), bool)
            )
            assert choices.accuracy_N[0] == num_won / num_negatives


def test_mirrored_items_must_be_at_one_half() -> None:
    control = BlindControl(foreign_NF=np.array([[2, 3], [2, 3]]), mirrored=((0, 1),))
    present_NK = np.ones((2, 1), bool)
    lead_NFK = np.array([[[-1.0], [0.0]], [[1.0], [0.0]]])
    choices = choose_blindly(lead_NFK, control=control, present_NK=present_NK)
    assert with_half_ties(choices).tolist() == [0.75, 0.25]
    with pytest.raises(MetricError, match="mirrored items are not at 50 %"):
        choose_blindly(-np.abs(lead_NFK), control=control, present_NK=present_NK)


def test_scores_that_are_not_finite_are_refused() -> None:
    control = BlindControl(foreign_NF=np.array([[1], [0]]), mirrored=())
    with pytest.raises(MetricError, match="not finite"):
        choose_blindly(
            np.full((2, 1, 1), np.nan), control=control, present_NK=np.ones((2, 1), bool)
        )


def test_half_ties() -> None:
    assert with_half_ties(Choices(np.array([0.25]), np.array([0.5]))).tolist() == [0.5]
