"""An image tower, computed with less work than module by module; the same numbers but rounding.

Four things are done otherwise than in `transformers`, whose modules and weights stay as they are:
query, key and value become one product, with LoRA merged into its weights; QuickGELU's
factor is folded into the products beside it; the last layer computes its output for the class
token alone, where it is the only one that is read (SigLIP pools all patches); patches are embedded
by a matrix product.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import SiglipVisionModel
from transformers.models.clip.modeling_clip import CLIPMLP, CLIPAttention, CLIPEncoderLayer
from transformers.models.metaclip_2.modeling_metaclip_2 import (
    MetaClip2Attention,
    MetaClip2EncoderLayer,
    MetaClip2MLP,
)
from transformers.models.siglip.modeling_siglip import (
    SiglipAttention,
    SiglipEncoderLayer,
    SiglipMLP,
)

from figclip.model.families import DualEncoder, VisionTower, projection

ADAPTER_NAME = "default"
"""PEFT's name of the one adapter."""

QUICK_GELU_FACTOR = 1.702

MergedWeights: TypeAlias = tuple[Tensor, ...]
"""Weights of query, key and value of each layer, joined, with LoRA in them."""

_Layer: TypeAlias = CLIPEncoderLayer | MetaClip2EncoderLayer | SiglipEncoderLayer
_Attention: TypeAlias = CLIPAttention | MetaClip2Attention | SiglipAttention
_Mlp: TypeAlias = CLIPMLP | MetaClip2MLP | SiglipMLP

_Branch: TypeAlias = Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]
"""Adds to tokens what a function makes of them."""


def merge_weights(clip: DualEncoder) -> MergedWeights | None:
    """What `encode_pixels` would join and merge again for every batch, as the weights are now.

    Returns:
        None where a product depends on more than these: trained weights, or half precision.
    """
    attentions = [_attention_of(layer) for layer in clip.vision_model.encoder.layers]
    projections = [[a.q_proj, a.k_proj, a.v_proj] for a in attentions]
    linears = [_linear(one) for layer in projections for one in layer]
    trained = any(one.weight.requires_grad for one in linears)
    if trained or torch.is_autocast_enabled(clip.device.type):
        return None
    with torch.no_grad():
        return tuple(_merged(layer) for layer in projections)


def encode_pixels(
    clip: DualEncoder,
    pixels_NCHW: Float[Tensor, "N C H W"],
    *,
    merged: MergedWeights | None = None,
    lean: bool = False,
    projected: bool = True,
) -> Float[Tensor, "N D"]:
    """What `clip.vision_model` pools, projected into the joint embedding or not; not normalised.

    The CLIP may have LoRA on queries, keys and values. Pixels are normalised, and the embeddings
    are of the type of the products. `merged`, of `merge_weights` since the weights changed last,
    saves work where many batches are encoded; it changes nothing. A `lean` graph holds a sixth:
    what goes into attentions and MLPs. Backward computes the rest again, three fifths of the
    forward, to the same bits.

    Source:
        transformers 5.23, `CLIPVisionModel.forward` and `SiglipVisionModel.forward`, the oracles of
        tests/model/test_image_tower.py.
    """
    tower = clip.vision_model
    tokens_NLC = _embed_patches(tower, pixels_NCHW)
    layers = tower.encoder.layers
    # Taken before what comes and goes: held between that, it would leave holes in the heap that
    # are several times its size (glibc's malloc).
    places = [torch.empty_like(tokens_NLC) for _ in range(2 * len(layers) - 2)] if lean else []
    for layer, weight in zip(layers, merged or [None] * len(layers), strict=True):
        num_read = tokens_NLC.shape[1]
        if layer is layers[-1] and not isinstance(tower, SiglipVisionModel):
            num_read = 1  # the class token
        run = partial(_computed_again, places=places) if lean else _added
        tokens_NLC = _layer(layer, tokens_NLC, num_read=num_read, merged=weight, run=run)
    if isinstance(tower, SiglipVisionModel):
        return tower.get_submodule("head")(tower.post_layernorm(tokens_NLC))
    pooled_ND = tower.post_layernorm(tokens_NLC[:, 0])
    return projection(clip, "visual")(pooled_ND) if projected else pooled_ND


def _embed_patches(tower: VisionTower, pixels_NCHW: Tensor) -> Tensor:
    """What the layers read: patches with their positions, behind the class token if there is one.

    The layer norm before the layers is in it; N, L, C.
    """
    embeddings = tower.embeddings
    patch = embeddings.patch_embedding
    side = patch.weight.shape[-1]
    num, channels, *edges = pixels_NCHW.shape
    rows, columns = (edge // side for edge in edges)
    whole_NCHW = pixels_NCHW[:, :, : rows * side, : columns * side]  # a rest is not looked at
    grid = whole_NCHW.reshape(num, channels, rows, side, columns, side)
    patches_NPX = grid.permute(0, 2, 4, 1, 3, 5).reshape(num, -1, channels * side * side)
    patches_NPC = functional.linear(patches_NPX, patch.weight.flatten(1), patch.bias)
    if isinstance(tower, SiglipVisionModel):
        return patches_NPC + embeddings.position_embedding.weight
    class_NLC = tower.embeddings.class_embedding.to(patches_NPC.dtype).expand(num, 1, -1)
    tokens_NLC = torch.cat([class_NLC, patches_NPC], dim=1) + embeddings.position_embedding.weight
    return tower.pre_layrnorm(tokens_NLC)


def _layer(
    layer: nn.Module, tokens_NLC: Tensor, *, num_read: int, merged: Tensor | None, run: _Branch
) -> Tensor:
    """One layer's output for the first `num_read` tokens."""
    assert isinstance(layer, _Layer)

    def attend(tokens_NLC: Tensor) -> Tensor:
        normed_NLC = layer.layer_norm1(tokens_NLC)
        return _attention(layer.self_attn, normed_NLC, num_read=num_read, merged=merged)

    def think(tokens_NLC: Tensor) -> Tensor:
        return _mlp(layer.mlp, layer.layer_norm2(tokens_NLC))

    return run(think, run(attend, tokens_NLC))


def _added(branch: Callable[[Tensor], Tensor], tokens_NLC: Tensor) -> Tensor:
    """Tokens, of which a branch may read the first only, and what it makes of them."""
    out_NLC = branch(tokens_NLC)
    return tokens_NLC[:, : out_NLC.shape[1]] + out_NLC


def _computed_again(
    branch: Callable[[Tensor], Tensor], tokens_NLC: Tensor, *, places: list[Tensor]
) -> Tensor:
    """`_added` with a graph that holds the tokens only, in a place taken beforehand.

    Computing again stops at what the graph holds: a branch's last product is not computed twice.
    """
    again = partial(checkpoint, branch, use_reentrant=False, preserve_rng_state=False)
    added_NLC = _added(again, tokens_NLC)
    return places.pop().copy_(added_NLC) if places else added_NLC


def _attention(
    attention: _Attention, tokens_NLC: Tensor, *, num_read: int, merged: Tensor | None
) -> Tensor:
    """Self-attention of the first `num_read` tokens to all."""
    layers = [attention.q_proj, attention.k_proj, attention.v_proj]
    if num_read == tokens_NLC.shape[1]:
        projected = _project(tokens_NLC, layers, merged=merged)
    else:
        # Views of the weights, not copies.
        query, rest = (None, None) if merged is None else merged.tensor_split([len(merged) // 3])
        projected = [
            *_project(tokens_NLC[:, :num_read], layers[:1], merged=query),
            *_project(tokens_NLC, layers[1:], merged=rest),
        ]
    query_NHLC, key_NHLC, value_NHLC = (
        one.unflatten(-1, (-1, attention.head_dim)).transpose(1, 2) for one in projected
    )
    mixed_NHLC = functional.scaled_dot_product_attention(
        query_NHLC, key_NHLC, value_NHLC, scale=attention.scale
    )
    return attention.out_proj(mixed_NHLC.transpose(1, 2).flatten(2))


def _mlp(mlp: _Mlp, tokens_NLC: Tensor) -> Tensor:
    """Two products with an activation between; x sigmoid(f x) is silu(f x) / f."""
    if mlp.config.hidden_act != "quick_gelu":
        return mlp.fc2(mlp.activation_fn(mlp.fc1(tokens_NLC)))
    factor = QUICK_GELU_FACTOR
    rows = tokens_NLC.flatten(0, 1)
    hidden = torch.addmm(mlp.fc1.bias, rows, mlp.fc1.weight.t(), beta=factor, alpha=factor)
    out = torch.addmm(mlp.fc2.bias, functional.silu(hidden), mlp.fc2.weight.t(), alpha=1 / factor)
    return out.view(tokens_NLC.shape)


def _project(
    tokens_NLC: Tensor, layers: Sequence[nn.Module], *, merged: Tensor | None = None
) -> tuple[Tensor, ...]:
    """Several projections of the same tokens, by one product."""
    adapted = [one for one in layers if isinstance(one, LoraLinear)]
    plain = [_linear(one) for one in layers]
    device = tokens_NLC.device.type
    autocast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if autocast else plain[0].weight.dtype
    tokens = tokens_NLC.to(dtype)
    bias = torch.cat([one.bias for one in plain]).to(dtype)
    if not adapted:
        weight = _joined(plain).to(dtype) if merged is None else merged
        out = functional.linear(tokens, weight, bias)
    elif autocast:
        # Half precision would round a small adaptation away if it were added to the weights.
        a_MRD, b_MDR = (matrices.to(dtype) for matrices in _low_rank(adapted))
        out = _unmerged(tokens, _joined(plain).to(dtype), bias, a_MRD, b_MDR)
    else:
        if merged is None:
            with torch.no_grad():
                merged = _merged(layers)
        out = _MergedProjections.apply(tokens, merged, bias, *_low_rank(adapted))
        assert isinstance(out, Tensor)
    return tuple(out.chunk(len(layers), dim=-1))


def _merged(layers: Sequence[nn.Module]) -> Tensor:
    """Weights of several projections, one below the other, with LoRA in them."""
    adapted = [one for one in layers if isinstance(one, LoraLinear)]
    assert len(adapted) in (0, len(layers)), "LoRA is on all of query, key and value, or on none"
    weight = _joined([_linear(one) for one in layers])
    if not adapted:
        return weight
    a_MRD, b_MDR = _low_rank(adapted)
    return weight + torch.bmm(b_MDR, a_MRD).flatten(0, 1)


def _joined(layers: Sequence[nn.Linear]) -> Tensor:
    """Weights, one below the other."""
    return torch.cat([one.weight for one in layers])


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


def _attention_of(layer: nn.Module) -> _Attention:
    """The self-attention of a layer."""
    assert isinstance(layer, _Layer)
    return layer.self_attn


def _low_rank(layers: Sequence[LoraLinear]) -> tuple[Tensor, Tensor]:
    """A of each, and B of each times LoRA's own scale: M, R, D and M, D, R."""
    a: list[Tensor] = [one.lora_A[ADAPTER_NAME].get_parameter("weight") for one in layers]
    b = [
        one.lora_B[ADAPTER_NAME].get_parameter("weight") * one.scaling[ADAPTER_NAME]
        for one in layers
    ]
    return torch.stack(a), torch.stack(b)


class _MergedProjections(torch.autograd.Function):
    """Products with W + B A, whose gradient goes to A and B without that of the whole W."""

    @staticmethod
    def forward(
        ctx: Any, tokens: Tensor, merged: Tensor, bias: Tensor, a_MRD: Tensor, b_MDR: Tensor
    ) -> Tensor:
        """M products side by side; `merged` is W + B A of each, `bias` is frozen."""
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
