"""The strength of an adaptation, chosen by what it gains and what it surely does not cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from figclip.errors import MetricError

MAX_MEAN_LOSS, MAX_TEST_LOSS = 0.01, 0.02
"""Largest bounds of the loss that a strength may have: on the mean of the tests, on each."""
CONFIDENCE = 0.95
NUM_RESAMPLES = 2000

_WEIGHTS_AT_ONCE = 2_000_000
"""Random weights held at once: 16 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrengthBlock:
    """One number of a test at several strengths, item by item.

    Attributes:
        value_NA: Values of each item, a column a strength, the base first; higher is better.
        group_of_item: Name of each item's group; equal names are one group in all blocks.
        weight_N: Weight of each item in the mean, > 0; None: all equal.
    """

    value_NA: Float64[np.ndarray, "N A"]
    group_of_item: tuple[str, ...]
    weight_N: Float64[np.ndarray, " N"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPoint:
    """A kept test at one strength, in fractions.

    Attributes:
        score: Mean of its blocks' means.
        loss: Score of the base minus this; negative for a gain.
        loss_bound: One-sided upper bound of the loss.
    """

    score: float
    loss: float
    loss_bound: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StrengthPoint:
    """What is known of one strength, in fractions.

    Attributes:
        alpha: The strength; 0 is the base.
        detail: Mean of its parts; None where nothing was held back to measure it.
        detail_parts: Scores on val, by name.
        kept: Mean of the scores of the kept tests.
        loss: Mean of their losses.
        loss_bound: One-sided upper bound of that mean.
        tests: By name.
    """

    alpha: float
    detail: float | None
    detail_parts: Mapping[str, float]
    kept: float
    loss: float
    loss_bound: float
    tests: Mapping[str, KeptPoint]

    @property
    def qualifies(self) -> bool:
        """Whether what it costs is within the limits; the base costs nothing."""
        return self.alpha == 0 or not self.excess

    @property
    def excess(self) -> tuple[str, ...]:
        """Which losses may be beyond their limit, in words."""
        limits = [("the mean of the kept tests", self.loss_bound, MAX_MEAN_LOSS)]
        limits += ((name, one.loss_bound, MAX_TEST_LOSS) for name, one in self.tests.items())
        return tuple(
            f"{name} may lose {100 * bound:.1f} points (limit {100 * limit:g})"
            for name, bound, limit in limits
            if bound > limit
        )


def choose_point(curve: Sequence[StrengthPoint]) -> StrengthPoint:
    """The most detail among the strengths that qualify; of equal ones the smallest strength.

    Where detail was not measured, the largest strength that qualifies: detail is what is trained,
    and grew with the strength wherever it was measured until it levelled off (LOG.md).

    Args:
        curve: Any order; strength 0 is among them.
    """

    def merit(point: StrengthPoint) -> tuple[float, float]:
        if point.detail is None:
            return point.alpha, 0.0
        return point.detail, -point.alpha

    return max((point for point in curve if point.qualifies), key=merit)


def unseen_loss(num_groups: int) -> float:
    """The largest loss that so many groups may all miss, with confidence `CONFIDENCE`.

    If a share of this size of all items were lost, a sample of this many groups would show none of
    them once in twenty times. A limit below it cannot be proven, whatever is observed.

    Args:
        num_groups: >= 1.

    Source:
        The exact binomial bound for no event in n trials, about 3 / n (the rule of three).
    """
    return 1 - (1 - CONFIDENCE) ** (1 / num_groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossBounds:
    """Scores and losses of kept tests. K tests, A strengths.

    Attributes:
        score_KA: Mean of each test's blocks.
        bound_KA: Upper bound of each test's loss.
        mean_bound_A: Upper bound of the mean loss.
    """

    score_KA: Float64[np.ndarray, "K A"]
    bound_KA: Float64[np.ndarray, "K A"]
    mean_bound_A: Float64[np.ndarray, " A"]


def bound_losses(
    tests: Sequence[Sequence[StrengthBlock]], *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> LossBounds:
    """How much each strength loses against the first, at most, with confidence `CONFIDENCE`.

    Paired: all strengths see the same resamples. Bayesian bootstrap over groups (Rubin 1981): each
    group gets a random weight instead of being drawn so many times. Tests that share groups are
    resampled together, and no resample leaves a small test without items.

    Args:
        tests: Blocks of each test; a test's score is the mean of their means.
        num_resamples: Number of resamples, >= 1.
        seed: Of the random weights.

    Raises:
        MetricError: a test without blocks, a value that is not finite, a weight that is not
            positive, or fewer than two groups in a block, of which nothing can be said.
    """
    if not all(tests):
        raise MetricError("a test has no number that stands for it", fix="Leave it out.")
    names = dict.fromkeys(name for test in tests for block in test for name in block.group_of_item)
    idx_of = {name: idx for idx, name in enumerate(names)}
    sums = [[_group_sums(block, idx_of) for block in test] for test in tests]
    score_KA = _means(sums, np.ones((1, len(names))))[:, 0]
    score_KRA = np.concatenate(
        [
            _means(sums, weight_RG)
            for weight_RG in _random_weights(num_resamples, len(names), seed=seed)
        ],
        axis=1,
    )
    loss_KRA = score_KRA[..., :1] - score_KRA
    percent = 100 * CONFIDENCE
    return LossBounds(
        score_KA=score_KA,
        bound_KA=np.percentile(loss_KRA, percent, axis=1),
        mean_bound_A=np.percentile(loss_KRA.mean(axis=0), percent, axis=0),
    )


@dataclass(frozen=True, slots=True)
class _GroupSums:
    """Weighted sums of a block's values over each group, and of its weights."""

    value_GA: Float64[np.ndarray, "G A"]
    weight_G: Float64[np.ndarray, " G"]


def _group_sums(block: StrengthBlock, idx_of: Mapping[str, int]) -> _GroupSums:
    """Sums over the groups of all tests; 0 for those that the block has no item of."""
    if not np.isfinite(block.value_NA).all():
        raise MetricError("a value is not finite", fix="Look at the per-item scores.")
    weight_N = np.ones(len(block.value_NA)) if block.weight_N is None else block.weight_N
    if not (weight_N > 0).all():
        raise MetricError("a weight is not positive")
    if (num_groups := len(set(block.group_of_item))) < 2:
        raise MetricError(f"a bound needs at least two groups of items, not {num_groups}")
    group_N = np.array([idx_of[name] for name in block.group_of_item])
    columns = [
        np.bincount(group_N, weights=column, minlength=len(idx_of))
        for column in (*(block.value_NA.T * weight_N), weight_N)
    ]
    return _GroupSums(np.stack(columns[:-1], axis=1), columns[-1])


def _means(
    sums: Sequence[Sequence[_GroupSums]], weight_RG: Float64[np.ndarray, "R G"]
) -> Float64[np.ndarray, "K R A"]:
    """Score of each test at each strength, with weighted groups."""
    return np.stack(
        [
            np.mean(
                [
                    (weight_RG @ block.value_GA) / (weight_RG @ block.weight_G)[:, None]
                    for block in test
                ],
                axis=0,
            )
            for test in sums
        ]
    )


def _random_weights(
    num_resamples: int, num_groups: int, *, seed: int
) -> Iterator[Float64[np.ndarray, "R G"]]:
    """Weights of all groups in all resamples, some resamples at a time."""
    rng = np.random.default_rng(seed)
    rows = max(1, _WEIGHTS_AT_ONCE // num_groups)
    for start in range(0, num_resamples, rows):
        yield rng.exponential(size=(min(rows, num_resamples - start), num_groups))
