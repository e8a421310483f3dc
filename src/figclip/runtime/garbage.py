"""Python's search for garbage in cycles, which costs where very much is made that has none."""

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Generator[None]:
    """No search meanwhile: it goes through all there is, again and again while that grows.

    For making many objects that do not refer to each other in cycles, such as records.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
