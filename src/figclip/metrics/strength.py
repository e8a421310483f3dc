"""The strength of an adaptation, chosen by what it gains and what it surely does not cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from figclip.errors import MetricError
from figclip.metrics.intervals import group_sums, resamples_at_once

MAX_MEAN_LOSS, MAX_TEST_LOSS = 0.01, 0.02
"""Largest bounds of the loss that a strength may have: on the mean of the tests, on each."""
CONFIDENCE = 0.95
NUM_RESAMPLES = 2000
STRENGTHS = tuple(step / 100 for step in range(101))
"""What is chosen from; steps so small that other data of the same kind move the choice little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrengthBlock:
    """One number of a test at several strengths, item by item; higher is better.

    The first column is the base. Equal names are one group in all blocks. Weights in the mean are
    above 0; None: all equal.
    """

    value_NS: Float64[np.ndarray, "N S"]
    group_of_item: tuple[str, ...]
    weight_N: Float64[np.ndarray, " N"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPoint:
    """A kept test at one strength, in fractions; the score is the mean of its blocks' means.

    A gain is a negative loss against the base; the bound is one-sided, of the smoothed loss.
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
        loss_bound: One-sided upper bound of that mean, smoothed.
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


def smooth_gains(
    gain_XS: Float64[np.ndarray, "*X S"], alpha_S: Float64[np.ndarray, " S"]
) -> Float64[np.ndarray, "*X A"]:
    """Gains over the base at all `STRENGTHS`, smoothed over those that were scored.

    A parabola through the base, by least squares. A score at one strength moves by a point with
    another drawing of a thousand items, and with it, unsmoothed, the strength that is chosen; the
    curve moves less. The variance of a difference between models grows with the number of items
    they disagree on, about in proportion to the strength: so are points weighted.
    """
    assert len(alpha_S) >= 2 and (alpha_S > 0).all()
    powers_SP = np.stack([alpha_S, alpha_S**2], axis=1)
    root_weight_S = alpha_S**-0.5
    fit_PS = np.linalg.pinv(powers_SP * root_weight_S[:, None]) * root_weight_S
    grid_A = np.array(STRENGTHS)
    return gain_XS @ (np.stack([grid_A, grid_A**2], axis=1) @ fit_PS).T


def choose_strength_idx(bounds: LossBounds, detail_A: Float64[np.ndarray, " A"] | None) -> int:
    """The most detail among the strengths that keep enough; of equal ones the smallest.

    A strength keeps enough if the bounds of its loss, and of that of every smaller one, are within
    `MAX_MEAN_LOSS` and `MAX_TEST_LOSS`. Where detail was not measured, it is the largest of these:
    detail is what is trained, and grew with the strength wherever it was measured (LOG.md).

    Returns:
        Index in `STRENGTHS`; 0 is the base.
    """
    within_A = (bounds.mean_bound_A <= MAX_MEAN_LOSS) & (bounds.bound_KA <= MAX_TEST_LOSS).all(0)
    num_kept = len(within_A) if within_A[1:].all() else 1 + int(np.argmin(within_A[1:]))
    if detail_A is None:
        return num_kept - 1
    return int(np.argmax(detail_A[:num_kept]))


def unseen_loss(num_groups: int) -> float:
    """The largest loss that so many groups may all miss, with confidence `CONFIDENCE`.

    If a share of this size of all items were lost, a sample of this many groups would show none of
    them once in twenty times. A limit below it cannot be proven, whatever is observed.

    Source:
        The exact binomial bound for no event in n trials, about 3 / n (the rule of three).
    """
    return 1 - (1 - CONFIDENCE) ** (1 / num_groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossBounds:
    """Upper bounds of the smoothed losses of K kept tests, and of their mean, by strength."""

    bound_KA: Float64[np.ndarray, "K A"]
    mean_bound_A: Float64[np.ndarray, " A"]


def bound_losses(
    tests: Sequence[Sequence[StrengthBlock]],
    *,
    alphas: Sequence[float],
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> LossBounds:
    """How much each strength loses against the base, at most, with confidence `CONFIDENCE`.

    Paired: all strengths see the same resamples. Bayesian bootstrap over groups (Rubin 1981): each
    group gets a random weight instead of being drawn so many times. Tests that share groups are
    resampled together, and no resample leaves a small test without items. The losses of every
    resample are smoothed over the strengths (`smooth_gains`).

    A test's score is the mean of its blocks' means; `alphas` are the strengths of the blocks'
    columns, the base first.

    Raises:
        MetricError: a test without blocks, or as `intervals.group_sums`.
    """
    if not all(tests):
        raise MetricError("a test has no number that stands for it", fix="Leave it out.")
    names = dict.fromkeys(name for test in tests for block in test for name in block.group_of_item)
    idx_of = {name: idx for idx, name in enumerate(names)}
    sums = [[_sums(block, idx_of) for block in test] for test in tests]
    rng = np.random.default_rng(seed)
    scores: list[Float64[np.ndarray, "K R S"]] = []
    for num in resamples_at_once(num_resamples, num_groups=len(names)):
        weight_RG = rng.exponential(size=(num, len(names)))
        means = [[_means(one, weight_RG) for one in test] for test in sums]
        scores.append(np.stack([np.mean(one, axis=0) for one in means]))
    score_KRS = np.concatenate(scores, axis=1)
    loss_KRA = smooth_gains(score_KRS[..., :1] - score_KRS[..., 1:], np.array(alphas[1:]))
    percent = 100 * CONFIDENCE
    return LossBounds(
        bound_KA=np.percentile(loss_KRA, percent, axis=1),
        mean_bound_A=np.percentile(loss_KRA.mean(axis=0), percent, axis=0),
    )


def _sums(block: StrengthBlock, idx_of: Mapping[str, int]) -> Float64[np.ndarray, "G S1"]:
    """Sums over the groups of all tests; 0 for those that the block has no item of."""
    group_N = np.array([idx_of[name] for name in block.group_of_item])
    return group_sums(block.value_NS, group_N, weight_N=block.weight_N, num_groups=len(idx_of))


def _means(
    sum_GS: Float64[np.ndarray, "G S1"], weight_RG: Float64[np.ndarray, "R G"]
) -> Float64[np.ndarray, "R S"]:
    """Mean of a block at each strength, with weighted groups."""
    return (weight_RG @ sum_GS[:, :-1]) / (weight_RG @ sum_GS[:, -1])[:, None]
