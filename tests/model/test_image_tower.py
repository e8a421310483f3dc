"""The lean image tower against transformers' own, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

from figclip.config import Adaptation
from figclip.model.backbone import IMAGENET, Backbone, Preprocessing
from figclip.model.image_tower import ADAPTER_NAME, _project, encode_pixels, merge_weights
from figclip.model.lora import add_adaptation, lora_layers
from tests.small_clip import byte_tokenizer

SIZE = 24


def build_clip(*, hidden_act: str = "quick_gelu", layers: int = 3, patch: int = 8) -> CLIPModel:
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=layers, num_attention_heads=4,
        image_size=SIZE, patch_size=patch, hidden_act=hidden_act, projection_dim=16,
        initializer_factor=3.0,
    )  # fmt: skip
    text = CLIPTextConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        vocab_size=64, projection_dim=16, hidden_act=hidden_act,
    )  # fmt: skip
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    clip = CLIPModel(config).eval()
    for parameter in clip.parameters():
        if parameter.ndim == 1:  # biases and norms of a fresh model are 0 and 1: they hide mistakes
            torch.nn.init.normal_(parameter, std=0.2)
    return clip


def adapted(clip: CLIPModel, adaptation: Adaptation) -> CLIPModel:
    preprocessing = Preprocessing(image_size=SIZE, mean=IMAGENET.mean, std=IMAGENET.std)
    backbone = Backbone(clip, tokenizer=byte_tokenizer(), preprocessing=preprocessing, name="")
    add_adaptation(backbone, adaptation, rank=3, lora_alpha=6, seed=0)
    torch.manual_seed(1)
    for layer in lora_layers(clip).values():
        torch.nn.init.normal_(layer.lora_B[ADAPTER_NAME].get_parameter("weight"), std=0.3)
    return clip


def pixels(num: int = 5, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(num, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2), dtype=dtype)


def oracle(clip: CLIPModel, pixels_NCHW: Tensor) -> Tensor:
    return clip.visual_projection(clip.vision_model(pixel_values=pixels_NCHW).pooler_output)


@pytest.mark.parametrize("hidden_act", ["quick_gelu", "gelu"])
@pytest.mark.parametrize(("layers", "patch"), [(3, 8), (1, 12), (2, 24)])
def test_it_embeds_as_transformers_does(hidden_act: str, layers: int, patch: int):
    clip = build_clip(hidden_act=hidden_act, layers=layers, patch=patch)
    with torch.no_grad():
        expected = oracle(clip, pixels())
        torch.testing.assert_close(encode_pixels(clip, pixels()), expected, atol=2e-5, rtol=1e-5)
        exact = oracle(clip.double(), pixels(dtype=torch.float64))
        found = encode_pixels(clip, pixels(dtype=torch.float64))
    torch.testing.assert_close(found, exact, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("adaptation", ["lora_image", "lora_text", "lora_both", "full"])
def test_its_gradients_are_those_of_transformers_and_peft(adaptation: Adaptation):
    clip = adapted(build_clip(), adaptation).double()
    frames = pixels(dtype=torch.float64)
    weight = torch.randn(5, 16, dtype=torch.float64)
    gradients: list[dict[str, Tensor]] = []
    for encode in (oracle, encode_pixels):
        clip.zero_grad()
        out = encode(clip, frames)
        if out.requires_grad:
            (out * weight).sum().backward()
        named = clip.named_parameters()
        gradients.append({n: p.grad.clone() for n, p in named if p.grad is not None})
    expected, found = gradients
    assert found.keys() == expected.keys()
    assert bool(found) == (adaptation != "lora_text")
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-10, rtol=1e-8, msg=name)


@pytest.mark.parametrize("adaptation", ["lora_image", "lora_text"])
def test_neither_weights_merged_beforehand_nor_lean_graphs_change_a_bit(adaptation: Adaptation):
    clip = adapted(build_clip(), adaptation)
    merged = merge_weights(clip)
    assert merged is not None and not any(one.requires_grad for one in merged)
    found: list[list[Tensor]] = []
    for given, lean in ((None, False), (merged, False), (merged, True)):
        clip.zero_grad()
        frames = pixels().requires_grad_()
        encode_pixels(clip, frames, merged=given, lean=lean).square().sum().backward()
        trained = [p.grad for p in clip.vision_model.parameters() if p.grad is not None]
        assert frames.grad is not None
        found.append([frames.grad, *trained])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("adaptation", ["lora_image", "full"])
def test_a_lean_graph_holds_less_and_computes_less_than_all_again(adaptation: Adaptation):
    clip = adapted(build_clip(layers=4), adaptation)
    held: dict[bool, int] = {}
    products: dict[bool, int] = {}
    for lean in (False, True):
        sizes: dict[int, int] = {}

        def pack(tensor: Tensor, sizes: dict[int, int] = sizes) -> Tensor:
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            return tensor.detach()

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            out = encode_pixels(clip, pixels(64), lean=lean)
        weights = {p.untyped_storage().data_ptr() for p in clip.parameters()}
        held[lean] = sum(size for pointer, size in sizes.items() if pointer not in weights)
        with FlopCounterMode(display=False) as counter:
            out.square().sum().backward()
        products[lean] = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encode_pixels(clip, pixels(64))
    forward = counter.get_total_flops()
    assert held[True] < (held[False] / 3 if adaptation == "lora_image" else held[False])
    assert 0 < products[True] - products[False] < 0.75 * forward


def test_what_is_merged_is_as_the_weights_are_then():
    clip = adapted(build_clip(), "lora_image")
    before = merge_weights(clip)
    for layer in lora_layers(clip).values():
        layer.lora_B[ADAPTER_NAME].get_parameter("weight").data.mul_(2)
    with torch.no_grad():
        stale = encode_pixels(clip, pixels(), merged=before)
        fresh = encode_pixels(clip, pixels(), merged=merge_weights(clip))
        torch.testing.assert_close(fresh, encode_pixels(clip, pixels()), atol=0, rtol=0)
    assert not torch.allclose(stale, fresh)


def test_nothing_is_merged_where_more_than_lora_counts():
    assert merge_weights(adapted(build_clip(), "full")) is None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert merge_weights(adapted(build_clip(), "lora_image")) is None


def test_the_pixels_get_their_gradient_too():
    clip = adapted(build_clip(), "lora_image").double()
    gradients: list[Tensor] = []
    for encode in (oracle, encode_pixels):
        frames = pixels(dtype=torch.float64).requires_grad_()
        encode(clip, frames).square().sum().backward()
        assert frames.grad is not None
        gradients.append(frames.grad)
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-10, rtol=1e-8)


def test_a_small_adaptation_is_not_rounded_away_under_autocast():
    """Added to bfloat16 weights most of it would be lost: similarity 0.38, beside them 0.70."""
    clip = adapted(build_clip(), "lora_image")
    with torch.no_grad():
        for layer in lora_layers(clip).values():
            layer.lora_B[ADAPTER_NAME].get_parameter("weight").mul_(2e-3)
        torch.manual_seed(0)
        tokens = clip.vision_model.pre_layrnorm(torch.randn(20, 5, 32))
        attention = clip.vision_model.encoder.layers[0].self_attn
        layers = [attention.q_proj, attention.k_proj, attention.v_proj]
        base = [layer.get_base_layer()(tokens) for layer in layers]
        exact = [a - b for a, b in zip(_project(tokens, layers), base, strict=True)]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            projected = _project(tokens, layers)
            unadapted = _project(tokens, [layer.get_base_layer() for layer in layers])
        found = [(a - b).float() for a, b in zip(projected, unadapted, strict=True)]
    similarity = torch.cosine_similarity(torch.cat(found).flatten(), torch.cat(exact).flatten(), 0)
    assert similarity > 0.6


@pytest.mark.parametrize("adaptation", ["lora_image", "full"])
def test_it_trains_under_autocast(adaptation: Adaptation):
    clip = adapted(build_clip(), adaptation)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = oracle(clip, pixels()).float()
        out = encode_pixels(clip, pixels())
    out.float().square().sum().backward()
    # Three digits of bfloat16, over three layers.
    assert (out.float() - expected).norm() / expected.norm() < 0.03
    trained = [p for p in clip.vision_model.parameters() if p.requires_grad]
    assert trained and all(p.grad is not None and p.grad.dtype == torch.float32 for p in trained)
