"""Choose between a true item and its counterfeits, and the two controls of such a choice.

Blind: judge each item by videos that are not its own. What a model gets right there, it gets right
without looking at the video. Text-only: tell true from counterfeit by the words alone.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, UInt64
from sklearn.feature_extraction import DictVectorizer  # pyright: ignore[reportMissingTypeStubs]
from sklearn.linear_model import LogisticRegression  # pyright: ignore[reportMissingTypeStubs]
from sklearn.model_selection import GroupKFold  # pyright: ignore[reportMissingTypeStubs]

from figclip.errors import MetricError


@dataclass(frozen=True, slots=True)
class Choices:
    """What became of each item, in [0, 1].

    Attributes:
        accuracy_N: Share of the item's negatives that score strictly below its positive. Chance is
            0.5 for a model that guesses, 0 for one that finds everything equal.
        ties_N: Share of the item's negatives that score exactly as its positive.
    """

    accuracy_N: Float64[np.ndarray, " N"]
    ties_N: Float64[np.ndarray, " N"]


def choose(
    positive_N: Float[np.ndarray, " N"],
    negative_NK: Float[np.ndarray, "N K"],
    *,
    present_NK: Bool[np.ndarray, "N K"],
) -> Choices:
    """Compare each positive with each of its negatives, one pair at a time.

    Every item counts once in a mean of the result, however many negatives it has.

    Where `present_NK` is False there is no such negative, and its score is not read.

    Raises:
        MetricError: no item, an item without any negative, or a score that is not finite.
    """
    assert negative_NK.shape == present_NK.shape and len(positive_N) == len(negative_NK)
    if not len(positive_N):
        raise MetricError("there is no item to choose for")
    count_N = present_NK.sum(axis=1)
    if not count_N.all():
        raise MetricError(
            "has no negative", where=f"item {int(np.argmin(count_N))}", fix="Leave it out."
        )
    if not (np.isfinite(positive_N).all() and np.isfinite(negative_NK[present_NK]).all()):
        raise MetricError(
            "a score is not finite", fix="Look at the model: its embeddings overflow or are NaN."
        )
    won_NK = present_NK & (positive_N[:, None] > negative_NK)
    tied_NK = present_NK & (positive_N[:, None] == negative_NK)
    return Choices(won_NK.sum(axis=1) / count_N, tied_NK.sum(axis=1) / count_N)


_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT = 31


class Lots:
    """Lots of N items, by which a draw does not depend on who else is there.

    A shared random generator gives every item other draws as soon as one item is missing. Here each
    pair of a drawer and an item has a lot of its own, by seed, and the lowest lots win: someone who
    lacks a few videos still draws the same of those that are there. Of equal names the earlier item
    is drawn first.

    Source:
        Rendezvous hashing (Thaler and Ravishankar 1998). Bits are mixed as SplitMix64 does
        (Steele, Lea and Flood 2014).
    """

    def __init__(self, names: Sequence[str], *, seed: int) -> None:
        self._seed = seed
        self._key_N = np.array([_key(f"item/{name}") for name in names], np.uint64)

    def draw(
        self, drawer: str, *, allowed_N: Bool[np.ndarray, " N"], num_drawn: int
    ) -> Int64[np.ndarray, " _"]:
        """Positions of the items drawn, lowest lot first; each is as likely as any.

        Fewer than `num_drawn` are drawn where not so many are allowed.
        """
        (position_M,) = np.nonzero(allowed_N)
        lot_M = self._lots(drawer)[position_M]
        if num_drawn < len(lot_M):
            # Only these can be among the lowest: the rest need not be sorted.
            limit = np.partition(lot_M, num_drawn - 1)[num_drawn - 1]
            position_M, lot_M = position_M[lot_M <= limit], lot_M[lot_M <= limit]
        return position_M[np.argsort(lot_M, kind="stable")][:num_drawn]

    def _lots(self, drawer: str) -> UInt64[np.ndarray, " N"]:
        """A number for each item, as good as random."""
        lot_N = self._key_N ^ np.uint64(_key(f"drawer/{self._seed}/{drawer}"))
        for shift, multiplier in _ROUNDS:
            lot_N = (lot_N ^ (lot_N >> np.uint64(shift))) * np.uint64(multiplier)
        return lot_N ^ (lot_N >> np.uint64(_LAST_SHIFT))


def _key(name: str) -> int:
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest)


_NONE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindControl:
    """Which videos each item is judged by.

    Attributes:
        foreign_NF: Items of other groups whose videos are shown in place of each item's own; -1
            where there are fewer. Every item has at least one.
        mirrored: Pairs of items whose true and false text are exchanged. Both see the same videos,
            so that what one of them wins without looking the other loses.
    """

    foreign_NF: Int64[np.ndarray, "N F"]
    mirrored: tuple[tuple[int, int], ...]


def mirrored_pairs(
    true_N: Sequence[str], false_N: Sequence[frozenset[str]]
) -> tuple[tuple[int, int], ...]:
    """Pairs of items, each item in one at most, that ask the same question the other way round.

    Texts are equal to the letter: a model may know case. An item with several false texts has no
    mirror image.
    """
    waiting: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    pairs: list[tuple[int, int]] = []
    for item, (true, false) in enumerate(zip(true_N, false_N, strict=True)):
        if len(false) != 1:
            continue
        (only,) = false
        if mirror := waiting[only, true]:
            pairs.append((mirror.pop(0), item))
        else:
            waiting[true, only].append(item)
    return tuple(pairs)


def draw_foreign_items(
    items: Sequence[str],
    groups: Sequence[str],
    *,
    mirrored: Sequence[tuple[int, int]],
    num_foreign: int,
    seed: int,
) -> BlindControl | None:
    """Draw the videos that each item is judged by, evenly among the items of other groups.

    They depend on the names of the item and of those drawn: where an item is missing, the others
    keep theirs (`Lots`).

    A mirrored pair for which no video is foreign to both is given up. Items get fewer than
    `num_foreign` videos where there are not so many.

    None when all items are of one group.
    """
    assert num_foreign >= 1
    sizes = Counter(groups)
    if len(sizes) < 2:
        return None
    kept = tuple(
        pair for pair in mirrored if sum(sizes[g] for g in {groups[i] for i in pair}) < len(groups)
    )
    paired = {item for pair in kept for item in pair}
    sharing = [*kept, *((item,) for item in range(len(groups)) if item not in paired)]
    lots = Lots(items, seed=seed)
    number_of = {group: number for number, group in enumerate(sizes)}
    group_N = np.array([number_of[group] for group in groups])
    foreign_NF = np.full((len(groups), num_foreign), _NONE, np.int64)
    for members in sharing:
        own = group_N[list(members)]
        foreign = lots.draw(
            "/".join(sorted(items[item] for item in members)),
            allowed_N=(group_N[:, None] != own).all(axis=1),
            num_drawn=num_foreign,
        )
        foreign_NF[list(members), : len(foreign)] = foreign
    return BlindControl(foreign_NF=foreign_NF, mirrored=kept)


def choose_blindly(
    lead_NFK: Float[np.ndarray, "N F K"],
    *,
    control: BlindControl,
    present_NK: Bool[np.ndarray, "N K"],
) -> Choices:
    """Compare positives and negatives under foreign videos; each item's mean over its videos.

    Ties are no wins, as under the own video: a model that finds everything equal scores 0 in both
    and gains nothing. Of mirrored items 50 % are demanded, where a tie is half a win.

    `lead_NFK` is the score of each negative minus that of the positive, under each foreign video.

    Raises:
        MetricError: as `choose`, or mirrored items that are not at 50 %: then a text did not
            score the same under the same video.
    """
    seen_NFK = (control.foreign_NF != _NONE)[:, :, None] & present_NK[:, None, :]
    num_items = len(lead_NFK)
    # All of an item's comparisons at once, as whole numbers: the same share under every video
    # is then exactly that share, and a model that does not look gains exactly nothing.
    choices = choose(
        np.zeros(num_items),
        lead_NFK.reshape(num_items, -1),
        present_NK=seen_NFK.reshape(num_items, -1),
    )
    check_mirrored(choices, control.mirrored)
    return choices


def check_mirrored(choices: Choices, mirrored: Sequence[tuple[int, int]]) -> None:
    """Demand that mirrored items are at 50 % without looking; else a `MetricError`."""
    half_N = with_half_ties(choices)
    for first, second in mirrored:
        if not np.isclose(half_N[first] + half_N[second], 1.0):
            raise MetricError(
                "two mirrored items are not at 50 % under the same videos",
                where=f"items {first} and {second}",
                fix="Look at the model: it scores one text differently at different times.",
            )


def with_half_ties(choices: Choices) -> Float64[np.ndarray, " N"]:
    """Accuracy where a tie is half a win."""
    return choices.accuracy_N + choices.ties_N / 2


NUM_FOLDS = 5
_MAX_STEPS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidatePairs:
    """Pairs of a true candidate and a counterfeit.

    `differences`: Features of the true candidate minus those of the counterfeit, by name.
    """

    differences: Sequence[Mapping[str, float]]
    fold_N: Int64[np.ndarray, " N"]


def group_folds(groups: Sequence[str], *, num_folds: int) -> Int64[np.ndarray, " N"]:
    """Fold of each item; a group is in one fold, and folds are about equally large.

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
    fold of the test pairs is scored by a regression on the training pairs of the other folds, which
    must be enough (`is_fittable`). If these are made of words of all folds, what is held out is
    seen in training, as counterfeits only, and accuracies come out far below chance.

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
    test_NW: Any = train_NW if test is train else vectorizer.transform(test.differences)
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
