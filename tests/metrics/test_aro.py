from __future__ import annotations

import numpy as np
import pytest

from figclip.errors import MetricError
from figclip.metrics.aro import SYMMETRIC_RELATIONS, attribution_score, relation_score


def test_the_list_has_its_157_names() -> None:
    assert len(SYMMETRIC_RELATIONS) == 157
    assert {"near", "next to", "adjusting", "wrapped in", "on the other side of"} <= (
        SYMMETRIC_RELATIONS
    )
    assert not {"on", "to the left of", "riding", "behind", "under"} & SYMMETRIC_RELATIONS
    assert all(name == " ".join(name.split()) and name for name in SYMMETRIC_RELATIONS)


def test_relations_count_once_and_symmetric_ones_not_at_all() -> None:
    right = np.array([1.0, 1.0, 0.0, 1.0, 1.0])
    names = ["on", "on", "on", "riding", "near"]
    assert relation_score(right, names) == pytest.approx((2 / 3 + 1) / 2)
    with pytest.raises(MetricError, match="none of 1 parts"):
        relation_score(right, ["near"] * 5)


def test_pairs_of_attributes_need_25_items() -> None:
    names = ["old_small"] * 25 + ["small_old"] * 24
    right = np.array([1.0] * 10 + [0.0] * 15 + [1.0] * 24)
    assert attribution_score(right, names) == 0.4
    with pytest.raises(MetricError, match="none of 1 parts"):
        attribution_score(right[25:], names[25:])
