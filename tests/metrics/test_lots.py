"""Draws that do not depend on what else is there."""

from __future__ import annotations

from collections import Counter

import numpy as np

from figclip.metrics.controls import Lots

NAMES = [f"item {number}" for number in range(50)]


def draw(drawer: str, *, names: list[str] = NAMES, num: int = 5, seed: int = 0) -> list[str]:
    allowed_N = np.ones(len(names), bool)
    return [
        names[i] for i in Lots(names, seed=seed).draw(drawer, allowed_N=allowed_N, num_drawn=num)
    ]


def test_different_items_are_drawn_the_same_again_others_by_another_seed_or_drawer():
    found = draw("a")
    assert len(set(found)) == 5
    assert found == draw("a") == draw("a", num=9)[:5]
    assert found != draw("b") and found != draw("a", seed=1)


def test_order_and_absence_of_others_change_nothing():
    order = draw("a", num=50)
    assert sorted(order) == sorted(NAMES)
    for there in (NAMES[::-1], NAMES[::3], NAMES[:7]):
        assert draw("a", names=there, num=50) == [one for one in order if one in there]


def test_only_what_is_allowed_is_drawn():
    allowed_N = np.arange(50) % 10 == 0
    drawn = Lots(NAMES, seed=0).draw("a", allowed_N=allowed_N, num_drawn=9)
    assert sorted(drawn.tolist()) == [0, 10, 20, 30, 40]
    assert Lots([], seed=0).draw("a", allowed_N=np.zeros(0, bool), num_drawn=3).tolist() == []


def test_draws_are_even_over_drawers_and_over_items():
    counts = Counter(one for number in range(4000) for one in draw(f"drawer {number}", num=2))
    # 8,000 draws of 50 items: 160 each, standard deviation 12.4.
    assert all(abs(counts[name] - 160) < 4.5 * 12.4 for name in NAMES)
    pairs = Counter(
        tuple(sorted(draw(f"{number}", names=NAMES[:4], num=2))) for number in range(3000)
    )
    # Six pairs, 500 each, standard deviation 20.4.
    assert all(abs(count - 500) < 4.5 * 20.4 for count in pairs.values()) and len(pairs) == 6


def test_equal_names_have_equal_lots_and_the_earlier_comes_first():
    lots = Lots(["x", "y", "x"], seed=0)
    drawn = lots.draw("a", allowed_N=np.ones(3, bool), num_drawn=3).tolist()
    assert drawn in ([0, 2, 1], [1, 0, 2])
