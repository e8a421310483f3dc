"""The encoder of frames is torch's, in less memory."""

from __future__ import annotations

import pytest
import torch

from figclip.heads.captioning.parts import parts_of_videos, sentences_at_once
from figclip.heads.captioning.temporal import FrameEncoder
from figclip.model.contextualizer import build_encoder


def test_weights_and_outputs_are_those_of_torch():
    """Also with padding; heads of earlier versions are hence read, and say what they said."""
    torch.manual_seed(3)
    theirs = build_encoder(16, num_layers=2, num_heads=4, dropout=0.1).eval()
    torch.manual_seed(3)
    ours = FrameEncoder(16, num_layers=2, num_heads=4, dropout=0.1).eval()
    drawn, expected = ours.state_dict(), theirs.state_dict()
    assert drawn.keys() == expected.keys()
    assert all(drawn[name].equal(expected[name]) for name in drawn)
    present_BS = torch.arange(9) < torch.tensor([[9], [4]])
    frames_BSD = torch.randn(2, 9, 16)
    for present in (present_BS, torch.ones_like(present_BS)):
        found = ours(frames_BSD, present_BS=present)
        wanted = theirs(frames_BSD, src_key_padding_mask=~present)
        torch.testing.assert_close(found[present], wanted[present])


@pytest.mark.parametrize(
    ("num_frames", "expected"),
    [
        ([], []),
        ([9000], [range(1)]),
        ([4096, 4096, 1], [range(2), range(2, 3)]),
        ([1, 4096, 4096], [range(2), range(2, 3)]),
        ([1, 1, 9000, 1, 1, 1, 1], [range(2), range(2, 3), range(3, 6), range(6, 7)]),
    ],
)
def test_videos_that_go_at_once(num_frames: list[int], expected: list[range]):
    """Padding counts, and of short videos three at most are taken."""
    assert list(parts_of_videos(num_frames, most_videos=3)) == expected


def test_sentences_that_go_at_once():
    assert [sentences_at_once(num) for num in (100, 4096, 8192, 10_000)] == [81, 2, 1, 1]
