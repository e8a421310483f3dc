"""The rule that chooses a strength, and the bounds that it goes by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from figclip.errors import MetricError
from figclip.metrics.strength import (
    MAX_MEAN_LOSS,
    MAX_TEST_LOSS,
    STRENGTHS,
    KeptPoint,
    LossBounds,
    StrengthBlock,
    StrengthPoint,
    bound_losses,
    choose_strength_idx,
    smooth_gains,
    unseen_loss,
)

ALPHAS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


GRID = np.array(STRENGTHS)


def bounds_of(mean_A: np.ndarray, *test_A: np.ndarray) -> LossBounds:
    """Bounds at every strength."""
    return LossBounds(bound_KA=np.stack(test_A), mean_bound_A=mean_A)


FREE = np.zeros(101)


@pytest.mark.parametrize(
    ("bounds", "detail", "alpha"),
    [
        # The most detail wins, not the largest strength.
        (bounds_of(FREE, FREE), GRID * (1 - GRID), 0.5),
        # Exactly at the limits is within them.
        (bounds_of(FREE + MAX_MEAN_LOSS, FREE + MAX_TEST_LOSS), GRID, 1.0),
        # The mean decides, or a single test.
        (bounds_of(GRID * MAX_MEAN_LOSS / 0.305, FREE), GRID, 0.3),
        (bounds_of(FREE, FREE, GRID * MAX_TEST_LOSS / 0.625), GRID, 0.62),
        # None qualifies but the base, whose bounds do not count.
        (bounds_of(FREE + 0.5, FREE), GRID, 0.0),
        # A strength beyond one that costs too much does not qualify, whatever its own bound.
        (bounds_of(np.where(np.isclose(GRID, 0.4), 0.02, 0.0), FREE), GRID, 0.39),
        # Equal detail: the smaller strength; less than the base: the base.
        (bounds_of(FREE, FREE), np.minimum(GRID, 0.25), 0.25),
        (bounds_of(FREE, FREE), -GRID, 0.0),
        # Detail was not measured: the largest that keeps enough.
        (bounds_of(FREE, GRID * MAX_TEST_LOSS / 0.625), None, 0.62),
        (bounds_of(FREE, FREE), None, 1.0),
    ],
)
def test_the_most_detail_among_those_that_keep_enough(
    bounds: LossBounds, detail: np.ndarray | None, alpha: float
) -> None:
    assert STRENGTHS[choose_strength_idx(bounds, detail)] == alpha


def test_a_point_says_what_exceeds_its_limit() -> None:
    kept = {"kinds": KeptPoint(score=0.9, loss=0.0, loss_bound=0.031)}
    point = StrengthPoint(
        alpha=0.1, detail=0.5, detail_parts={}, kept=0.9, loss=0.0, loss_bound=0.012, tests=kept
    )
    assert not point.qualifies
    assert point.excess == (
        "the mean of the kept tests may lose 1.2 points (limit 1)",
        "kinds may lose 3.1 points (limit 2)",
    )
    assert replace(point, alpha=0.0).qualifies, "the base, whatever its bounds"
    fine = {"kinds": KeptPoint(score=0.9, loss=0.0, loss_bound=MAX_TEST_LOSS)}
    assert replace(point, tests=fine, loss_bound=MAX_MEAN_LOSS).qualifies


def test_a_parabola_is_smoothed_to_itself_and_noise_to_a_parabola() -> None:
    scored = np.array(ALPHAS[1:])
    assert_allclose(smooth_gains(3 * scored - 2 * scored**2, scored), 3 * GRID - 2 * GRID**2)
    noise = np.random.default_rng(0).normal(size=(7, len(scored)))
    smooth = smooth_gains(noise, scored)
    assert_allclose(smooth[:, 0], 0, atol=1e-12)
    assert_allclose(np.diff(smooth, n=3), 0, atol=1e-9)
    # Least squares, each point weighted by the inverse of its strength.
    design = np.stack([scored, scored**2], axis=1) / np.sqrt(scored)[:, None]
    expected, *_ = np.linalg.lstsq(design, noise[0] / np.sqrt(scored), rcond=None)
    assert_allclose(smooth[0], np.stack([GRID, GRID**2], axis=1) @ expected, atol=1e-9)


def test_what_may_be_lost_unseen() -> None:
    assert unseen_loss(1) == pytest.approx(0.95)
    assert unseen_loss(300) == pytest.approx(3 / 300, rel=0.01)


def block(columns: list[list[float]], groups: str, weights: list[float] | None = None):
    return StrengthBlock(
        value_NS=np.array(columns, np.float64).T,
        group_of_item=tuple(groups),
        weight_N=None if weights is None else np.array(weights, np.float64),
    )


def linear(first_N: np.ndarray, last_N: np.ndarray) -> np.ndarray:
    """Values that go evenly from the base to strength 1."""
    return first_N[:, None] + np.array(ALPHAS) * (last_N - first_N)[:, None]


def test_losses_are_means_of_blocks_and_equal_ones_have_no_spread() -> None:
    # Each group loses a quarter at 0.5 and a half at 1: so does every resample.
    first = block([[1, 1, 1, 1], [1, 0.5, 1, 0.5], [1, 0, 0, 1]], "aabb")
    second = block([[0.5, 1.0]] * 3, "ab", weights=[3, 1])
    found = bound_losses([[first], [first, second]], alphas=(0, 0.5, 1), num_resamples=50)
    assert_allclose(found.bound_KA, [GRID / 2, GRID / 4], atol=1e-12)
    assert_allclose(found.mean_bound_A, GRID * 3 / 8, atol=1e-12)


def test_the_bound_is_that_of_a_normal_mean() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=400)
    loss = rng.normal(0.2, 1.0, size=400)
    names = tuple(f"g{i}" for i in range(400))
    one = StrengthBlock(value_NS=linear(base, base - loss), group_of_item=names)
    found = bound_losses([[one]], alphas=ALPHAS, num_resamples=4000)
    assert found.bound_KA[0, -1] == pytest.approx(
        loss.mean() + 1.645 * loss.std() / np.sqrt(400), abs=0.01
    )


def test_tests_that_share_groups_are_resampled_together() -> None:
    # What one test loses in a group the other gains: the mean never moves, each test does.
    rng = np.random.default_rng(1)
    change = rng.choice([-1.0, 1.0], size=60)
    names = tuple(f"g{i}" for i in range(60))

    def test_of(sign: float, groups: tuple[str, ...]) -> list[StrengthBlock]:
        return [StrengthBlock(value_NS=linear(np.zeros(60), sign * change), group_of_item=groups)]

    shared = bound_losses([test_of(1, names), test_of(-1, names)], alphas=ALPHAS)
    assert shared.mean_bound_A[-1] == pytest.approx(0, abs=1e-12)
    assert (shared.bound_KA[:, -1] > 0.05).all()
    apart = bound_losses(
        [test_of(1, names), test_of(-1, tuple(f"h{i}" for i in range(60)))], alphas=ALPHAS
    )
    assert apart.mean_bound_A[-1] > 0.05


def test_items_of_one_group_are_not_independent() -> None:
    values = [[1.0] * 20, [1.0, 0.5] * 10, [1.0, 0.0] * 10]
    alone = block(values, "abcdefghijklmnopqrst")
    paired = block(values, "".join(2 * letter for letter in "acegikmoqs"))  # lose half in each
    assert bound_losses([[alone]], alphas=(0, 0.5, 1)).bound_KA[0, -1] > 0.6
    assert bound_losses([[paired]], alphas=(0, 0.5, 1)).bound_KA[0, -1] == pytest.approx(0.5)


def test_the_seed_decides_and_a_small_test_is_never_empty() -> None:
    rng = np.random.default_rng(2)
    large = StrengthBlock(
        value_NS=rng.random((3000, 3)), group_of_item=tuple(f"g{i}" for i in range(3000))
    )
    small = block([[1, 0], [0, 1], [1, 1]], "xy")
    found = [bound_losses([[large], [small]], alphas=(0, 0.5, 1), seed=seed) for seed in (0, 0, 1)]
    assert np.isfinite(found[0].bound_KA).all()
    assert (found[0].bound_KA == found[1].bound_KA).all()
    assert (found[0].bound_KA != found[2].bound_KA).any()
    assert (found[0].bound_KA[:, 0] == 0).all()


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ([[]], "no number"),
        ([[block([[1, 1]] * 3, "aa")]], "at least two groups"),
        ([[block([[1, np.nan]] * 3, "ab")]], "not finite"),
        ([[block([[1, 1]] * 3, "ab", weights=[1, 0])]], "not positive"),
    ],
)
def test_what_has_no_bound_is_refused(tests: list[list[StrengthBlock]], message: str) -> None:
    with pytest.raises(MetricError, match=message):
        bound_losses(tests, alphas=(0, 0.5, 1))
