"""What is trained on, what chooses the checkpoint, and what is only ever reported."""

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from figclip.errors import DataError

TRAIN_SPLIT = "train"
"""What is trained on; also the split of own annotations that name none."""
EVALUATED_SPLIT = "valid"
"""What is evaluated unless told otherwise, where the annotations have it."""
MIN_GROUPS = 40
"""Fewer groups than this are too few to choose by: nothing is held back, nothing is chosen."""


@runtime_checkable
class Grouped(Protocol):
    """What is known of a video before its annotations are read."""

    @property
    def split(self) -> str:
        """The official one, or what the user calls it."""
        ...

    @property
    def group(self) -> str:
        """Videos of one group are never parted."""
        ...


@dataclass(frozen=True, slots=True)
class TrainingSplit:
    """Indices of the videos of the train split, in order.

    `val`: Held back to choose the checkpoint; empty when that would be too few groups.
    """

    train: tuple[int, ...]
    val: tuple[int, ...]


def split_training(records: Sequence[Grouped], *, val_fraction: float) -> TrainingSplit:
    """Hold back whole groups of the train split, chosen by the hash of their names.

    Other splits than `train` are never trained on. `val_fraction` is a share of the groups; 0 holds
    nothing back.

    Raises:
        DataError: no video of the train split.
    """
    members = [i for i, record in enumerate(records) if record.split == TRAIN_SPLIT]
    if not members:
        splits = Counter(record.split for record in records)
        listed = ", ".join(f"{name} ({count})" for name, count in sorted(splits.items()))
        raise DataError(
            f"no video of split {TRAIN_SPLIT!r} is ready, only of {listed or 'none'}",
            where="--data",
            fix="Adaptation trains on the train split only: prepare its videos.",
        )
    held_back = held_back_groups({records[i].group for i in members}, val_fraction=val_fraction)
    return TrainingSplit(
        train=tuple(i for i in members if records[i].group not in held_back),
        val=tuple(i for i in members if records[i].group in held_back),
    )


def held_back_groups(groups: Collection[str], *, val_fraction: float) -> frozenset[str]:
    """The groups with the lowest hashes, as many as make up the fraction.

    The choice depends on no seed, so that runs of different seeds can be compared.

    None is held back where the fraction is fewer than `MIN_GROUPS`.
    """
    num_val = round(val_fraction * len(groups))
    if num_val < MIN_GROUPS:
        return frozenset()

    def order(group: str) -> bytes:  # has nothing to do with the name
        return hashlib.blake2b(group.encode(), digest_size=16).digest()

    return frozenset(sorted(groups, key=order)[:num_val])


def why_none_held_back(num_groups: int, *, val_fraction: float, setting: str) -> str:
    """Say why nothing is held back, and what would change it."""
    num_val = round(val_fraction * num_groups)
    why = f"Nothing is held back: {num_val} of {num_groups} groups of videos ({val_fraction:g}) "
    why += f"would be too few to choose by ({MIN_GROUPS} are needed). The last step is kept."
    if num_groups < 2 * MIN_GROUPS:
        return why
    return f"{why} Set {setting}={math.ceil(100 * MIN_GROUPS / num_groups) / 100:g} to choose."
