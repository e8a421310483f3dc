"""The layers of an encoder start apart, each as torch starts a layer, under torch's own names."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import nn

from figclip.config import EventQueries, TransformerConfig
from figclip.heads.captioning.head import CaptioningHead
from figclip.heads.situations.head import SituationHead
from figclip.model.contextualizer import VideoContextualizer, build_encoder

D, LAYERS = 32, 3
SIZE = TransformerConfig(width=D, heads=2, encoder_layers=LAYERS, decoder_layers=LAYERS)


def stacks(module: nn.Module) -> list[nn.ModuleList]:
    """All stacks of alike layers in a model."""
    found = [m for m in module.modules() if isinstance(m, nn.ModuleList)]
    assert all(len(stack) == LAYERS for stack in found)
    return found


def build_all() -> list[tuple[nn.Module, int]]:
    """Everything that has layers, and how many stacks of them each has."""
    torch.manual_seed(0)
    queries = EventQueries(num=4, decoder_layers=LAYERS)
    return [
        (VideoContextualizer(D, num_layers=LAYERS, head_dim=16), 1),
        (
            SituationHead(
                D,
                num_verbs=3,
                num_relations=2,
                num_tokens=9,
                num_marks=2,
                size=SIZE,
                relations_read="words",
            ),
            2,
        ),
        (CaptioningHead(D, num_tokens=9, size=SIZE, queries=queries), 3),
    ]


@pytest.mark.parametrize("which", range(3), ids=["contextualizer", "situations", "captioning"])
def test_no_two_layers_start_alike(which: int):
    module, num_stacks = build_all()[which]
    assert len(stacks(module)) == num_stacks
    for stack in stacks(module):
        for one, other in combinations(stack, 2):
            theirs = dict(other.named_parameters())
            for name, weight in one.named_parameters():
                if weight.dim() == 2:
                    assert (weight - theirs[name]).abs().mean() > 0.01, name


def test_weights_start_as_the_docstring_says():
    torch.manual_seed(0)
    encoder = build_encoder(D, num_layers=LAYERS, num_heads=2, dropout=0.0)
    expected = {
        "self_attn.in_proj_weight": (2 * D) ** -0.5,
        "self_attn.out_proj.weight": (3 * D) ** -0.5,
        "linear1.weight": (3 * D) ** -0.5,
        "linear2.weight": (3 * 4 * D) ** -0.5,
    }
    for layer in encoder.layers:
        weights = dict(layer.named_parameters())
        for name, std in expected.items():
            assert weights[name].std().item() == pytest.approx(std, rel=0.06), name
        assert not weights["self_attn.in_proj_bias"].any()
        assert not weights["self_attn.out_proj.bias"].any()
        assert weights["linear1.bias"].abs().max() <= D**-0.5


def test_names_and_shapes_are_those_of_torch():
    """So that contextualizers and heads written before open."""
    layer = nn.TransformerEncoderLayer(D, 2, dim_feedforward=4 * D)
    before = nn.TransformerEncoder(
        layer, LAYERS, norm=nn.LayerNorm(D), enable_nested_tensor=False
    ).state_dict()
    encoder = build_encoder(D, num_layers=LAYERS, num_heads=2, dropout=0.1)
    encoder.load_state_dict(before)
    assert list(encoder.state_dict()) == list(before)
    assert torch.equal(encoder.layers[2].get_parameter("linear1.weight"), layer.linear1.weight)
