"""The text-only control of the SRL-swap test: how far words alone tell true from counterfeit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float64, Int64

from figclip.data.counterfeits import CounterfeitPools, Kind, build_counterfeit_pools
from figclip.data.text_features import Features, feature_difference, word_features
from figclip.metrics.blind import with_half_ties
from figclip.metrics.choice import choose
from figclip.metrics.text_only import (
    NUM_FOLDS,
    CandidatePairs,
    group_folds,
    is_fittable,
    text_only_margins,
)
from figclip.tasks.contrasts import Counterfeits
from figclip.tasks.dense_events import DenseEvents

TOO_FEW = "text-only control: too few groups of videos"
_GROUPS_OF_A_FOLD = 2
"""At least: the videos of a fold lend each other their words."""


def text_only_accuracy(
    events: DenseEvents,
    counterfeits: Mapping[Kind, Counterfeits],
    draw: Callable[[Kind, Sequence[CounterfeitPools]], Counterfeits],
) -> dict[Kind, Float64[np.ndarray, " N"]]:
    """How often a regression on words and roles prefers the true event (`metrics.text_only`).

    It is fitted on counterfeits of its own, made within each fold. Those of the test are made of
    words of all videos, so that what a held-out video says would be known from the others, and
    always as false: on VidSitu valid that gave 0.32 for manner instead of 0.55 (2026). Features
    are the event's, not the wording's: there is one result for all wordings.

    Args:
        events: The events of the test.
        counterfeits: Of every event, by kind.
        draw: Draws the counterfeits of all events once more, from one pool for each video.

    Returns:
        For each event that has a counterfeit, the share of these that it is preferred to, a tie
        being half a win. Kinds without enough videos to fit on are missing.
    """
    records = events.videos.records
    groups = [record.group for record in records]
    num_folds = min(NUM_FOLDS, len(set(groups)) // _GROUPS_OF_A_FOLD)
    if num_folds < 2:
        return {}
    fold_of_video = group_folds(groups, num_folds=num_folds)
    pools = [
        build_counterfeit_pools(records[i] for i in np.flatnonzero(fold_of_video == fold))
        for fold in range(num_folds)
    ]
    pool_of_video = [pools[fold] for fold in fold_of_video]
    fold_of_event = fold_of_video[[event.video_idx for event in events.events]]
    features = [word_features(event.event) for event in events.events]
    accuracy: dict[Kind, Float64[np.ndarray, " N"]] = {}
    for kind, tested in counterfeits.items():
        train = _pairs(features, draw(kind, pool_of_video), fold_of_event)
        test = _pairs(features, tested, fold_of_event)
        if is_fittable(train, test):
            accuracy[kind] = _accuracy(text_only_margins(train, test), tested)
    return accuracy


def _pairs(
    features: Sequence[Features], counterfeits: Counterfeits, fold_N: Int64[np.ndarray, " N"]
) -> CandidatePairs:
    """Every event with each of its counterfeits."""
    present = [
        (event_idx, counterfeit)
        for event_idx, row in enumerate(counterfeits)
        for counterfeit in row
        if counterfeit is not None
    ]
    return CandidatePairs(
        differences=[feature_difference(features[i], word_features(one)) for i, one in present],
        fold_N=fold_N[[event_idx for event_idx, _ in present]],
    )


def _accuracy(
    margins: Float64[np.ndarray, " M"], counterfeits: Counterfeits
) -> Float64[np.ndarray, " N"]:
    """The margins of all pairs, event by event."""
    present_NK = np.array([[one is not None for one in row] for row in counterfeits])
    lead_NK = np.zeros(present_NK.shape)
    lead_NK[present_NK] = -margins
    kept = present_NK.any(axis=1)
    choices = choose(np.zeros(kept.sum()), lead_NK[kept], present_NK=present_NK[kept])
    return with_half_ties(choices)
