from __future__ import annotations

import itertools

import numpy as np
import pytest

import figclip.metrics.ranking as similarity
from figclip.errors import MetricError
from figclip.metrics.ranking import hits_among, hits_at_k, median_rank, place, ranks, ranks_by_label


def slow_rank(sim: np.ndarray, gold: np.ndarray) -> int:
    """Sort with every tie resolved against the query, then look for the first correct item."""
    best = max(s for s, g in zip(sim, gold, strict=True) if g)
    others = [(s, False) for s, g in zip(sim, gold, strict=True) if not g]
    ordered = sorted([*others, (best, True)], key=lambda pair: (-pair[0], pair[1]))
    return 1 + ordered.index((best, True))


def test_hand_worked_ranks_with_a_tie_and_two_correct_items() -> None:
    sim = np.array(
        [
            [0.9, 0.1, 0.5, 0.3],  # correct item first
            [0.9, 0.9, 0.5, 0.3],  # the correct 1 ties with the wrong 0
            [0.9, 0.8, 0.5, 0.3],  # 2 and 3 correct: two wrong ones ahead of 2, 3 not in the way
            [0.2, 0.2, 0.2, 0.2],  # all tied
        ]
    )
    gold = np.array(
        [
            [True, False, False, False],
            [False, True, False, False],
            [False, False, True, True],
            [False, False, False, True],
        ]
    )
    result = ranks(sim, gold)
    assert result.tolist() == [1, 2, 3, 4]
    assert [hits_at_k(result, k=k).mean() for k in (1, 2, 3, 4)] == [0.25, 0.5, 0.75, 1.0]
    assert hits_at_k(result, k=2).tolist() == [1.0, 1.0, 0.0, 0.0]
    assert median_rank(result) == 2.5


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_ranks_equal_the_slow_oracle_for_ties(seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    sim = rng.integers(0, 4, (17, 11)).astype(dtype) / 4
    gold = rng.random((17, 11)) < 0.2
    gold[np.arange(17), rng.integers(0, 11, 17)] = True
    assert ranks(sim, gold).tolist() == [slow_rank(s, g) for s, g in zip(sim, gold, strict=True)]


@pytest.mark.parametrize("cells", [1, 30, 4_000_000])
def test_labels_and_embeddings_give_the_ranks_of_their_table(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similarity, "_CELLS_AT_ONCE", cells)
    rng = np.random.default_rng(1)
    queries, items = rng.normal(size=(13, 8)), rng.normal(size=(9, 8))
    query_label, item_label = rng.integers(0, 3, 13), np.arange(9) % 3
    expected = ranks(
        (queries @ items.T).astype(np.float32), query_label[:, None] == item_label[None, :]
    )
    found = ranks_by_label(queries, items, query_label_Q=query_label, item_label_N=item_label)
    assert found.tolist() == expected.tolist()


def test_equal_embeddings_tie_exactly_wherever_they_stand() -> None:
    row = np.random.default_rng(0).normal(size=(1, 512)).astype(np.float32)
    rows = np.repeat(row, 203, axis=0)
    labels = np.arange(203)
    found = ranks_by_label(rows, rows, query_label_Q=labels, item_label_N=labels)
    assert (found == 203).all()


def test_perfect_and_worst() -> None:
    gold = np.eye(5, dtype=bool)
    assert ranks(np.eye(5), gold).tolist() == [1] * 5
    assert ranks(1 - np.eye(5), gold).tolist() == [5] * 5


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    sim = np.eye(3)
    sim[1, 2] = bad
    with pytest.raises(MetricError, match="row 1: a value is not finite"):
        ranks(sim, np.eye(3, dtype=bool))
    labels = np.arange(3)
    with pytest.raises(MetricError, match="not finite"):
        ranks_by_label(np.eye(3), sim, query_label_Q=labels, item_label_N=labels)


def test_undefined_ranks_are_refused() -> None:
    gold = np.eye(3, dtype=bool)
    gold[2, 2] = False
    with pytest.raises(MetricError, match="query 2: has no correct item"):
        ranks(np.eye(3), gold)
    with pytest.raises(MetricError, match="define no ranks"):
        ranks(np.zeros((2, 0)), np.zeros((2, 0), bool))
    none = np.zeros(0, np.int64)
    with pytest.raises(MetricError, match="0 queries"):
        ranks_by_label(np.zeros((0, 2)), np.eye(2), query_label_Q=none, item_label_N=np.arange(2))
    with pytest.raises(MetricError, match="at least one"):
        hits_at_k(none, k=1)
    with pytest.raises(MetricError, match="at least one"):
        median_rank(np.array([0, 1]))
    with pytest.raises(MetricError, match="recall at 0"):
        hits_at_k(np.array([1]), k=0)


def test_places_by_hand() -> None:
    sim = np.array(
        [
            [0.9, 0.5, 0.5, 0.5, 0.1],  # one ahead; tied with 2 and 3, of which 2 and 3 come later
            [0.9, 0.5, 0.5, 0.5, 0.1],  # the same row, but 3 is correct
            [0.0, -0.0, 0.0, 0.0, 0.0],  # all tied, zeros of either sign
            [-np.inf, 1.0, 2.0, np.inf, 3.0],
        ]
    )
    places = place(sim, np.array([1, 3, 4, 2]))
    assert places.ahead_Q.tolist() == [1, 1, 0, 2]
    assert places.tied_Q.tolist() == [2, 2, 4, 0]
    assert places.tied_before_Q.tolist() == [0, 2, 4, 0]
    assert places.worst_ranks.tolist() == [4, 4, 5, 3]
    assert places.stable_ranks.tolist() == [2, 4, 5, 3]


def test_places_agree_with_a_stable_sort() -> None:
    rng = np.random.default_rng(0)
    sim = rng.integers(0, 4, (40, 9)).astype(np.float32)
    gold = rng.integers(0, 9, 40)
    order = np.argsort(-sim, axis=1, kind="stable")
    places = place(sim, gold)
    assert places.stable_ranks.tolist() == [
        1 + row.tolist().index(item) for row, item in zip(order, gold, strict=True)
    ]
    assert places.worst_ranks.tolist() == ranks(sim, gold[:, None] == np.arange(9)).tolist()


def test_places_of_nan_and_of_nothing_are_refused() -> None:
    sim = np.zeros((3, 4))
    sim[2, 1] = np.nan
    with pytest.raises(MetricError, match="query 2: a similarity is NaN"):
        place(sim, np.zeros(3, np.int64))
    with pytest.raises(MetricError, match="0 queries"):
        place(np.zeros((0, 4)), np.zeros(0, np.int64))


@pytest.mark.parametrize("drawn", [1, 2, 3, 6])
def test_first_among_a_drawn_part_is_the_share_of_all_parts(drawn: int) -> None:
    """Of six items, every part that holds the correct one, counted out."""
    for rank in range(1, 7):
        others = [other for other in range(1, 7) if other != rank]
        parts = list(itertools.combinations(others, drawn - 1))
        expected = np.mean([all(rank < other for other in part) for part in parts])
        found = hits_among(np.array([rank]), gallery=6, drawn=drawn)
        assert found == pytest.approx(expected), rank


def test_a_part_of_everything_is_recall_at_1_and_of_one_is_certain() -> None:
    ranks_Q = np.array([1, 2, 5])
    assert hits_among(ranks_Q, gallery=5, drawn=5).tolist() == hits_at_k(ranks_Q, k=1).tolist()
    assert hits_among(ranks_Q, gallery=5, drawn=1).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(("gallery", "drawn"), [(4, 2), (5, 6), (5, 0)])
def test_a_part_that_cannot_be_is_refused(gallery: int, drawn: int) -> None:
    with pytest.raises(MetricError, match="cannot hold rank 5"):
        hits_among(np.array([5]), gallery=gallery, drawn=drawn)
