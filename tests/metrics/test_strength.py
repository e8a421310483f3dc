"""The rule that chooses a strength, and the bounds that it goes by."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from figclip.errors import MetricError
from figclip.metrics.strength import (
    MAX_MEAN_LOSS,
    MAX_TEST_LOSS,
    KeptPoint,
    StrengthBlock,
    StrengthPoint,
    bound_losses,
    choose_point,
)


def point(alpha: float, detail: float, mean: float = 0.0, *tests: float) -> StrengthPoint:
    """A strength with these bounds of its losses."""
    return StrengthPoint(
        alpha=alpha,
        detail=detail,
        detail_parts={},
        kept=0.9,
        loss=0.0,
        loss_bound=mean,
        tests={
            str(i): KeptPoint(score=0.9, loss=0.0, loss_bound=bound)
            for i, bound in enumerate(tests)
        },
    )


JUST_MORE = 1 + 1e-12
BASE = point(0.0, 0.4, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("others", "alpha"),
    [
        # The most detail wins, not the largest strength.
        ([point(0.5, 0.6), point(1.0, 0.5)], 0.5),
        # Exactly at the limits is within them.
        ([point(0.5, 0.5), point(1.0, 0.6, MAX_MEAN_LOSS, MAX_TEST_LOSS, 0.0)], 1.0),
        # A hair beyond either is not.
        ([point(0.5, 0.5), point(1.0, 0.6, JUST_MORE * MAX_MEAN_LOSS, 0.0)], 0.5),
        ([point(0.5, 0.5), point(1.0, 0.6, 0.0, 0.0, JUST_MORE * MAX_TEST_LOSS)], 0.5),
        # None qualifies but the base.
        ([point(0.1, 0.9, 0.02), point(1.0, 0.8, 0.0, 0.03)], 0.0),
        # Equal detail: the smaller strength, whatever the order.
        ([point(0.7, 0.6), point(0.3, 0.6), point(0.5, 0.6)], 0.3),
        # All that qualify are worse than the base, or as good.
        ([point(0.5, 0.3), point(1.0, 0.4)], 0.0),
    ],
)
def test_the_most_detail_among_those_that_keep_enough(
    others: list[StrengthPoint], alpha: float
) -> None:
    assert choose_point([BASE, *others]).alpha == alpha
    assert choose_point([*reversed(others), BASE]).alpha == alpha


def test_the_base_qualifies_whatever_its_bounds() -> None:
    assert point(0.0, 0.1, 1.0, 1.0).qualifies


def block(columns: list[list[float]], groups: str, weights: list[float] | None = None):
    return StrengthBlock(
        value_NA=np.array(columns, np.float64).T,
        group_of_item=tuple(groups),
        weight_N=None if weights is None else np.array(weights, np.float64),
    )


def test_scores_are_means_of_blocks_and_equal_losses_have_no_spread() -> None:
    # Each group loses a quarter: so does every resample.
    first = block([[1, 1, 0, 1], [1, 0, 0, 0]], "aabb")
    second = block([[0.5, 1.0], [0.5, 1.0]], "ab", weights=[3, 1])
    found = bound_losses([[first], [first, second]], num_resamples=50)
    assert_allclose(found.score_KA, [[3 / 4, 1 / 4], [(3 / 4 + 5 / 8) / 2, (1 / 4 + 5 / 8) / 2]])
    assert_allclose(found.bound_KA, [[0, 1 / 2], [0, 1 / 4]], atol=1e-12)
    assert_allclose(found.mean_bound_A, [0, 3 / 8], atol=1e-12)


def test_the_bound_is_that_of_a_normal_mean() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=400)
    lower = base - rng.normal(0.2, 1.0, size=400)
    names = tuple(f"g{i}" for i in range(400))
    one = StrengthBlock(value_NA=np.stack([base, lower], axis=1), group_of_item=names)
    found = bound_losses([[one]], num_resamples=4000)
    loss = base - lower
    assert found.bound_KA[0, 1] == pytest.approx(
        loss.mean() + 1.645 * loss.std() / np.sqrt(400), abs=0.01
    )


def test_tests_that_share_groups_are_resampled_together() -> None:
    # What one test loses in a group the other gains: the mean never moves, each test does.
    rng = np.random.default_rng(1)
    change = rng.choice([-1.0, 1.0], size=60)
    names = tuple(f"g{i}" for i in range(60))

    def test_of(sign: float, groups: tuple[str, ...]) -> list[StrengthBlock]:
        return [
            StrengthBlock(
                value_NA=np.stack([np.zeros(60), sign * change], axis=1), group_of_item=groups
            )
        ]

    shared = bound_losses([test_of(1, names), test_of(-1, names)])
    assert shared.mean_bound_A[1] == pytest.approx(0, abs=1e-12)
    assert (shared.bound_KA[:, 1] > 0.05).all()
    apart = bound_losses([test_of(1, names), test_of(-1, tuple(f"h{i}" for i in range(60)))])
    assert apart.mean_bound_A[1] > 0.05


def test_items_of_one_group_are_not_independent() -> None:
    values = [[1.0] * 20, [1.0, 0.0] * 10]
    alone = block(values, "abcdefghijklmnopqrst")
    paired = block(values, "".join(2 * letter for letter in "acegikmoqs"))  # lose half in each
    assert bound_losses([[alone]]).bound_KA[0, 1] > 0.6
    assert bound_losses([[paired]]).bound_KA[0, 1] == pytest.approx(0.5)


def test_the_seed_decides_and_a_small_test_is_never_empty() -> None:
    rng = np.random.default_rng(2)
    large = StrengthBlock(
        value_NA=rng.random((3000, 3)), group_of_item=tuple(f"g{i}" for i in range(3000))
    )
    small = block([[1, 0], [0, 1], [1, 1]], "xy")
    found = [bound_losses([[large], [small]], seed=seed) for seed in (0, 0, 1)]
    assert np.isfinite(found[0].bound_KA).all()
    assert (found[0].bound_KA == found[1].bound_KA).all()
    assert (found[0].bound_KA != found[2].bound_KA).any()
    assert (found[0].bound_KA[:, 0] == 0).all()


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ([[]], "no number"),
        ([[block([[1, 1]], "aa")]], "at least two groups"),
        ([[block([[1, np.nan]], "ab")]], "not finite"),
        ([[block([[1, 1]], "ab", weights=[1, 0])]], "not positive"),
    ],
)
def test_what_has_no_bound_is_refused(tests: list[list[StrengthBlock]], message: str) -> None:
    with pytest.raises(MetricError, match=message):
        bound_losses(tests)
