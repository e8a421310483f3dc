"""How functions that take long say how far they are."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

CountProgress = Callable[[int, int], None]
"""Told how many items are done, and how many there are."""
Progress = Callable[[str, int, int], None]
"""Told the name of a stage, how many of its items are done, and how many there are."""


@runtime_checkable
class DetailedProgress(Protocol):
    """Told the same, and what else there is to say, for example the loss."""

    def __call__(self, stage: str, done: int, total: int, detail: str = "", /) -> None:
        """Take note of it."""
        ...


def no_progress(*told: object) -> None:
    """Say nothing: for callers who did not ask."""
