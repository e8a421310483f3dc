from __future__ import annotations

import numpy as np
import pytest

from figclip.errors import MetricError
from figclip.metrics.averages import Spread, mean_and_std, means_by_name

VALUES = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 0.0])
NAMES = ["b", "a", "b", "a", "c", "a"]


def test_means_come_in_the_order_of_first_items() -> None:
    found = means_by_name(VALUES, NAMES)
    assert list(found.items()) == [("b", 1.0), ("a", 1 / 3), ("c", 0.0)]


def test_spread_divides_by_the_number_of_splits() -> None:
    found = mean_and_std([1.0, 2.0, 6.0])
    assert (found.mean, found.std) == (3.0, pytest.approx(np.sqrt(14 / 3)))
    assert mean_and_std([0.5]) == Spread(0.5, 0.0)


def test_averages_of_nothing_are_refused() -> None:
    with pytest.raises(MetricError, match="no value"):
        means_by_name(np.zeros(0), [])
    with pytest.raises(MetricError, match="no value"):
        mean_and_std([])
