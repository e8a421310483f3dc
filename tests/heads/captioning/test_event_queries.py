from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from figclip.heads.captioning.head import (
    WAVES,
    EventQueries,
    FrameTokens,
    edges,
    generalised_iou,
    waves,
)

NUM_QUERIES, WIDTH = 5, 16


def queries() -> EventQueries:
    torch.manual_seed(0)
    return EventQueries(WIDTH, num_queries=NUM_QUERIES, num_layers=2, num_heads=4, dropout=0.0)


def frames(count: int, *, batch: int = 2) -> FrameTokens:
    generator = torch.Generator().manual_seed(count)
    places = (torch.arange(count) + 0.5) / count
    return FrameTokens(
        torch.randn(batch, count, WIDTH, generator=generator),
        places.expand(batch, -1),
        torch.ones(batch, count, dtype=torch.bool),
    )


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0.0, 1.0), (0.0, 1.0), 1.0),
        ((0.0, 0.5), (0.25, 0.75), 1 / 3),
        # Apart: nothing shared, and half of the hull is nobody's.
        ((0.0, 0.25), (0.75, 1.0), -0.5),
        ((0.0, 0.25), (0.25, 0.5), 0.0),
        ((0.25, 0.75), (0.0, 1.0), 0.5),
    ],
)
def test_generalised_iou_by_hand(
    first: tuple[float, float], second: tuple[float, float], expected: float
):
    found = generalised_iou(torch.tensor(first), torch.tensor(second))
    assert found.item() == pytest.approx(expected, abs=1e-6)


SPAN = st.tuples(st.floats(0, 1, width=32), st.floats(2**-10, 1, width=32))


@given(SPAN, SPAN)
def test_generalised_iou_is_symmetric_and_bounded(
    first: tuple[float, float], second: tuple[float, float]
):
    spans = [edges(torch.tensor(one, dtype=torch.float32)) for one in (first, second)]
    there, back = generalised_iou(*spans), generalised_iou(*reversed(spans))
    assert there == back
    assert -1 < there <= 1 + 1e-6


def test_edges_of_a_middle_and_a_length():
    assert edges(torch.tensor([[0.5, 0.2]])).tolist() == [[pytest.approx(0.4), pytest.approx(0.6)]]


def test_waves_tell_numbers_apart():
    told = waves(torch.linspace(0, 1, 200))
    assert told.shape == (200, 2 * WAVES)
    assert torch.cdist(told, told).fill_diagonal_(math.inf).min() > 0.1


def test_queries_begin_spread_over_the_video_and_move_alone():
    found = queries()(frames(12))
    assert found.span_LBQ2.shape == (2, 2, NUM_QUERIES, 2)
    assert found.confidence_LBQ.shape == (2, 2, NUM_QUERIES)
    middle_Q = found.span_LBQ2[0, 0, :, 0]
    # Not yet moved: the network's last step begins at nothing.
    torch.testing.assert_close(middle_Q, (torch.arange(NUM_QUERIES) + 0.5) / NUM_QUERIES)


def test_padding_changes_nothing():
    model, short = queries(), frames(7, batch=1)
    padded = FrameTokens(
        torch.cat([short.token_BSD, torch.full((1, 4, WIDTH), 1e3)], dim=1),
        torch.cat([short.place_BS, torch.zeros(1, 4)], dim=1),
        torch.cat([short.present_BS, torch.zeros(1, 4, dtype=torch.bool)], dim=1),
    )
    alone, beside = model(short), model(padded)
    torch.testing.assert_close(beside.query_LBQD, alone.query_LBQD)
    torch.testing.assert_close(beside.confidence_LBQ, alone.confidence_LBQ)


def test_a_query_looks_at_the_frames_of_its_span():
    """What happens far from a narrow span moves its query less than what happens within."""
    model, seen = queries(), frames(40, batch=1)
    span_Q2 = torch.tensor([[0.25, 0.1]]).expand(NUM_QUERIES, -1)
    model.first_span_embedding.data = span_Q2.logit()
    before = model(seen).query_LBQD[-1]

    def change(place: float) -> float:
        moved = seen.token_BSD.clone()
        moved[0, round(place * 40)] += 5.0
        after = model(FrameTokens(moved, seen.place_BS, seen.present_BS)).query_LBQD[-1]
        return (after - before).abs().max().item()

    assert change(0.25) > 10 * change(0.9)


def test_a_layer_answers_for_its_own_move_only():
    model = queries()
    model(frames(12)).span_LBQ2[0].sum().backward()
    assert model.first_span_embedding.grad is not None and model.first_span_embedding.grad.any()
    model.zero_grad(set_to_none=True)
    model(frames(12)).span_LBQ2[1].sum().backward()
    # The untrained step moves nothing, so that nothing comes by way of the queries either.
    grad = model.first_span_embedding.grad
    assert grad is None or not grad.any(), "spans before a layer are given to it"
