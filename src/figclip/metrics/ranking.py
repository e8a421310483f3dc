"""Retrieval: the rank of the best correct item of each query, and what is read off the ranks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from figclip.errors import MetricError

_CELLS_AT_ONCE = 4_000_000
"""Query-item pairs held at once: 32 MB in float64."""


def ranks(
    sim_QN: Float[np.ndarray, "Q N"], gold_QN: Bool[np.ndarray, "Q N"]
) -> Int64[np.ndarray, " Q"]:
    """Rank of the best correct item among the wrong ones, counted from 1.

    A tie with a wrong item counts against the query: the rank is 1 plus the number of wrong items
    that are at least as similar. A model that finds everything equally similar comes last. Other
    correct items of the query never count against it.

    Args:
        sim_QN: Similarity, higher is better.
        gold_QN: True where the item answers the query.

    Raises:
        MetricError: no query, no item, a query with no correct item, or a similarity that is not
            finite.
    """
    assert sim_QN.shape == gold_QN.shape
    if not sim_QN.size:
        raise MetricError(f"{len(sim_QN)} queries and {sim_QN.shape[1]} items define no ranks")
    _check_finite(sim_QN)
    if not gold_QN.any(axis=1).all():
        query = int(np.flatnonzero(~gold_QN.any(axis=1))[0])
        raise MetricError("has no correct item", where=f"query {query}")
    rows = max(1, _CELLS_AT_ONCE // sim_QN.shape[1])
    parts = [
        _ranks(sim_QN[start : start + rows], gold_QN[start : start + rows])
        for start in range(0, len(sim_QN), rows)
    ]
    return np.concatenate(parts)


def ranks_by_label(
    query_QD: Float[np.ndarray, "Q D"],
    item_ND: Float[np.ndarray, "N D"],
    *,
    query_label_Q: Int64[np.ndarray, " Q"],
    item_label_N: Int64[np.ndarray, " N"],
) -> Int64[np.ndarray, " Q"]:
    """`ranks` of embeddings, where an item answers a query of its own label.

    The similarity is the dot product, in float64 and then rounded to float32: matrix products of
    equal rows differ in their last bits with the place in the matrix, and a tie must stay a tie.
    The whole table of similarities is never held.

    Args:
        query_QD: Normalised embeddings.
        item_ND: Normalised embeddings.
        query_label_Q: Label of each query, for example the hash of its text.
        item_label_N: Label of each item.

    Returns:
        Ranks counted from 1.

    Raises:
        MetricError: as `ranks`.
    """
    _check_finite(query_QD)
    _check_finite(item_ND)
    if not len(query_QD) or not len(item_ND):
        raise MetricError(f"{len(query_QD)} queries and {len(item_ND)} items define no ranks")
    transposed_DN = item_ND.astype(np.float64).T
    rows = max(1, _CELLS_AT_ONCE // len(item_ND))
    parts: list[Int64[np.ndarray, " Q"]] = []
    for start in range(0, len(query_QD), rows):
        part = slice(start, start + rows)
        sim_QN = (query_QD[part].astype(np.float64) @ transposed_DN).astype(np.float32)
        parts.append(ranks(sim_QN, query_label_Q[part, None] == item_label_N[None, :]))
    return np.concatenate(parts)


def hits_at_k(rank_Q: Int64[np.ndarray, " Q"], *, k: int) -> Float64[np.ndarray, " Q"]:
    """1 where a correct item is among the top k, else 0; the mean is the recall.

    Raises:
        MetricError: k below 1, no query, or a rank below 1.
    """
    _check_ranks(rank_Q)
    if k < 1:
        raise MetricError(f"recall at {k} is not defined", fix="Use k of at least 1.")
    return (rank_Q <= k).astype(np.float64)


def recall_at_k(rank_Q: Int64[np.ndarray, " Q"], *, k: int) -> float:
    """Fraction of queries with a correct item among the top k, in [0, 1].

    Raises:
        MetricError: k below 1, no query, or a rank below 1.
    """
    return float(hits_at_k(rank_Q, k=k).mean())


def median_rank(rank_Q: Int64[np.ndarray, " Q"]) -> float:
    """Median rank; between the two middle ones for an even number of queries.

    Raises:
        MetricError: no query, or a rank below 1.
    """
    _check_ranks(rank_Q)
    return float(np.median(rank_Q))


def _ranks(
    sim_QN: Float[np.ndarray, "Q N"], gold_QN: Bool[np.ndarray, "Q N"]
) -> Int64[np.ndarray, " Q"]:
    """`ranks` of a few queries."""
    best_Q = np.where(gold_QN, sim_QN, -np.inf).max(axis=1)
    ahead_QN = (sim_QN >= best_Q[:, None]) & ~gold_QN
    return 1 + ahead_QN.sum(axis=1, dtype=np.int64)


def _check_finite(values: Float[np.ndarray, ...]) -> None:
    """Raise for NaN and infinity: comparisons with NaN are False, and would count as right."""
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise MetricError(
            "a value is not finite",
            where=f"row {row}",
            fix="Look at the model: its embeddings overflow or are NaN.",
        )


def _check_ranks(rank_Q: Int64[np.ndarray, " Q"]) -> None:
    if not len(rank_Q) or rank_Q.min() < 1:
        raise MetricError("ranks start at 1, and there must be at least one")
