"""Gradients part by part: those of one forward, with the fewest forwards and the least kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.checkpoint import checkpoint

from figclip.training.gradient_cache import GradientCache, Held

SPLITS = [[7], [6, 1], [1, 6], [3, 3, 1], [1] * 7, [2, 5]]


class Encoder(nn.Module):
    """Two layers in fp64; notes for each call how many rows, and whether a graph was kept."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()
        self.calls: list[tuple[int, bool]] = []

    def forward(self, rows: Tensor) -> Tensor:
        out = self.layers(rows)
        self.calls.append((len(rows), out.requires_grad))
        return out


def inputs() -> Tensor:
    return torch.randn(7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def contrastive(embeddings: Tensor) -> Tensor:
    """A loss in which every row's gradient depends on every other row."""
    rows = normalize(embeddings, dim=-1)
    return (rows @ rows.T * 5).logsumexp(dim=1).mean()


@pytest.mark.parametrize("sizes", SPLITS)
def test_parts_give_the_gradient_of_one_forward(sizes: Sequence[int]):
    one_shot, parted = Encoder(), Encoder()
    loss = contrastive(one_shot(inputs()))
    loss.backward()
    cache = GradientCache(parted, inputs().split(list(sizes)))
    cached_loss = contrastive(cache.embeddings_ND)
    cached_loss.backward()
    assert all(p.grad is None for p in parted.parameters())
    cache.backward()
    torch.testing.assert_close(cached_loss, loss, atol=1e-12, rtol=0)
    for found, expected in zip(parted.parameters(), one_shot.parameters(), strict=True):
        assert expected.grad is not None and expected.grad.norm() > 1e-6
        torch.testing.assert_close(found.grad, expected.grad, atol=1e-12, rtol=0)


@pytest.mark.parametrize("sizes", SPLITS)
def test_the_last_part_is_encoded_once_the_others_twice(sizes: Sequence[int]):
    encoder = Encoder()
    cache = GradientCache(encoder, inputs().split(list(sizes)))
    *early, last = sizes
    assert encoder.calls == [*((size, False) for size in early), (last, True)]
    encoder.calls.clear()
    cache.embeddings_ND.sum().backward()
    cache.backward()
    assert encoder.calls == [(size, True) for size in early]


def test_a_single_part_is_the_one_shot_forward_bit_for_bit():
    one_shot, cached = Encoder().float(), Encoder().float()
    contrastive(one_shot(inputs().float())).backward()
    cache = GradientCache(cached, [inputs().float()])
    contrastive(cache.embeddings_ND).backward()
    cache.backward()
    for found, expected in zip(cached.parameters(), one_shot.parameters(), strict=True):
        assert found.grad is not None and expected.grad is not None
        assert torch.equal(found.grad, expected.grad)


def test_gradients_add_to_what_is_there():
    encoder = Encoder()
    for _ in range(2):
        cache = GradientCache(encoder, inputs().split(3))
        contrastive(cache.embeddings_ND).backward()
        cache.backward()
    twice = [p.grad.clone() for p in encoder.parameters() if p.grad is not None]
    encoder.zero_grad()
    cache = GradientCache(encoder, inputs().split(3))
    contrastive(cache.embeddings_ND).backward()
    cache.backward()
    for found, parameter in zip(twice, encoder.parameters(), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(found, 2 * parameter.grad, atol=1e-12, rtol=0)


def test_misuse_is_our_own_mistake():
    with pytest.raises(AssertionError, match="nothing to encode"):
        GradientCache(Encoder(), [])
    with pytest.raises(AssertionError, match="loss's backward first"):
        GradientCache(Encoder(), [inputs()]).backward()


ROOMS = [Held(1), Held(2), Held(7), Held(1, 3), Held(2, 5), Held(1, 6), Held(100, 100)]


def lean(encoder: Encoder) -> Callable[[Tensor], Tensor]:
    return lambda rows: checkpoint(encoder, rows, use_reentrant=False)


def test_what_is_held_changes_no_bit():
    found: list[list[Tensor]] = []
    for held in ROOMS:
        encoder = Encoder().float()
        parts = inputs().float().split(1)
        cache = GradientCache(encoder, parts, held=held, encode_lean=lean(encoder))
        contrastive(cache.embeddings_ND).backward()
        cache.backward()
        found.append([p.grad for p in encoder.parameters() if p.grad is not None])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("keep", [2, 3, 7, 100])
def test_kept_parts_are_encoded_once_and_change_no_gradient(keep: int):
    one_shot, parted = Encoder(), Encoder()
    contrastive(one_shot(inputs())).backward()
    cache = GradientCache(parted, inputs().split(1), held=Held(keep))
    contrastive(cache.embeddings_ND).backward()
    cache.backward()
    num_early = max(7 - keep, 0)
    assert len(parted.calls) == 7 + num_early
    assert [graph for _, graph in parted.calls] == [False] * num_early + [True] * 7
    for found, expected in zip(parted.parameters(), one_shot.parameters(), strict=True):
        assert found.grad is not None
        torch.testing.assert_close(found.grad, expected.grad, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (0, Held(1, 0)),  # less than what is always held
        (100, Held(1, 0)),
        (119, Held(1, 0)),
        (120, Held(1, 1)),
        (179, Held(1, 3)),
        (260, Held(1, 7)),  # all eight now
        (340, Held(2, 6)),
        (800, Held(8, 0)),
        (10_000, Held(8, 0)),
    ],
)
def test_lean_graphs_for_all_come_before_whole_ones(room: int, expected: Held):
    """Eight parts, of 100 bytes or 20 lean."""
    found = Held.fitting(8, room_bytes=room, whole_bytes=100, lean_bytes=20)
    assert found == expected


@given(num=st.integers(1, 40), room=st.floats(0, 1e4), lean=st.floats(1, 99))
def test_what_is_held_fits_and_nothing_more_would(num: int, room: float, lean: float):
    held = Held.fitting(num, room_bytes=room, whole_bytes=100, lean_bytes=lean)
    used = 100 * held.whole + lean * held.lean
    assert held.whole >= 1 and held.whole + held.lean <= num
    assert used <= max(room, 100) + 1e-6
    if held.whole + held.lean < num:
        assert used + lean > room - 1e-6, "another lean one would fit"
    elif held.lean:
        assert used + 100 - lean > room - 1e-6, "another whole one would fit"


def test_without_lean_graphs_whole_ones_fill_the_room():
    assert Held.fitting(8, room_bytes=399, whole_bytes=100, lean_bytes=None) == Held(3)
    assert Held.fitting(2, room_bytes=399, whole_bytes=100, lean_bytes=None) == Held(2)
    assert Held.fitting(2, room_bytes=0, whole_bytes=100, lean_bytes=None) == Held(1)
