"""Rank items by similarity, a few queries at a time, and read recall and median rank off the ranks.

The whole table of similarities is never held. Each query's rank is that of its best correct item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64

from figclip.errors import MetricError

_CELLS_AT_ONCE = 16_000_000
"""Query-item pairs held at once: 64 MB in float32."""
_ITEMS_AT_ONCE = 4096
"""Items widened to float64 at once: 16 MB for 512 numbers each."""
DUAL_SOFTMAX_SCALE = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarities:
    """How similar each of Q queries is to each of N items, higher is more.

    `rows`: Similarities of a span of queries to all items, computed anew at each call.
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
    """Raise a `MetricError` for NaN and infinity: comparisons with NaN would count as right."""
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise MetricError(
            "a value is not finite",
            where=f"row {row}",
            fix="Look at the model: its embeddings overflow or are NaN.",
        )


@dataclass(frozen=True, slots=True)
class Places:
    """Where the one correct item of each query stands among all items.

    How many items are more similar, how many others exactly as similar, and of these how many have
    a lower index.
    """

    ahead_Q: Int64[np.ndarray, " Q"]
    tied_Q: Int64[np.ndarray, " Q"]
    tied_before_Q: Int64[np.ndarray, " Q"]

    @property
    def worst_ranks(self) -> Int64[np.ndarray, " Q"]:
        """Rank from 1 when every tie counts against the query."""
        return 1 + self.ahead_Q + self.tied_Q

    @property
    def stable_ranks(self) -> Int64[np.ndarray, " Q"]:
        """Rank from 1 in a stable sort, where the lower index wins a tie."""
        return 1 + self.ahead_Q + self.tied_before_Q


def ranks(
    sim_QN: Float[np.ndarray, "Q N"], gold_QN: Bool[np.ndarray, "Q N"]
) -> Int64[np.ndarray, " Q"]:
    """Rank of the best correct item among the wrong ones, counted from 1.

    A tie with a wrong item counts against the query: the rank is 1 plus the number of wrong items
    that are at least as similar. A model that finds everything equally similar comes last. Other
    correct items of the query never count against it.

    Raises:
        MetricError: no query, no item, a query with no correct item, or a similarity that is not
            finite.
    """
    assert sim_QN.shape == gold_QN.shape
    if not sim_QN.size:
        raise MetricError(f"{len(sim_QN)} queries and {sim_QN.shape[1]} items define no ranks")
    check_finite(sim_QN)
    if not gold_QN.any(axis=1).all():
        query = int(np.flatnonzero(~gold_QN.any(axis=1))[0])
        raise MetricError("has no correct item", where=f"query {query}")
    best_Q = np.where(gold_QN, sim_QN, -np.inf).max(axis=1)
    ahead_QN = (sim_QN >= best_Q[:, None]) & ~gold_QN
    return 1 + ahead_QN.sum(axis=1, dtype=np.int64)


def ranks_by_label(
    query_QD: Float[np.ndarray, "Q D"],
    item_ND: Float[np.ndarray, "N D"],
    *,
    query_label_Q: Int64[np.ndarray, " Q"],
    item_label_N: Int64[np.ndarray, " N"],
) -> Int64[np.ndarray, " Q"]:
    """`ranks` of embeddings, where an item answers a query of its own label.

    The similarity is `similarity.dot_products`.
    """
    parts = [
        ranks(sim_RN, query_label_Q[part, None] == item_label_N[None, :])
        for part, sim_RN in dot_products(query_QD, item_ND).parts()
    ]
    return np.concatenate(parts)


def place(sim_QN: Float[np.ndarray, "Q N"], gold_Q: Int64[np.ndarray, " Q"]) -> Places:
    """Where each query's one correct item stands.

    Infinities compare as numbers.

    Raises:
        MetricError: no query, no item, or a similarity that is NaN.
    """
    if not sim_QN.size:
        raise MetricError(f"{len(sim_QN)} queries and {sim_QN.shape[1]} items define no places")
    if np.isnan(sim_QN.min()):
        query = int(np.argwhere(np.isnan(sim_QN))[0][0])
        raise MetricError(
            "a similarity is NaN", where=f"query {query}", fix="Look at the model's embeddings."
        )
    gold_sim_Q = sim_QN[np.arange(len(sim_QN)), gold_Q]
    ahead_Q = count_true(sim_QN > gold_sim_Q[:, None])
    tied_Q = count_true(sim_QN >= gold_sim_Q[:, None]) - ahead_Q - 1
    # Ties are rare: only their rows are looked at a third time.
    rows = np.flatnonzero(tied_Q)
    item_N = np.arange(sim_QN.shape[1], dtype=np.int64)
    is_tied_RN = np.equal(sim_QN[rows], gold_sim_Q[rows][:, None])
    is_before_RN = np.less(item_N, gold_Q[rows][:, None])
    tied_before_Q = np.zeros_like(tied_Q)
    tied_before_Q[rows] = count_true(np.logical_and(is_tied_RN, is_before_RN))
    return Places(ahead_Q=ahead_Q, tied_Q=tied_Q, tied_before_Q=tied_before_Q)


def count_true(mask_QN: Bool[np.ndarray, "Q N"]) -> Int64[np.ndarray, " Q"]:
    """Number of true cells of each row; `np.count_nonzero` of an axis takes twice as long."""
    return mask_QN.view(np.uint8).sum(axis=1, dtype=np.uint32).astype(np.int64)


def hits_at_k(rank_Q: Int64[np.ndarray, " Q"], *, k: int) -> Float64[np.ndarray, " Q"]:
    """1 where a correct item is among the top k, else 0; the mean is the recall.

    Raises:
        MetricError: k below 1, no query, or a rank below 1.
    """
    _check_ranks(rank_Q)
    if k < 1:
        raise MetricError(f"recall at {k} is not defined", fix="Use k of at least 1.")
    return (rank_Q <= k).astype(np.float64)


def hits_among(
    rank_Q: Int64[np.ndarray, " Q"], *, gallery: int, drawn: int
) -> Float64[np.ndarray, " Q"]:
    """Chance that the correct item is first in a random part of the gallery that holds it.

    The mean is recall at 1 in galleries of `drawn` items, over all such galleries. It says the same
    of sets of any size, and moves less with the drawing of the items than recall at 1 in a large
    gallery, where the rank decides between 0 and 1.

    Returns:
        C(G - rank, drawn - 1) / C(G - 1, drawn - 1).

    Raises:
        MetricError: no query, a rank beyond the gallery, or a part larger than it.
    """
    _check_ranks(rank_Q)
    if not 1 <= drawn <= gallery or rank_Q.max() > gallery:
        raise MetricError(f"{drawn} of {gallery} items cannot hold rank {rank_Q.max()}")
    # Of the others, drawn one by one, none may be ahead of the correct one.
    others = np.arange(1, drawn, dtype=np.float64)
    behind_Q1 = (gallery - rank_Q + 1)[:, None] - others
    return np.prod(np.maximum(behind_Q1, 0) / (gallery - others), axis=1)


def median_rank(rank_Q: Int64[np.ndarray, " Q"]) -> float:
    """Median rank; between the two middle ones for an even number of queries.

    Raises:
        MetricError: no query, or a rank below 1.
    """
    _check_ranks(rank_Q)
    return float(np.median(rank_Q))


def _check_ranks(rank_Q: Int64[np.ndarray, " Q"]) -> None:
    if not len(rank_Q) or rank_Q.min() < 1:
        raise MetricError("ranks start at 1, and there must be at least one")
