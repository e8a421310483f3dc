"""Which weights of a CLIP are trained, and at what strength: LoRA through PEFT, or everything.

Weights are merged in float64 on the CPU, wherever they are: Apple's GPUs have no float64.
"""

import copy
from collections.abc import Mapping

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn

from figclip.config import Adaptation
from figclip.errors import ModelError
from figclip.model.backbone import Backbone
from figclip.model.families import logit_parameters
from figclip.model.image_tower import ADAPTER_NAME

TOWER_PATTERNS = {
    "lora_image": r"vision_model\.encoder\.layers\.\d+\.self_attn\.(q|k|v)_proj",
    "lora_text": r"text_model\.encoder\.layers\.\d+\.self_attn\.(q|k|v)_proj",
    "lora_both": r"(vision|text)_model\.encoder\.layers\.\d+\.self_attn\.(q|k|v)_proj",
}
"""Full names, not a list of suffixes: `["q_proj", …]` would also match the other tower."""


def add_adaptation(
    backbone: Backbone, adaptation: Adaptation, *, rank: int, lora_alpha: float, seed: int
) -> PeftModel | None:
    """Freeze the backbone and make what the adaptation trains trainable, in place.

    Its `clip` keeps its identity: LoRA layers wrap the projections. `rank` is LoRA's r (ViT-B/32 at
    64 on the image tower: 3,538,944 trained parameters), and its own scale is lora_alpha / rank.
    `seed` is that of LoRA's A matrices; B starts at zero, so the model starts as the base.

    Returns:
        The PEFT model that saves the adapter, or None for full fine-tuning.

    Raises:
        ModelError: no layer to adapt.
    """
    if adaptation == "full":
        backbone.clip.requires_grad_(True)
        for parameter in logit_parameters(backbone.clip).values():
            parameter.requires_grad_(False)
        return None
    config = LoraConfig(
        r=rank,
        lora_alpha=lora_alpha,  # pyright: ignore[reportArgumentType] - typed int, works as float
        target_modules=TOWER_PATTERNS[adaptation],
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            adapted = get_peft_model(backbone.clip, config, adapter_name=ADAPTER_NAME)
        except ValueError as error:  # PEFT's way to say that nothing matches
            raise ModelError(
                "no layer of this CLIP matches the LoRA pattern", where=backbone.name
            ) from error
    assert isinstance(adapted, PeftModel)
    return adapted


def lora_layers(clip: nn.Module) -> dict[str, LoraLinear]:
    """The projections that carry LoRA, by their name in the plain CLIP."""
    return {name: m for name, m in clip.named_modules() if isinstance(m, LoraLinear)}


def plain_copy(backbone: Backbone) -> Backbone:
    """A copy without LoRA layers, at strength 0; it takes what `plain_state` returns."""
    plain = copy.deepcopy(backbone)
    for name, layer in lora_layers(plain.clip).items():
        parent, _, own_name = name.rpartition(".")
        setattr(plain.clip.get_submodule(parent), own_name, layer.get_base_layer())
    return plain


def plain_state(clip: nn.Module, *, alpha: float) -> dict[str, Tensor]:
    """Weights of a plain CLIP with the adaptation merged at a strength.

    Names and shapes are those of `transformers.CLIPModel.state_dict()`. LoRA layers may be at any
    current strength; without any `alpha` must be 1.
    """
    deltas = {
        f"{name}.weight": _low_rank_product(
            layer.lora_A[ADAPTER_NAME].weight, layer.lora_B[ADAPTER_NAME].weight
        )
        * (layer.lora_alpha[ADAPTER_NAME] / layer.r[ADAPTER_NAME])
        for name, layer in lora_layers(clip).items()
    }
    assert deltas or alpha == 1.0, "a full fine-tune is scaled against its base, not here"
    state: dict[str, Tensor] = {}
    for name, tensor in clip.state_dict().items():
        if ".lora_" not in name:
            plain = name.replace(".base_layer", "")
            state[plain] = _shifted(tensor.detach(), deltas.get(plain), by=alpha)
    return state


def shift_strength(
    state: Mapping[str, Tensor], adapter: Mapping[str, Tensor], *, by: float, lora_scale: float
) -> dict[str, Tensor]:
    """Move merged weights along their adaptation: W + by · s · B A. No base is needed.

    `state` has the adaptation merged at some alpha0, and `by` is alpha - alpha0; s, `lora_scale`,
    is lora_alpha / rank. `adapter` holds PEFT's `….q_proj.lora_A.weight` and `lora_B`.

    Raises:
        ModelError: the adapter does not fit the weights.
    """
    shifted = dict(state)
    lora_a = {name: a for name, a in adapter.items() if name.endswith(".lora_A.weight")}
    if not lora_a:
        raise ModelError(
            "the adapter holds no LoRA matrices", fix="Get the model folder's adapter/ again."
        )
    for name, a_RD in lora_a.items():
        prefix = name.removesuffix(".lora_A.weight")
        plain = prefix.removeprefix("base_model.model.") + ".weight"
        b_DR = adapter.get(f"{prefix}.lora_B.weight")
        fits = (
            b_DR is not None
            and (a_RD.ndim, b_DR.ndim) == (2, 2)
            and plain in shifted
            and tuple(shifted[plain].shape) == (b_DR.shape[0], a_RD.shape[1])
            and a_RD.shape[0] == b_DR.shape[1]
        )
        if not fits or b_DR is None:
            raise ModelError(
                f"adapter tensor {name} does not fit the weights",
                fix="The folder's adapter/ belongs to another model.",
            )
        delta = _low_rank_product(a_RD, b_DR) * lora_scale
        shifted[plain] = _shifted(shifted[plain], delta, by=by)
    return shifted


def interpolate(
    base: Mapping[str, Tensor], adapted: Mapping[str, Tensor], *, alpha: float
) -> dict[str, Tensor]:
    """Weights between base and a full fine-tune: base + alpha (adapted - base), in fp64."""
    return {
        name: _shifted(base[name], _exact(tensor) - _exact(base[name]), by=alpha)
        for name, tensor in adapted.items()
    }


def _low_rank_product(a_RD: Tensor | nn.Module, b_DR: Tensor | nn.Module) -> Tensor:
    """B A in fp64, so that merging adds one rounding, not two."""
    assert isinstance(a_RD, Tensor) and isinstance(b_DR, Tensor)
    return _exact(b_DR) @ _exact(a_RD)


def _shifted(weight: Tensor, delta: Tensor | None, *, by: float) -> Tensor:
    """Weight + by · delta, computed in fp64 and rounded once; bit-equal when by is 0."""
    if delta is None or by == 0.0:
        return weight
    return (_exact(weight) + by * delta).to(weight.dtype).to(weight.device)


def _exact(tensor: Tensor) -> Tensor:
    """In float64, on the CPU."""
    return tensor.detach().cpu().double()
