"""Telling true captions from counterfeits by their words alone, as a control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from sklearn.feature_extraction import DictVectorizer  # pyright: ignore[reportMissingTypeStubs]
from sklearn.linear_model import LogisticRegression  # pyright: ignore[reportMissingTypeStubs]
from sklearn.model_selection import GroupKFold  # pyright: ignore[reportMissingTypeStubs]

from figclip.errors import MetricError

NUM_FOLDS = 5
_MAX_STEPS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidatePairs:
    """Pairs of a true candidate and a counterfeit.

    Attributes:
        differences: Features of the true candidate minus those of the counterfeit, by name.
        fold_N: Fold of each pair.
    """

    differences: Sequence[Mapping[str, float]]
    fold_N: Int64[np.ndarray, " N"]


def group_folds(groups: Sequence[str], *, num_folds: int) -> Int64[np.ndarray, " N"]:
    """Fold of each item; a group is in one fold, and folds are about equally large.

    Args:
        groups: Group of each item.
        num_folds: >= 2.

    Raises:
        MetricError: fewer groups than folds.
    """
    assert num_folds >= 2
    if len(set(groups)) < num_folds:
        raise MetricError(f"{len(set(groups))} groups cannot make {num_folds} folds")
    fold_N = np.empty(len(groups), np.int64)
    folds: Any = GroupKFold(num_folds)
    splits = folds.split(np.zeros(len(groups)), groups=np.asarray(groups))
    for fold, (_, held_out) in enumerate(splits):
        fold_N[held_out] = fold
    return fold_N


def is_fittable(train: CandidatePairs, test: CandidatePairs) -> bool:
    """Whether there is something to score, and for each of its folds two pairs to fit on."""
    num_fitted = [int((train.fold_N != fold).sum()) for fold in np.unique(test.fold_N)]
    return min(num_fitted, default=0) >= 2


def text_only_margins(train: CandidatePairs, test: CandidatePairs) -> Float64[np.ndarray, " N"]:
    """By how much a regression on the text prefers the true candidate of each test pair.

    A logistic regression (L2, C = 1) on the difference of the two candidates' features, without
    intercept: the score of a candidate depends on itself alone, and what both share cancels. Every
    fold of the test pairs is scored by a regression on the training pairs of the other folds.

    Args:
        train: Pairs to fit on, enough of them (`is_fittable`). If these are made of words of all
            folds, what is held out is seen in training, as counterfeits only, and accuracies come
            out far below chance.
        test: Pairs to score.

    Returns:
        Positive where the true candidate is preferred; 0 where nothing known tells them apart.

    """
    assert is_fittable(train, test), "ask is_fittable first"
    margin_N = np.zeros(len(test.differences))
    if not any(train.differences):
        return margin_N
    # scikit-learn comes without types.
    vectorizer: Any = DictVectorizer()
    train_NW: Any = vectorizer.fit_transform(train.differences)
    test_NW: Any = vectorizer.transform(test.differences)
    for fold in np.unique(test.fold_N):
        fitted = np.flatnonzero(train.fold_N != fold)
        held_out = np.flatnonzero(test.fold_N == fold)
        # Every other pair is turned around: the loss is the same, and there are two classes.
        sign_N = np.where(np.arange(len(fitted)) % 2, 1.0, -1.0)
        model: Any = LogisticRegression(
            solver="liblinear", fit_intercept=False, max_iter=_MAX_STEPS
        )
        model.fit(train_NW[fitted].multiply(sign_N[:, None]).tocsr(), sign_N)
        margin_N[held_out] = test_NW[held_out] @ model.coef_[0]
    return margin_N
