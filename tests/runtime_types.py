"""Switches the tests' run-time type checker off, where a test gives values of wrong types."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jaxtyping


@contextmanager
def without_runtime_types() -> Iterator[None]:
    """The checker would refuse such values before the code under test can, as for no user."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
