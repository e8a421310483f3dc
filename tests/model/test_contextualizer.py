"""The Video Contextualizer: what is missing influences nothing, order and places matter."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from figclip.config import MAX_POSITIONS
from figclip.errors import ModelError
from figclip.model.contextualizer import Contexts, VideoContextualizer

B, P, T, D = 2, 3, 4, 16


@pytest.fixture(scope="module")
def contextualizer() -> VideoContextualizer:
    torch.manual_seed(0)
    return VideoContextualizer(D, num_layers=2, head_dim=8).double().eval()


@pytest.fixture
def frames() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return normalize(torch.randn(B, P, T, D, generator=generator, dtype=torch.float64), dim=-1)


def everything() -> Tensor:
    return torch.ones(B, P, T, dtype=torch.bool)


def run(contextualizer: VideoContextualizer, frames: Tensor, mask: Tensor) -> Contexts:
    with torch.no_grad():
        return contextualizer(frames, frame_mask_BPT=mask)


def test_outputs_are_normalised_and_differ(contextualizer: VideoContextualizer, frames: Tensor):
    found = run(contextualizer, frames, everything())
    assert found.video_BD.shape == (B, D)
    assert found.event_BPD.shape == (B, P, D)
    for rows in (found.video_BD, found.event_BPD):
        torch.testing.assert_close(rows.norm(dim=-1), torch.ones_like(rows[..., 0]))
    assert (found.event_BPD[:, 0] - found.event_BPD[:, 1]).norm(dim=-1).min() > 1e-3
    assert (found.video_BD - found.event_BPD[:, 0]).norm(dim=-1).min() > 1e-3


def test_every_frame_reaches_every_output(contextualizer: VideoContextualizer, frames: Tensor):
    """Else the masks below would have nothing to hide."""
    before = run(contextualizer, frames, everything())
    for p in range(P):
        for t in range(T):
            changed = frames.clone()
            changed[0, p, t] *= -1
            after = run(contextualizer, changed, everything())
            assert (after.video_BD[0] - before.video_BD[0]).norm() > 1e-6
            assert (after.event_BPD[0] - before.event_BPD[0]).norm(dim=-1).min() > 1e-6
            assert torch.equal(after.video_BD[1], before.video_BD[1])


@pytest.mark.parametrize("content", [0.0, 1e6, -3.0])
def test_missing_frames_and_events_influence_nothing(
    contextualizer: VideoContextualizer, frames: Tensor, content: float
):
    mask = everything()
    mask[0, 1, 2:] = False  # two frames of an event
    mask[0, 2] = False  # a whole event
    mask[1, 0, 0] = False
    before = run(contextualizer, frames, mask)
    after = run(contextualizer, frames.masked_fill(~mask[..., None], content), mask)
    torch.testing.assert_close(after.video_BD, before.video_BD, atol=1e-12, rtol=0)
    present = mask.any(dim=2)
    torch.testing.assert_close(
        after.event_BPD[present], before.event_BPD[present], atol=1e-12, rtol=0
    )
    assert after.event_BPD.isfinite().all(), "meaningless, but finite"


def test_padding_to_more_events_and_frames_changes_nothing(
    contextualizer: VideoContextualizer, frames: Tensor
):
    before = run(contextualizer, frames, everything())
    padded = torch.full((B, P + 2, T + 3, D), 9.0, dtype=torch.float64)
    padded[:, :P, :T] = frames
    mask = torch.zeros(B, P + 2, T + 3, dtype=torch.bool)
    mask[:, :P, :T] = True
    after = run(contextualizer, padded, mask)
    torch.testing.assert_close(after.video_BD, before.video_BD, atol=1e-12, rtol=0)
    torch.testing.assert_close(after.event_BPD[:, :P], before.event_BPD, atol=1e-12, rtol=0)


def test_a_missing_event_in_the_middle_keeps_the_places_of_the_others(
    contextualizer: VideoContextualizer, frames: Tensor
):
    mask = everything()
    mask[:, 1] = False
    with_gap = run(contextualizer, frames, mask)
    moved_up = run(contextualizer, frames[:, [0, 2]], everything()[:, :2])
    # Event 2 still sits at place 2: not the same as a video of two events.
    assert (with_gap.event_BPD[:, 2] - moved_up.event_BPD[:, 1]).norm(dim=-1).min() > 1e-4


def test_order_matters(contextualizer: VideoContextualizer, frames: Tensor):
    before = run(contextualizer, frames, everything())
    for permuted in (frames.flip(1), frames.flip(2)):
        after = run(contextualizer, permuted, everything())
        assert (after.video_BD - before.video_BD).norm(dim=-1).min() > 1e-5


def test_a_video_does_not_see_its_neighbours(contextualizer: VideoContextualizer, frames: Tensor):
    together = run(contextualizer, frames, everything())
    alone = run(contextualizer, frames[1:], everything()[1:])
    torch.testing.assert_close(alone.video_BD[0], together.video_BD[1], atol=1e-12, rtol=0)


def test_a_video_without_any_frame_is_finite(contextualizer: VideoContextualizer, frames: Tensor):
    found = run(contextualizer, frames, torch.zeros(B, P, T, dtype=torch.bool))
    assert found.video_BD.isfinite().all()


def test_training_and_evaluation_agree(contextualizer: VideoContextualizer, frames: Tensor):
    """No dropout, and the fast path of evaluation computes the same."""
    before = run(contextualizer, frames, everything())
    contextualizer.train()
    try:
        after = run(contextualizer, frames, everything())
    finally:
        contextualizer.eval()
    torch.testing.assert_close(after.video_BD, before.video_BD, atol=1e-12, rtol=0)


def test_masked_frames_get_no_gradient(contextualizer: VideoContextualizer, frames: Tensor):
    mask = everything()
    mask[0, 1, 2:] = False
    frames = frames.requires_grad_()
    found = contextualizer(frames, frame_mask_BPT=mask)
    # Not the plain sum: the final norm makes it 0 whatever the frames are.
    weight_D = torch.arange(D, dtype=torch.float64)
    (found.video_BD @ weight_D).sum().add((found.event_BPD @ weight_D).sum()).backward()
    assert frames.grad is not None
    assert torch.equal(frames.grad.norm(dim=-1) > 1e-6, mask)
    assert not frames.grad[~mask].any()


@pytest.mark.parametrize(("num_events", "num_frames"), [(MAX_POSITIONS + 1, 1), (1, 33)])
def test_too_many_events_or_frames_are_refused_by_name(
    contextualizer: VideoContextualizer, num_events: int, num_frames: int
):
    frames = torch.zeros(1, num_events, num_frames, D, dtype=torch.float64)
    mask = torch.ones(1, num_events, num_frames, dtype=torch.bool)
    with pytest.raises(ModelError, match="has 32 places"):
        contextualizer(frames, frame_mask_BPT=mask)


def test_the_most_events_and_frames_fit(contextualizer: VideoContextualizer):
    frames = torch.zeros(1, MAX_POSITIONS, MAX_POSITIONS, D, dtype=torch.float64)
    mask = torch.ones(1, MAX_POSITIONS, MAX_POSITIONS, dtype=torch.bool)
    assert run(contextualizer, frames, mask).event_BPD.shape == (1, MAX_POSITIONS, D)


def test_heads_must_divide_the_width():
    with pytest.raises(ModelError, match="a width of 48 does not split into heads of 32"):
        VideoContextualizer(48, num_layers=1, head_dim=32)


def test_parameters_by_hand():
    dim, layers = 32, 6
    contextualizer = VideoContextualizer(dim, num_layers=layers, head_dim=16)
    attention = 4 * dim * dim + 4 * dim
    feed_forward = 2 * dim * 4 * dim + 4 * dim + dim
    norms = 2 * 2 * dim
    places = (3 + 32 + 32) * dim
    expected = layers * (attention + feed_forward + norms) + 2 * dim + places
    assert sum(p.numel() for p in contextualizer.parameters()) == expected
    embeddings = torch.cat(
        [contextualizer.event_embedding.weight, contextualizer.frame_embedding.weight]
    )
    assert embeddings.std().item() == pytest.approx(0.02, rel=4 / math.sqrt(2 * 64 * dim))


@pytest.mark.parametrize("num_frames", [3, 4, 8, 10])
def test_a_clip_is_an_event_or_several(
    contextualizer: VideoContextualizer, frames: Tensor, num_frames: int
):
    clips = frames.flatten(1, 2)[:, :num_frames]
    with torch.no_grad():
        found = contextualizer.pool(clips, frames_per_event=T)
    mask = torch.arange(P * T).unflatten(0, (P, T)).expand(B, -1, -1) < num_frames
    expected = run(contextualizer, frames, mask)
    # One event is the event's own output; what is missing changes nothing.
    one = expected.event_BPD[:, 0] if num_frames <= T else expected.video_BD
    torch.testing.assert_close(found, one)
