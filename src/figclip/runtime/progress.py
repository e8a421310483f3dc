"""How functions that take long say how far they are."""

from collections.abc import Callable

CountProgress = Callable[[int, int], None]
"""Told how many items are done, and how many there are."""
Progress = Callable[[str, int, int], None]
"""Told the name of a stage, how many of its items are done, and how many there are."""
DetailedProgress = Callable[[str, int, int, str], None]
"""Told the same, and what else there is to say, for example the loss."""


def no_progress(*told: object) -> None:
    """Say nothing: for callers who did not ask."""
