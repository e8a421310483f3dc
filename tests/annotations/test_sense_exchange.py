"""Senses are exchanged so that each is as often false as it is true, where that can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from figclip.annotations.verb_negatives import SenseExchange, balance_senses, event_shape
from figclip.records import Event, Role


def itself(counts: dict[int, int]) -> list[frozenset[int]]:
    """No sense stands in for itself."""
    return [frozenset({sense}) for sense in counts]


def shares(exchange: SenseExchange, sense: int) -> dict[int, float]:
    """Share of each sense, by position in the pool."""
    return dict(zip(exchange.senses, exchange.shares_for(sense).share_S.tolist(), strict=True))


def test_equally_frequent_senses_stand_in_for_each_other_alike() -> None:
    exchange = balance_senses({3: 5, 7: 5, 9: 5}, itself({3: 5, 7: 5, 9: 5}))
    assert shares(exchange, 7) == pytest.approx({3: 0.5, 7: 0.0, 9: 0.5})


def test_a_sense_with_half_of_the_events_is_exchanged_for_all_others() -> None:
    counts = {0: 6, 1: 4, 2: 2}
    exchange = balance_senses(counts, itself(counts))
    # 6 places of sense 0 for 4 + 2 of the others: nothing is left to exchange among these.
    assert shares(exchange, 0) == pytest.approx({0: 0, 1: 4 / 6, 2: 2 / 6}, abs=1e-2)
    assert shares(exchange, 1) == pytest.approx({0: 1, 1: 0, 2: 0}, abs=2e-2)


def test_a_sense_with_more_events_than_all_others_leaves_places_empty() -> None:
    counts = {0: 8, 1: 1, 2: 1}
    exchange = balance_senses(counts, itself(counts))
    assert shares(exchange, 0) == pytest.approx({0: 0, 1: 1 / 8, 2: 1 / 8}, abs=1e-3)


def test_what_is_alike_is_not_exchanged() -> None:
    counts = {0: 2, 1: 2, 2: 2}
    alike = [frozenset({0, 1}), frozenset({0, 1}), frozenset({2})]
    exchange = balance_senses(counts, alike)
    assert shares(exchange, 0) == pytest.approx({0: 0, 1: 0, 2: 0.5})
    assert shares(exchange, 2) == pytest.approx({0: 0.5, 1: 0.5, 2: 0})


def test_places_that_cannot_all_be_filled_are_filled_evenly() -> None:
    """Two frequent senses share what two rare ones can take: a quarter of either's places."""
    counts = {0: 10, 1: 6, 2: 2, 3: 2}
    alike = [frozenset({0, 1}), frozenset({0, 1}), frozenset({2}), frozenset({3})]
    exchange = balance_senses(counts, alike)
    for frequent in (0, 1):
        expected = {0: 0, 1: 0, 2: 0.125, 3: 0.125}
        assert shares(exchange, frequent) == pytest.approx(expected, abs=1e-6)
    assert shares(exchange, 2) == pytest.approx({0: 0.625, 1: 0.375, 2: 0, 3: 0}, abs=1e-6)


def test_no_bound_is_passed_before_it_has_converged() -> None:
    """Where one sense has half of the events the rounds come close to the bounds but slowly."""
    counts = {0: 6, 1: 4, 2: 2}
    exchange = balance_senses(counts, itself(counts))
    places_SS = exchange.share_SS * exchange.count_S[:, None]
    for axis in (0, 1):
        filled_S = places_SS.sum(axis=axis) / exchange.count_S
        assert (filled_S <= 1 + 1e-12).all() and (filled_S > 0.98).all(), (axis, filled_S)


def test_a_lone_sense_has_no_negative_and_a_new_one_has_all() -> None:
    exchange = balance_senses({4: 3}, [frozenset({4})])
    assert shares(exchange, 4) == {4: 0.0}
    assert shares(exchange, 5) == {4: 1.0}


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_no_sense_is_false_more_often_than_true_and_no_place_is_wasted(numbers, rng) -> None:
    counts = dict(enumerate(numbers))
    of_kind = [rng.randrange(3) for _ in counts]
    alike = [frozenset(j for j in counts if of_kind[j] == of_kind[i]) for i in counts]
    places_SS = balance_senses(counts, alike).share_SS * np.array(numbers)[:, None]
    assert (places_SS.sum(axis=0) <= np.array(numbers) * (1 + 1e-9)).all()
    assert (places_SS.sum(axis=1) <= np.array(numbers) * (1 + 1e-9)).all()
    assert all(places_SS[i, j] == 0 for i in counts for j in alike[i])
    assert places_SS.sum() >= 0.97 * most_places(counts, alike)


def most_places(counts: dict[int, int], alike: list[frozenset[int]]) -> float:
    """The most that any exchange could fill, by a linear programme."""
    pairs = [(i, j) for i in counts for j in counts if j not in alike[i]]
    if not pairs:
        return 0.0
    rows = [[float(pair[side] == s) for pair in pairs] for side in (0, 1) for s in counts]
    limits = [*counts.values(), *counts.values()]
    return -linprog([-1.0] * len(pairs), A_ub=rows, b_ub=limits).fun


def test_the_shape_is_what_says_something() -> None:
    roles = (
        Role(name="hitter", text="man", slot="Arg0"),
        Role(name="struck", text="-", slot="Arg1"),
        Role(name="direction (usually up or down)", text="left", slot="ArgM"),
        Role(name="manner", text="unknown", slot="ArgM"),
    )
    shape = event_shape(Event(start_s=0.0, end_s=2.0, verb="hit", roles=roles, scene="barn"))
    assert shape.slots == {"Arg0"} and shape.modifiers == {"direction"} and shape.has_scene
