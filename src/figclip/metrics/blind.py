"""The blind control of choosing: every item judged by videos that are not its own.

What a model gets right there it gets right without looking at the video.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from figclip.errors import MetricError
from figclip.metrics.choice import Choices, choose
from figclip.metrics.lots import Lots

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

    Args:
        true_N: Each item's true text. Texts are equal to the letter: a model may know case.
        false_N: Its false texts; an item with several has no mirror image.

    Returns:
        Pairs of positions, in the order in which they are completed.
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
    keep theirs (`metrics.lots`).

    Args:
        items: Name of each item.
        groups: Group of each.
        mirrored: As `mirrored_pairs` finds them. A pair for which no video is foreign to both is
            given up.
        num_foreign: Videos an item, >= 1; fewer where there are not so many.
        seed: Of the draws.

    Returns:
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

    Args:
        lead_NFK: Score of each negative minus that of the positive, under each foreign video.
        control: The videos.
        present_NK: False where there is no such negative.

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
    """Demand that mirrored items are at 50 % without looking.

    Raises:
        MetricError: a pair that is not.
    """
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
