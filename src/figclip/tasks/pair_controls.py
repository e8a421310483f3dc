"""The controls of true and false captions: what is got right blindly, and from words alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
from jaxtyping import Float64, Int64

from figclip.data.benchmarks.records import Contrast
from figclip.metrics.blind import mirrored_pairs
from figclip.metrics.lots import Lots
from figclip.metrics.text_only import (
    NUM_FOLDS,
    CandidatePairs,
    group_folds,
    is_fittable,
    text_only_margins,
)

Key = TypeVar("Key", bound=Hashable)

NO_FOREIGN = "blind control: a group without a foreign image or video"
TOO_FEW = "text-only control: too few groups"
_TOKEN = re.compile(r"\w+|[^\w\s]")
"""Words, and each mark by itself: a full stop may give a caption away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairControls:
    """What is needed for the controls; none of it depends on the model.

    Attributes:
        foreign_N: The item whose medium is shown in place of each item's own; None where a group
            has no foreign one.
        mirrored: Pairs of items of one group that exchange their only true and only false caption.
        text_only_N: 1 for each item that a regression on words gets right, a tie being half; None
            with too few groups.
    """

    foreign_N: Int64[np.ndarray, " N"] | None
    mirrored: tuple[tuple[int, int], ...]
    text_only_N: Float64[np.ndarray, " N"] | None


def make_controls(
    items: Sequence[Contrast], clip_N: Sequence[int], *, listed: Sequence[Contrast], seed: int
) -> PairControls:
    """The controls of a set.

    Args:
        items: Those whose media are there, of one medium each.
        clip_N: What each item's medium shows; equal for equal files.
        listed: All items of the set, which the regression on words is fitted on.
        seed: Of the foreign media.
    """
    position_of = {item.id: position for position, item in enumerate(listed)}
    text_only_M = text_only_accuracy(listed)
    return PairControls(
        foreign_N=draw_foreign_media(
            [item.id for item in items], [item.group for item in items], clip_N, seed=seed
        ),
        mirrored=_mirrored_in_groups(items),
        text_only_N=None
        if text_only_M is None
        else text_only_M[[position_of[item.id] for item in items]],
    )


def draw_foreign_media(
    items: Sequence[str], groups: Sequence[str], clip_N: Sequence[int], *, seed: int
) -> Int64[np.ndarray, " N"] | None:
    """Draw one item for each group, evenly among those of other groups and other media.

    All items of a group are shown its medium. So if each sentence of a group is true once and
    false once, what is won without looking is lost as often: half of the items are right, but for
    ties.

    The draw depends on the names of the group and of the item drawn, not on which others are there
    (`metrics.lots`).

    Args:
        items: Name of each item.
        groups: Group of each.
        clip_N: What each item's medium shows.
        seed: Of the draws.

    Returns:
        None where a group has nothing foreign.
    """
    items_of_clip = _positions(clip_N)
    lots = Lots(items, seed=seed)
    foreign_N = np.empty(len(groups), np.int64)
    for group, members in _positions(groups).items():
        allowed_N = np.ones(len(groups), np.bool_)
        allowed_N[members] = False
        for item in members:
            allowed_N[items_of_clip[clip_N[item]]] = False
        drawn = lots.draw(group, allowed_N=allowed_N, num_drawn=1)
        if not len(drawn):
            return None
        foreign_N[members] = drawn[0]
    return foreign_N


def text_only_accuracy(items: Sequence[Contrast]) -> Float64[np.ndarray, " N"] | None:
    """Which items a regression on words gets right (`metrics.text_only`), by the rule of the task.

    It knows the words of a caption and which of two comes before the other, so that who does it to
    whom is seen. It is fitted on the items of other groups, as many folds as there can be up to
    `NUM_FOLDS`. False captions made of words of other groups can push it below chance: what is true
    of one group is then known from the others as false.

    Args:
        items: With their captions.

    Returns:
        1 where every true caption is preferred to every false one, 1/2 where none is lost but some
        tie, else 0; None with too few groups to fit on.
    """
    groups = [item.group for item in items]
    num_folds = min(NUM_FOLDS, len(set(groups)))
    if num_folds < 2:
        return None
    known: dict[str, frozenset[str]] = {
        text: _word_features(text) for item in items for text in (*item.positives, *item.negatives)
    }
    compared = [
        (item_idx, _difference(known[true], known[false]))
        for item_idx, item in enumerate(items)
        for true in item.positives
        for false in item.negatives
    ]
    item_M = np.array([item_idx for item_idx, _ in compared])
    pairs = CandidatePairs(
        differences=[difference for _, difference in compared],
        fold_N=group_folds(groups, num_folds=num_folds)[item_M],
    )
    if not is_fittable(pairs, pairs):
        return None
    margin_M = text_only_margins(pairs, pairs)
    lowest_N = np.minimum.reduceat(margin_M, np.searchsorted(item_M, np.arange(len(items))))
    return (np.sign(lowest_N) + 1) / 2


def _word_features(text: str) -> frozenset[str]:
    """Every word, and every pair of words of which the first comes before the second."""
    words: list[str] = _TOKEN.findall(text.casefold())
    return frozenset(words) | {f"{first} … {second}" for first, second in combinations(words, 2)}


def _difference(first: frozenset[str], second: frozenset[str]) -> Mapping[str, float]:
    """Features of the first minus those of the second; sorted, as sums differ with their order."""
    return {name: 1.0 if name in first else -1.0 for name in sorted(first ^ second)}


def _mirrored_in_groups(items: Sequence[Contrast]) -> tuple[tuple[int, int], ...]:
    """Pairs of positions of items of one group that ask the same the other way round."""
    pairs: list[tuple[int, int]] = []
    for members in _positions([item.group for item in items]).values():
        single = [i for i in members if len(items[i].positives) == 1]
        found = mirrored_pairs(
            [items[i].positives[0] for i in single],
            [frozenset(items[i].negatives) for i in single],
        )
        pairs += ((single[first], single[second]) for first, second in found)
    return tuple(pairs)


def _positions(keys: Sequence[Key]) -> dict[Key, list[int]]:
    """Where each key is found."""
    positions: defaultdict[Key, list[int]] = defaultdict(list)
    for position, key in enumerate(keys):
        positions[key].append(position)
    return dict(positions)
