"""Similarities of queries to items, some queries at a time: the whole table is never held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64

from figclip.errors import MetricError

_CELLS_AT_ONCE = 16_000_000
"""Query-item pairs held at once: 64 MB in float32."""
_ITEMS_AT_ONCE = 4096
"""Items widened to float64 at once: 16 MB for 512 numbers each."""
DUAL_SOFTMAX_SCALE = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarities:
    """How similar each of Q queries is to each of N items, higher is more.

    Attributes:
        num_queries: Q, >= 1.
        num_items: N, >= 1.
        rows: Similarities of a span of queries to all items, computed anew at each call.
    """

    num_queries: int
    num_items: int
    rows: Callable[[slice], Float[np.ndarray, "R N"]]

    def __post_init__(self) -> None:
        if not self.num_queries or not self.num_items:
            raise MetricError(
                f"{self.num_queries} queries and {self.num_items} items define no ranks"
            )

    def parts(self) -> Iterator[tuple[slice, Float[np.ndarray, "R N"]]]:
        """All queries in order, as many at a time as memory should hold."""
        num_rows = max(1, _CELLS_AT_ONCE // self.num_items)
        for start in range(0, self.num_queries, num_rows):
            part = slice(start, min(start + num_rows, self.num_queries))
            yield part, self.rows(part)


def dot_products(
    query_QD: Float[np.ndarray, "Q D"], item_ND: Float[np.ndarray, "N D"]
) -> Similarities:
    """Dot products of embeddings, in float64 and then rounded to float32.

    Matrix products of equal rows differ in their last bits with the place in the matrix; rounded,
    a tie stays a tie.

    Raises:
        MetricError: an embedding is not finite, or there is no query or no item.
    """
    check_finite(query_QD)
    check_finite(item_ND)

    def rows(part: slice) -> Float32[np.ndarray, "R N"]:
        query_RD = query_QD[part].astype(np.float64)
        sim_RN = np.empty((len(query_RD), len(item_ND)), np.float32)
        for start in range(0, len(item_ND), _ITEMS_AT_ONCE):
            block = slice(start, start + _ITEMS_AT_ONCE)
            sim_RN[:, block] = query_RD @ item_ND[block].astype(np.float64).T
        return sim_RN

    return Similarities(num_queries=len(query_QD), num_items=len(item_ND), rows=rows)


def paired_dot_products(
    first_ND: Float[np.ndarray, "N D"], second_ND: Float[np.ndarray, "N D"]
) -> Float32[np.ndarray, " N"]:
    """Dot product of each row with the row of the same index, rounded as in `dot_products`."""
    products_N = np.einsum("nd,nd->n", first_ND.astype(np.float64), second_ND.astype(np.float64))
    return products_N.astype(np.float32)


def dual_softmax(raw: Similarities) -> Similarities:
    """Each similarity times the item's softmax over all queries, at temperature 1/100.

    An item that is similar to many queries counts less for each. This is transductive: the score of
    a query depends on the other queries of the test, so it is another task than retrieval, and
    its numbers must be named apart.

    Source: the revision of similarities by a prior in CAMoE (arXiv 2109.04290, "dual softmax"). At
    test time others set 100 x cosine in the exponent; so do we, and like them without CAMoE's
    factor of the number of queries, which changes no order. The softmax is over the queries of the
    direction at hand. In float64, in two passes over the queries: the first keeps a running
    log-sum-exp of each item. Items that tie in all their similarities still tie.
    """
    peak_N = np.full(raw.num_items, -np.inf)
    total_N = np.zeros(raw.num_items)
    for _, sim_RN in raw.parts():
        logit_RN = DUAL_SOFTMAX_SCALE * sim_RN.astype(np.float64)
        higher_N = np.maximum(peak_N, logit_RN.max(axis=0))
        total_N *= np.exp(peak_N - higher_N)
        total_N += np.exp(logit_RN - higher_N).sum(axis=0)
        peak_N = higher_N
    log_sum_N = peak_N + np.log(total_N)

    def rows(part: slice) -> Float64[np.ndarray, "R N"]:
        sim_RN = raw.rows(part).astype(np.float64)
        return sim_RN * np.exp(DUAL_SOFTMAX_SCALE * sim_RN - log_sum_N)

    return Similarities(num_queries=raw.num_queries, num_items=raw.num_items, rows=rows)


def check_finite(values: Float[np.ndarray, ...]) -> None:
    """Raise for NaN and infinity: comparisons with NaN are False, and would count as right.

    Raises:
        MetricError: a value is not finite.
    """
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise MetricError(
            "a value is not finite",
            where=f"row {row}",
            fix="Look at the model: its embeddings overflow or are NaN.",
        )
