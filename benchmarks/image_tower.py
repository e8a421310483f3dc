"""figclip's image tower against transformers' with PEFT's layers: same weights, same gradients.

    python benchmarks/image_tower.py [--rounds 5] [--threads 1]

CPU seconds are milliseconds a picture, the two in turn in one process; below them the machine's own
speed at a fixed matrix product, so that runs of different hours can be compared.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

from figclip.miniworld.mini_models import load_mini_model
from figclip.model.backbone import IMAGENET, Backbone, Preprocessing
from figclip.model.image_tower import ADAPTER_NAME, encode_pixels
from figclip.model.lora import add_adaptation, lora_layers

_SIDE = 1024


@dataclass(frozen=True)
class Case:
    """A CLIP with LoRA on its image tower, and pictures for it."""

    name: str
    clip: CLIPModel
    pixels_NCHW: Tensor


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("| CLIP, pass | transformers and PEFT | figclip | ratio | largest difference |")
    print("|---|---|---|---|---|")
    for case in (_mini(), _vit_b_32()):
        for name, encode in (("forward", _forward), ("forward and backward", _backward)):
            print(_row(case, name, encode, rounds=arguments.rounds), flush=True)
    product = torch.randn(_SIDE, _SIDE)
    seconds = _least(lambda: product @ product, rounds=20)
    print(f"\nmatrix product of {_SIDE}: {2 * _SIDE**3 / seconds / 1e9:.0f} GFLOP/s")


def _mini() -> Case:
    """The mini CLIP as the recipe `mini` trains it."""
    return _case("mini CLIP", load_mini_model(0), rank=16, num=64)


def _vit_b_32() -> Case:
    """ViT-B/32 of random weights as the papers train it."""
    torch.manual_seed(0)
    preprocessing = Preprocessing(image_size=224, mean=IMAGENET.mean, std=IMAGENET.std)
    tokenizer = load_mini_model(0).tokenizer  # not used
    clip = CLIPModel(CLIPConfig())
    backbone = Backbone(clip, tokenizer=tokenizer, preprocessing=preprocessing, name="")
    return _case("ViT-B/32", backbone, rank=64, num=16)


def _case(name: str, backbone: Backbone, *, rank: int, num: int) -> Case:
    """Adapted by some amount."""
    backbone.eval()
    add_adaptation(backbone, "lora_image", rank=rank, lora_alpha=rank, seed=0)
    for layer in lora_layers(backbone.clip).values():
        torch.nn.init.normal_(layer.lora_B[ADAPTER_NAME].get_parameter("weight"), std=0.01)
    side = backbone.preprocessing.image_size
    return Case(name, backbone.clip, torch.randn(num, 3, side, side))


def _plain(clip: CLIPModel, pixels_NCHW: Tensor) -> Tensor:
    """What one would write with transformers."""
    return clip.visual_projection(clip.vision_model(pixel_values=pixels_NCHW).pooler_output)


def _forward(case: Case, encode: Callable[[CLIPModel, Tensor], Tensor]) -> Sequence[Tensor]:
    """Embeddings."""
    with torch.no_grad():
        return [encode(case.clip, case.pixels_NCHW)]


def _backward(case: Case, encode: Callable[[CLIPModel, Tensor], Tensor]) -> Sequence[Tensor]:
    """Gradients of all LoRA matrices."""
    trained = [one for one in case.clip.parameters() if one.requires_grad]
    case.clip.zero_grad()
    encode(case.clip, case.pixels_NCHW).square().sum().backward()
    return [one.grad for one in trained if one.grad is not None]


def _row(case: Case, name: str, run: Callable[..., Sequence[Tensor]], *, rounds: int) -> str:
    """Both in turn, and how far they differ."""
    pairs = zip(run(case, _plain), run(case, encode_pixels), strict=True)
    difference = max(float((a - b).norm() / a.norm()) for a, b in pairs)
    times: list[tuple[float, float]] = []
    for _ in range(rounds):
        plain, ours = (_least(lambda e=e: run(case, e), rounds=1) for e in (_plain, encode_pixels))
        times.append((plain, ours))
    ratios = [plain / ours for plain, ours in times]
    plain_ms, ours_ms = (
        1000 * statistics.median(column) / len(case.pixels_NCHW)
        for column in zip(*times, strict=True)
    )
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return f"| {case.name}, {name} | {plain_ms:.2f} | {ours_ms:.2f} | {spread} | {difference:.1e} |"


def _least(work: Callable[[], object], *, rounds: int) -> float:
    """CPU seconds of the fastest round."""
    seconds: list[float] = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
