from __future__ import annotations

import numpy as np
import pytest

import figclip.metrics.ranking as similarity
from figclip.errors import MetricError
from figclip.metrics.ranking import Similarities, dot_products, dual_softmax, paired_dot_products


def table(sim: np.ndarray) -> Similarities:
    """Similarities that are these numbers: each item is a direction of its own."""
    return dot_products(sim, np.eye(sim.shape[1], dtype=sim.dtype))


def whole(similarities: Similarities) -> np.ndarray:
    return np.concatenate([rows for _, rows in similarities.parts()])


@pytest.mark.parametrize("cells", [1, 30, 16_000_000])
@pytest.mark.parametrize("items", [1, 4, 4096])
def test_dot_products_in_uneven_parts(
    cells: int, items: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similarity, "_CELLS_AT_ONCE", cells)
    monkeypatch.setattr(similarity, "_ITEMS_AT_ONCE", items)
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(13, 8)).astype(np.float32)
    gallery = rng.normal(size=(9, 8)).astype(np.float32)
    found = whole(dot_products(queries, gallery))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, queries @ gallery.T, rtol=0, atol=1e-6)
    spans = [part for part, _ in dot_products(queries, gallery).parts()]
    assert [i for part in spans for i in range(part.start, part.stop)] == list(range(13))


def test_paired_products_are_the_diagonal() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 50, 16)).astype(np.float32)
    diagonal = np.diag(whole(dot_products(first, second)))
    assert paired_dot_products(first, second).tolist() == diagonal.tolist()


@pytest.mark.parametrize("cells", [1, 20, 16_000_000])
def test_dual_softmax_is_its_formula(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "_CELLS_AT_ONCE", cells)
    sim = np.random.default_rng(2).uniform(-1, 1, (7, 5)).astype(np.float32)
    exponents = np.exp(100 * sim.astype(np.float64))
    expected = sim * exponents / exponents.sum(axis=0)
    np.testing.assert_allclose(whole(dual_softmax(table(sim))), expected, rtol=1e-9)


def test_dual_softmax_by_hand() -> None:
    # Both queries are as similar to item 0: each gets half. Item 1 is all the second query's.
    found = whole(dual_softmax(table(np.array([[0.6, 0.0], [0.6, 0.5]], np.float32))))
    np.testing.assert_allclose(found, [[0.3, 0.0], [0.3, 0.5]], atol=1e-7)


def test_dual_softmax_neither_overflows_nor_unties_equal_items() -> None:
    sim = np.random.default_rng(3).normal(size=(31, 1)).astype(np.float32) * 50
    found = whole(dual_softmax(table(np.repeat(sim, 203, axis=1))))
    assert np.isfinite(found).all()
    assert (found == found[:, :1]).all()


def test_undefined_similarities_are_refused() -> None:
    with pytest.raises(MetricError, match="0 queries"):
        dot_products(np.ones((0, 3)), np.ones((2, 3)))
    with pytest.raises(MetricError, match="2 queries and 0 items"):
        dot_products(np.ones((2, 3)), np.ones((0, 3)))
    with pytest.raises(MetricError, match="row 1: a value is not finite"):
        dot_products(np.ones((1, 1)), np.array([[1.0], [np.nan]]))
