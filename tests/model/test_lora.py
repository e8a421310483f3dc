"""Low-rank adaptation: only the wanted projections, PEFT's own merge, exact strength."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from peft import get_peft_model_state_dict
from torch import Tensor

from figclip.config import Adaptation
from figclip.errors import ModelError
from figclip.model.backbone import Backbone, load_backbone, state_hash, weights_hash
from figclip.model.lora import (
    add_adaptation,
    interpolate,
    lora_layers,
    plain_copy,
    plain_state,
    shift_strength,
)
from tests.model_folders import LORA_ALPHA, RANK, adapt_at_random
from tests.small_runs import IMAGE_SIZE, write_tiny_clip

SCALE = LORA_ALPHA / RANK
FRAMES = torch.randint(
    0, 256, (2, IMAGE_SIZE, IMAGE_SIZE, 3), generator=torch.Generator().manual_seed(0)
).to(torch.uint8)
TEXTS = ["a man pushes a woman", "ball"]


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def base_state(clip_folder: Path) -> dict[str, Tensor]:
    return load_backbone(str(clip_folder)).clip.state_dict()


def embeddings(backbone: Backbone) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        tokens = backbone.tokenize(TEXTS)
        return backbone.encode_frames(FRAMES), backbone.encode_tokens(tokens)


def assert_states_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=0)


def expected_names(towers: tuple[str, ...]) -> set[str]:
    return {
        f"{tower}_model.encoder.layers.{layer}.self_attn.{part}_proj"
        for tower in towers
        for layer in range(2)
        for part in "qkv"
    }


@pytest.mark.parametrize(
    ("adaptation", "towers"),
    [("lora_image", ("vision",)), ("lora_text", ("text",)), ("lora_both", ("vision", "text"))],
)
def test_only_the_wanted_projections_are_trained(
    clip_folder: Path, adaptation: Adaptation, towers: tuple[str, ...]
):
    backbone = load_backbone(str(clip_folder))
    add_adaptation(backbone, adaptation, rank=3, lora_alpha=3, seed=0)
    assert set(lora_layers(backbone.clip)) == expected_names(towers)
    trained = {n: p for n, p in backbone.clip.named_parameters() if p.requires_grad}
    assert set(trained) == {
        f"{name}.lora_{matrix}.default.weight" for name in expected_names(towers) for matrix in "AB"
    }
    # 32 wide: A is 3 x 32, B is 32 x 3, for each projection.
    assert sum(p.numel() for p in trained.values()) == len(towers) * 2 * 3 * (2 * 3 * 32)


def test_full_fine_tuning_trains_all_but_the_temperature(clip_folder: Path):
    backbone = load_backbone(str(clip_folder))
    assert add_adaptation(backbone, "full", rank=3, lora_alpha=3, seed=0) is None
    frozen = [n for n, p in backbone.clip.named_parameters() if not p.requires_grad]
    assert frozen == ["logit_scale"]


def test_it_starts_as_the_base_from_its_seed_and_leaves_other_randomness_alone(clip_folder: Path):
    plain = embeddings(load_backbone(str(clip_folder)))

    def a_matrices(seed: int) -> list[Tensor]:
        backbone = load_backbone(str(clip_folder))
        add_adaptation(backbone, "lora_image", rank=3, lora_alpha=3, seed=seed)
        for found, expected in zip(embeddings(backbone), plain, strict=True):
            assert torch.equal(found, expected)
        named = backbone.clip.named_parameters()
        return [p.detach() for name, p in named if ".lora_A." in name]

    torch.manual_seed(7)
    expected_draw = torch.rand(3)
    torch.manual_seed(7)
    first = a_matrices(0)
    assert torch.equal(torch.rand(3), expected_draw)
    assert all(map(torch.equal, first, a_matrices(0)))
    assert not any(map(torch.equal, first, a_matrices(1)))


@pytest.mark.parametrize("adaptation", ["lora_image", "lora_both"])
def test_merging_equals_pefts_own(clip_folder: Path, adaptation: Adaptation):
    adapted = adapt_at_random(clip_folder, adaptation=adaptation)
    live = embeddings(adapted.backbone)
    state = plain_state(adapted.backbone.clip, alpha=1.0)
    assert adapted.adapter is not None
    merged = adapted.adapter.merge_and_unload()
    assert_states_close(state, merged.state_dict())
    reloaded = load_backbone(str(clip_folder))
    plain = embeddings(reloaded)
    reloaded.clip.load_state_dict(state)
    for found, expected, base in zip(embeddings(reloaded), live, plain, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        changed = not torch.equal(expected, base)
        assert changed == (adaptation == "lora_both" or expected is live[0])


def test_strength_0_is_the_base_bit_for_bit(clip_folder: Path, base_state: dict[str, Tensor]):
    adapted = adapt_at_random(clip_folder)
    state = plain_state(adapted.backbone.clip, alpha=0.0)
    assert state.keys() == base_state.keys()
    assert all(torch.equal(state[name], base_state[name]) for name in state)
    assert not all(
        torch.equal(tensor, base_state[name])
        for name, tensor in plain_state(adapted.backbone.clip, alpha=1.0).items()
    )


def test_merging_at_1_equals_the_live_adaptation(clip_folder: Path):
    adapted = adapt_at_random(clip_folder)
    merged = load_backbone(str(clip_folder))
    merged.clip.load_state_dict(plain_state(adapted.backbone.clip, alpha=1.0))
    for found, expected in zip(embeddings(adapted.backbone), embeddings(merged), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_plain_copy_is_the_base_and_shares_nothing(
    clip_folder: Path, base_state: dict[str, Tensor]
):
    adapted = adapt_at_random(clip_folder)
    plain = plain_copy(adapted.backbone)
    assert not lora_layers(plain.clip) and lora_layers(adapted.backbone.clip)
    assert_states_equal(plain.clip.state_dict(), base_state)
    live = {tensor.data_ptr() for tensor in adapted.backbone.clip.state_dict().values()}
    assert live.isdisjoint(tensor.data_ptr() for tensor in plain.clip.state_dict().values())


@pytest.mark.parametrize("start", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("end", [0.0, 0.3, 1.0])
def test_shifting_strength_equals_merging_there(clip_folder: Path, start: float, end: float):
    adapted = adapt_at_random(clip_folder, adaptation="lora_both")
    assert adapted.adapter is not None
    adapter = get_peft_model_state_dict(adapted.adapter)
    merged = plain_state(adapted.backbone.clip, alpha=start)
    shifted = shift_strength(merged, adapter, by=end - start, lora_scale=SCALE)
    assert_states_close(shifted, plain_state(adapted.backbone.clip, alpha=end))
    if start == end:
        assert all(torch.equal(shifted[name], merged[name]) for name in merged)


def test_shifting_by_hand():
    state = {"v.q_proj.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "bias": torch.ones(2)}
    adapter = {
        "base_model.model.v.q_proj.lora_A.weight": torch.tensor([[1.0, 10.0]]),
        "base_model.model.v.q_proj.lora_B.weight": torch.tensor([[2.0], [-1.0]]),
    }
    shifted = shift_strength(state, adapter, by=0.5, lora_scale=4.0)
    # B A = [[2, 20], [-1, -10]], times 0.5 * 4.
    assert shifted["v.q_proj.weight"].tolist() == [[5.0, 42.0], [1.0, -16.0]]
    assert torch.equal(shifted["bias"], torch.ones(2))
    assert state["v.q_proj.weight"].tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("a", "b"),
    [((1, 3), (2, 1)), ((1, 2), (3, 1)), ((2, 2), (2, 1)), ((1, 2), None)],
)
def test_an_adapter_of_another_shape_is_refused(a: tuple[int, int], b: tuple[int, int] | None):
    prefix = "base_model.model.v.q_proj"
    adapter = {f"{prefix}.lora_A.weight": torch.zeros(a)}
    if b is not None:
        adapter[f"{prefix}.lora_B.weight"] = torch.zeros(b)
    with pytest.raises(ModelError, match=r"lora_A\.weight does not fit"):
        shift_strength({"v.q_proj.weight": torch.zeros(2, 2)}, adapter, by=1, lora_scale=1)


def test_an_adapter_of_other_layers_or_of_none_is_refused():
    adapter = {
        "base_model.model.v.k_proj.lora_A.weight": torch.zeros(1, 2),
        "base_model.model.v.k_proj.lora_B.weight": torch.zeros(2, 1),
    }
    state = {"v.q_proj.weight": torch.zeros(2, 2)}
    with pytest.raises(ModelError, match=r"k_proj\.lora_A\.weight does not fit"):
        shift_strength(state, adapter, by=1, lora_scale=1)
    with pytest.raises(ModelError, match="no LoRA matrices"):
        shift_strength(state, {}, by=1, lora_scale=1)


def test_interpolation_by_hand_and_at_its_ends():
    base, adapted = {"w": torch.tensor([1.0, 0.1])}, {"w": torch.tensor([3.0, 0.7])}
    assert interpolate(base, adapted, alpha=0.25)["w"].tolist() == pytest.approx([1.5, 0.25])
    assert torch.equal(interpolate(base, adapted, alpha=0.0)["w"], base["w"])
    assert torch.equal(interpolate(base, adapted, alpha=1.0)["w"], adapted["w"])


def test_a_tower_without_layers_is_refused(clip_folder: Path, tmp_path: Path):
    backbone = load_backbone(str(shutil.copytree(clip_folder, tmp_path / "clip")))
    backbone.clip.vision_model.encoder.layers = torch.nn.ModuleList()
    with pytest.raises(ModelError, match="no layer of this CLIP matches the LoRA pattern"):
        add_adaptation(backbone, "lora_image", rank=1, lora_alpha=1, seed=0)


class OnAppleGpu(Tensor):
    """A stand-in for a tensor on a Mac's GPU: float64 is refused until it is on the CPU."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN206
        if func is Tensor.cpu:
            return args[0].as_subclass(Tensor)
        result = super().__torch_function__(func, types, args, kwargs or {})
        if isinstance(result, cls) and result.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return result


def on_apple_gpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.as_subclass(OnAppleGpu) for name, tensor in state.items()}


def assert_states_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name].as_subclass(Tensor), tensor), name


def test_the_stand_in_refuses_float64():
    tensor = torch.ones(2).as_subclass(OnAppleGpu)
    with pytest.raises(TypeError, match="float64"):
        tensor.double()
    with pytest.raises(TypeError, match="float64"):
        torch.nn.Parameter(tensor).detach().double()
    assert tensor.cpu().double().dtype == torch.float64


def test_no_weight_becomes_float64_on_its_device(clip_folder: Path):
    """Macs failed after training, when the model was written."""
    adapted = adapt_at_random(clip_folder, adaptation="lora_both")
    backbone = adapted.backbone
    assert adapted.adapter is not None
    tensors = get_peft_model_state_dict(adapted.adapter)
    expected = plain_state(backbone.clip, alpha=0.5)
    shifted = shift_strength(expected, tensors, by=0.25, lora_scale=SCALE)
    between = interpolate(expected, shifted, alpha=0.5)
    name = weights_hash(backbone.clip)
    for module in backbone.clip.modules():
        for key, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[key] = torch.nn.Parameter(parameter.as_subclass(OnAppleGpu))
    found = plain_state(backbone.clip, alpha=0.5)
    assert_states_equal(found, expected)
    moved = shift_strength(on_apple_gpu(expected), on_apple_gpu(tensors), by=0.25, lora_scale=SCALE)
    assert_states_equal(moved, shifted)
    assert_states_equal(
        interpolate(on_apple_gpu(expected), on_apple_gpu(shifted), alpha=0.5), between
    )
    assert weights_hash(backbone.clip) == name
    assert state_hash(found) == state_hash(expected)
