from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import figclip.metrics.intervals as intervals
from figclip.errors import MetricError
from figclip.metrics.intervals import Interval
from figclip.metrics.intervals import paired_bootstrap as bootstrap_of_many


def paired_bootstrap(base: np.ndarray, adapted: np.ndarray, **options: Any) -> Interval:
    """Of one metric."""
    (interval,) = bootstrap_of_many(base[:, None], adapted[:, None], **options)
    return interval


def test_equal_values_give_exactly_zero() -> None:
    values = np.random.default_rng(0).random(9)
    groups = [f"v{i % 3}" for i in range(9)]
    found = paired_bootstrap(values, values.copy(), group_of_item=groups)
    assert found == Interval(0.0, 0.0, 0.0)


def test_a_constant_gain_has_no_spread() -> None:
    base = np.array([0.0, 0.25, 0.5, 1.0, 0.75])
    found = paired_bootstrap(base, base + 0.25, group_of_item=list("aabbc"))
    assert found == Interval(0.25, 0.25, 0.25)


def test_two_groups_worked_by_hand() -> None:
    # Resamples: aa (gain 0, probability 1/4), bb (1, 1/4), ab or ba (1/4 of 4 items, 1/2).
    base, adapted = np.zeros(4), np.array([0.0, 0.0, 0.0, 1.0])
    found = paired_bootstrap(base, adapted, group_of_item=["a", "a", "a", "b"])
    assert found == Interval(0.25, 0.0, 1.0)


def test_the_numbers_of_the_default_draws() -> None:
    """Published intervals are those of 2,000 resamples of seed 0."""
    base, adapted = np.zeros(12), np.arange(12.0) ** 2
    found = paired_bootstrap(base, adapted, group_of_item=list("abcdefghijkl"))
    assert (found.difference, found.low, found.high) == pytest.approx(
        (506 / 12, 20.416666666666668, 64.41875), rel=1e-12
    )


def test_one_resample_is_enough() -> None:
    base, adapted = np.zeros(2), np.array([1.0, 1.0])
    found = paired_bootstrap(base, adapted, group_of_item=["a", "b"], num_resamples=1)
    assert found == Interval(1.0, 1.0, 1.0)


def test_groups_are_resampled_not_items() -> None:
    # 500 items, but only two videos that disagree: the interval must span both, which resampling
    # items would shrink to a few hundredths.
    adapted = np.repeat([0.0, 1.0], 250)
    groups = ["a"] * 250 + ["b"] * 250
    found = paired_bootstrap(np.zeros(500), adapted, group_of_item=groups)
    assert (found.low, found.high) == (0.0, 1.0)


def slow_bootstrap(difference: np.ndarray, groups: list[str], num: int, seed: int) -> list[float]:
    names = sorted(set(groups))
    drawn = np.random.default_rng(seed).integers(len(names), size=(num, len(names)))
    means = []
    for row in drawn:
        chosen = [names[g] for g in row]
        means.append(
            np.mean([d for c in chosen for d, g in zip(difference, groups, strict=True) if g == c])
        )
    return [float(np.percentile(means, q)) for q in (2.5, 97.5)]


def test_equal_to_a_slow_oracle() -> None:
    rng = np.random.default_rng(3)
    base, adapted = rng.random(30), rng.random(30)
    groups = [f"v{g}" for g in rng.integers(0, 7, 30)]
    found = paired_bootstrap(base, adapted, group_of_item=groups, num_resamples=200, seed=5)
    low, high = slow_bootstrap(adapted - base, groups, 200, 5)
    assert found.difference == pytest.approx(float(adapted.mean() - base.mean()))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_the_order_of_items_and_the_size_of_chunks_do_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(4)
    base, adapted = rng.random(20), rng.random(20)
    groups = [f"v{i % 6}" for i in range(20)]
    whole = paired_bootstrap(base, adapted, group_of_item=groups, num_resamples=50)
    order = rng.permutation(20)
    shuffled = paired_bootstrap(
        base[order], adapted[order], group_of_item=[groups[i] for i in order], num_resamples=50
    )
    assert shuffled.low == pytest.approx(whole.low)
    monkeypatch.setattr(intervals, "_WEIGHTS_AT_ONCE", 6 * 8)
    assert paired_bootstrap(base, adapted, group_of_item=groups, num_resamples=50) == whole


def test_undefined_intervals_are_refused() -> None:
    two = np.zeros(2)
    with pytest.raises(MetricError, match="two groups"):
        paired_bootstrap(two, two, group_of_item=["a", "a"])
    with pytest.raises(MetricError, match="not finite"):
        paired_bootstrap(two, np.array([0.0, np.nan]), group_of_item=["a", "b"])
    with pytest.raises(MetricError, match="0 resamples"):
        paired_bootstrap(two, two, group_of_item=["a", "b"], num_resamples=0)


def test_metrics_share_the_draws() -> None:
    rng = np.random.default_rng(6)
    base, adapted = rng.random((12, 2)), rng.random((12, 2))
    groups = [f"v{i % 5}" for i in range(12)]
    both = bootstrap_of_many(base, adapted, group_of_item=groups)
    alone = [paired_bootstrap(base[:, m], adapted[:, m], group_of_item=groups) for m in (0, 1)]
    assert [one.difference for one in both] == pytest.approx((adapted - base).mean(axis=0))
    assert [one.low for one in both] == pytest.approx([one.low for one in alone])
    assert [one.high for one in both] == pytest.approx([one.high for one in alone])


def test_weights_worked_by_hand() -> None:
    # Weighted gains 0 and 3 of weights 1 and 3: 3/4; resamples give 0, 1 or 3/4.
    base, adapted = np.zeros(2), np.array([0.0, 1.0])
    weights = np.array([1.0, 3.0])
    found = paired_bootstrap(base, adapted, group_of_item=["a", "b"], weight_N=weights)
    assert found == Interval(0.75, 0.0, 1.0)
    with pytest.raises(MetricError, match="weight"):
        paired_bootstrap(base, adapted, group_of_item=["a", "b"], weight_N=np.array([1.0, 0.0]))


def test_equal_weights_change_nothing() -> None:
    rng = np.random.default_rng(7)
    base, adapted = rng.random(20), rng.random(20)
    groups = [f"v{i % 6}" for i in range(20)]
    plain = paired_bootstrap(base, adapted, group_of_item=groups)
    weighted = paired_bootstrap(base, adapted, group_of_item=groups, weight_N=np.full(20, 2.5))
    assert (weighted.low, weighted.high) == pytest.approx((plain.low, plain.high))


def test_one_seed_has_the_interval_of_its_groups() -> None:
    rng = np.random.default_rng(3)
    base, adapted = rng.random((2, 20, 3))
    groups = [f"v{i % 7}" for i in range(20)]
    nested = intervals.nested_bootstrap(base[None], adapted[None], group_of_item=groups)
    assert nested == bootstrap_of_many(base, adapted, group_of_item=groups)


def test_seeds_that_agree_add_no_spread() -> None:
    rng = np.random.default_rng(4)
    base, adapted = rng.random((2, 20, 2))
    groups = [f"v{i % 7}" for i in range(20)]
    three = intervals.nested_bootstrap(
        np.stack([base] * 3), np.stack([adapted] * 3), group_of_item=groups
    )
    for found, expected in zip(
        three, bootstrap_of_many(base, adapted, group_of_item=groups), strict=True
    ):
        assert (found.difference, found.low, found.high) == pytest.approx(
            (expected.difference, expected.low, expected.high), abs=1e-12
        )


def test_the_spread_of_seeds_is_their_own() -> None:
    """Videos agree, seeds differ: two standard errors of a mean of four, each way."""
    gains = np.array([0.0, 1.0, 2.0, 5.0])
    adapted = np.repeat(gains[:, None, None], 6, axis=1)
    (found,) = intervals.nested_bootstrap(
        np.zeros_like(adapted), adapted, group_of_item=list("aabbcc"), num_resamples=20_000
    )
    error = gains.std(ddof=1) / 2
    assert found.difference == 2.0
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.1)


def test_two_seeds_worked_by_hand() -> None:
    # Both seeds (probability 1/2): 0.5. One alone (1/4 each): half off the mean, by sqrt(2).
    adapted = np.array([0.0, 1.0])[:, None, None].repeat(4, axis=1)
    (found,) = intervals.nested_bootstrap(
        np.zeros_like(adapted), adapted, group_of_item=list("aabb")
    )
    reach = 0.5 * np.sqrt(2)
    assert (found.difference, found.low, found.high) == pytest.approx(
        (0.5, 0.5 - reach, 0.5 + reach)
    )
