from __future__ import annotations

import numpy as np
import pytest

from figclip.errors import MetricError
from figclip.metrics.averages import Spread, macro_mean, mean_and_std, means_by_name

VALUES = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 0.0])
NAMES = ["b", "a", "b", "a", "c", "a"]


def test_means_come_in_the_order_of_first_items() -> None:
    found = means_by_name(VALUES, NAMES)
    assert list(found.items()) == [("b", 1.0), ("a", 1 / 3), ("c", 0.0)]


def test_macro_mean_counts_each_name_once() -> None:
    assert macro_mean(VALUES, NAMES) == pytest.approx(4 / 9)
    assert macro_mean(VALUES, NAMES, left_out={"a", "unknown"}) == 0.5
    assert macro_mean(VALUES, NAMES, min_items=2) == pytest.approx(2 / 3)
    assert macro_mean(VALUES, NAMES, min_items=3) == pytest.approx(1 / 3)


def test_spread_divides_by_the_number_of_splits() -> None:
    found = mean_and_std([1.0, 2.0, 6.0])
    assert (found.mean, found.std) == (3.0, pytest.approx(np.sqrt(14 / 3)))
    assert mean_and_std([0.5]) == Spread(0.5, 0.0)


def test_averages_of_nothing_are_refused() -> None:
    with pytest.raises(MetricError, match="no value"):
        means_by_name(np.zeros(0), [])
    with pytest.raises(MetricError, match="none of 3 parts counts"):
        macro_mean(VALUES, NAMES, min_items=4)
    with pytest.raises(MetricError, match="no value"):
        mean_and_std([])
