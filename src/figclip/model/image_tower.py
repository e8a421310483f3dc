"""CLIP's image tower, computed with less work than module by module; the same numbers but rounding.

Four things are done otherwise than in `transformers`, whose modules and weights stay as they are:
query, key and value become one product, with LoRA merged into its weights; QuickGELU's
factor is folded into the products beside it; the last layer computes its output for the class
token alone, the only one that is read; patches are embedded by a matrix product.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPModel
from transformers.models.clip.modeling_clip import (
    CLIPMLP,
    CLIPAttention,
    CLIPEncoderLayer,
    CLIPVisionModel,
)

ADAPTER_NAME = "default"
"""PEFT's name of the one adapter."""

QUICK_GELU_FACTOR = 1.702


def encode_pixels(clip: CLIPModel, pixels_NCHW: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D"]:
    """What `clip.vision_model` pools, projected into the joint embedding; not normalised.

    The CLIP may have LoRA on queries, keys and values. Pixels are normalised, and the embeddings
    are of the type of the products.

    Source:
        transformers 5.23, `CLIPVisionModel.forward`, the oracle of tests/model/test_image_tower.py.
    """
    tower = clip.vision_model
    tokens_NLC = tower.pre_layrnorm(_embed_patches(tower, pixels_NCHW))
    *layers, last = tower.encoder.layers
    for layer in layers:
        tokens_NLC = _layer(layer, tokens_NLC, num_read=tokens_NLC.shape[1])
    class_NC = _layer(last, tokens_NLC, num_read=1)[:, 0]
    return clip.visual_projection(tower.post_layernorm(class_NC))


def _embed_patches(tower: CLIPVisionModel, pixels_NCHW: Tensor) -> Tensor:
    """The class token and the patches, with their positions: N, L, C."""
    embeddings = tower.embeddings
    weight = embeddings.patch_embedding.weight
    side = weight.shape[-1]
    num, channels, height, width = pixels_NCHW.shape
    grid = pixels_NCHW.reshape(num, channels, height // side, side, width // side, side)
    patches_NPX = grid.permute(0, 2, 4, 1, 3, 5).reshape(num, -1, channels * side * side)
    patches_NPC = functional.linear(patches_NPX, weight.flatten(1))
    class_NLC = embeddings.class_embedding.to(patches_NPC.dtype).expand(num, 1, -1)
    return torch.cat([class_NLC, patches_NPC], dim=1) + embeddings.position_embedding.weight


def _layer(layer: nn.Module, tokens_NLC: Tensor, *, num_read: int) -> Tensor:
    """One layer's output for the first `num_read` tokens."""
    assert isinstance(layer, CLIPEncoderLayer)
    attended_NLC = _attention(layer.self_attn, layer.layer_norm1(tokens_NLC), num_read=num_read)
    tokens_NLC = tokens_NLC[:, :num_read] + attended_NLC
    return tokens_NLC + _mlp(layer.mlp, layer.layer_norm2(tokens_NLC))


def _attention(attention: CLIPAttention, tokens_NLC: Tensor, *, num_read: int) -> Tensor:
    """Self-attention of the first `num_read` tokens to all."""
    query, key, value = attention.q_proj, attention.k_proj, attention.v_proj
    if num_read == tokens_NLC.shape[1]:
        projected = _project(tokens_NLC, [query, key, value])
    else:
        projected = [
            *_project(tokens_NLC[:, :num_read], [query]),
            *_project(tokens_NLC, [key, value]),
        ]
    query_NHLC, key_NHLC, value_NHLC = (
        one.unflatten(-1, (-1, attention.head_dim)).transpose(1, 2) for one in projected
    )
    mixed_NHLC = functional.scaled_dot_product_attention(
        query_NHLC, key_NHLC, value_NHLC, scale=attention.scale
    )
    return attention.out_proj(mixed_NHLC.transpose(1, 2).flatten(2))


def _mlp(mlp: CLIPMLP, tokens_NLC: Tensor) -> Tensor:
    """Two products with an activation between; x sigmoid(f x) is silu(f x) / f."""
    if mlp.config.hidden_act != "quick_gelu":
        return mlp.fc2(mlp.activation_fn(mlp.fc1(tokens_NLC)))
    factor = QUICK_GELU_FACTOR
    rows = tokens_NLC.flatten(0, 1)
    hidden = torch.addmm(mlp.fc1.bias, rows, mlp.fc1.weight.t(), beta=factor, alpha=factor)
    out = torch.addmm(mlp.fc2.bias, functional.silu(hidden), mlp.fc2.weight.t(), alpha=1 / factor)
    return out.view(tokens_NLC.shape)


def _project(tokens_NLC: Tensor, layers: Sequence[nn.Module]) -> tuple[Tensor, ...]:
    """Several projections of the same tokens, by one product."""
    adapted = [one for one in layers if isinstance(one, LoraLinear)]
    assert len(adapted) in (0, len(layers)), "LoRA is on all of query, key and value, or on none"
    plain = [_linear(one) for one in layers]
    device = tokens_NLC.device.type
    autocast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if autocast else plain[0].weight.dtype
    tokens = tokens_NLC.to(dtype)
    weight = torch.cat([one.weight for one in plain]).to(dtype)
    bias = torch.cat([one.bias for one in plain]).to(dtype)
    if not adapted:
        out = functional.linear(tokens, weight, bias)
    else:
        a_MRD, b_MDR = (torch.stack(tuple(matrices)).to(dtype) for matrices in _low_rank(adapted))
        # Half precision would round a small adaptation away if it were added to the weights.
        project = _unmerged if autocast else _MergedProjections.apply
        out = project(tokens, weight, bias, a_MRD, b_MDR)
        assert isinstance(out, Tensor)
    return tuple(out.chunk(len(layers), dim=-1))


def _unmerged(
    tokens_NLC: Tensor, weight: Tensor, bias: Tensor, a_MRD: Tensor, b_MDR: Tensor
) -> Tensor:
    """As `_MergedProjections`, with the adaptation beside the weights as PEFT has it."""
    num, rank, _ = a_MRD.shape
    low_NLMR = functional.linear(tokens_NLC, a_MRD.flatten(0, 1)).unflatten(-1, (num, rank))
    added_NLMD = torch.einsum("nlmr,mdr->nlmd", low_NLMR, b_MDR)
    return functional.linear(tokens_NLC, weight, bias) + added_NLMD.flatten(2)


def _linear(layer: nn.Module) -> nn.Linear:
    """The layer below LoRA, or itself."""
    plain = layer.get_base_layer() if isinstance(layer, LoraLinear) else layer
    assert isinstance(plain, nn.Linear)
    return plain


def _low_rank(layers: Sequence[LoraLinear]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """A of each, and B of each times LoRA's own scale."""
    a = [one.lora_A[ADAPTER_NAME].get_parameter("weight") for one in layers]
    b = [
        one.lora_B[ADAPTER_NAME].get_parameter("weight") * one.scaling[ADAPTER_NAME]
        for one in layers
    ]
    return a, b


class _MergedProjections(torch.autograd.Function):
    """Products with W + B A, whose gradient goes to A and B without that of the whole W."""

    @staticmethod
    def forward(
        ctx: Any, tokens: Tensor, weight: Tensor, bias: Tensor, a_MRD: Tensor, b_MDR: Tensor
    ) -> Tensor:
        """M products side by side; `weight` and `bias` are frozen."""
        merged = weight + torch.bmm(b_MDR, a_MRD).flatten(0, 1)
        ctx.save_for_backward(tokens, merged, a_MRD, b_MDR)
        return functional.linear(tokens, merged, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of tokens, A and B."""
        (out_gradient,) = gradients
        tokens, merged, a_MRD, b_MDR = ctx.saved_tensors
        num, rank, _ = a_MRD.shape
        rows = tokens.flatten(0, -2)
        gradient_MND = out_gradient.flatten(0, -2).unflatten(-1, (num, -1)).transpose(0, 1)
        low_MNR = (rows @ a_MRD.flatten(0, 1).t()).unflatten(-1, (num, rank)).transpose(0, 1)
        b_gradient = torch.bmm(gradient_MND.transpose(1, 2), low_MNR)
        back_NMR = torch.bmm(gradient_MND, b_MDR).transpose(0, 1).flatten(1)
        a_gradient = (back_NMR.t() @ rows).view_as(a_MRD)
        tokens_gradient = out_gradient @ merged if ctx.needs_input_grad[0] else None
        return tokens_gradient, None, None, a_gradient, b_gradient
