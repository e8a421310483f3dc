"""Shapes and types are checked at run time where the tests are run so (`make test-slow`)."""

from __future__ import annotations

import numpy as np
import pytest

from figclip.metrics.ranking import place


def test_a_wrong_shape_is_refused(request: pytest.FixtureRequest):
    if not request.config.getoption("--jaxtyping-packages"):
        pytest.skip("make test-slow runs the tests with shapes checked")
    with pytest.raises(Exception, match=r"[Tt]ype-check|jaxtyping"):
        place(np.zeros(3, np.float32), np.zeros((2, 2), np.int64))  # pyright: ignore
