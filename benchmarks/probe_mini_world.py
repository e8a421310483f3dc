"""What frames hold against what texts find in them: linear probes beside zero-shot.

    figclip quickstart --out quickstart
    python benchmarks/probe_mini_world.py quickstart/run-base0-seed0 --base quickstart/mini-clip-0

Trained heads read features; zero-shot needs features that agree with texts. For each fact of a
still, a linear classifier is trained on the embeddings of 3,000 stills, and tested on 1,000 of
combinations that neither it nor the model was trained on (seed 61). Beside it: how often the
nearest of the phrases that name the possible answers is right, where there are such phrases.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from figclip import FiGCLIP
from figclip.cli.options import quiet_libraries
from figclip.miniworld.drawing.frames import draw_still
from figclip.miniworld.mini_clip import IMAGE_SIZE
from figclip.miniworld.pretraining_phases import QUESTIONS, StillBatch, zero_shot_accuracy
from figclip.miniworld.situations import sample_situation
from figclip.runtime.cpu_settings import tune_for_cpu

SEED = 61
TRAIN, TEST = 3000, 1000
DRAWN_PX = 128
WEIGHT_DECAY = 1e-4


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--base", type=Path, required=True)
    arguments = parser.parse_args()
    quiet_libraries()
    tune_for_cpu()
    train, test = draw(TRAIN, held_out=False), draw(TEST, held_out=True)
    models = {
        "base": FiGCLIP.from_pretrained(arguments.base),
        "adapted": FiGCLIP.from_pretrained(arguments.run),
    }
    probed = {name: probes(model, train, test) for name, model in models.items()}
    asked = {name: zero_shot_accuracy(model.backbone, test) for name, model in models.items()}
    print(f"| fact | {' | '.join(f'{name}: probe | zero-shot' for name in models)} |")
    print("|---" * (1 + 2 * len(models)) + "|")
    for fact in QUESTIONS:
        cells = [
            f"{100 * probed[name][fact]:.1f} | {shown(asked[name].get(fact))}" for name in models
        ]
        print(f"| {fact} | {' | '.join(cells)} |")


def shown(share: float | None) -> str:
    """In percent."""
    return "–" if share is None else f"{100 * share:.1f}"


def draw(num: int, *, held_out: bool) -> StillBatch:
    """Stills of known, or of new combinations."""
    rng = random.Random(f"{SEED}:{held_out}")
    situations = tuple(sample_situation(rng, held_out=held_out) for _ in range(num))
    frames = [
        np.asarray(
            draw_still(one, seed=rng.randrange(2**31), size_px=DRAWN_PX).resize(
                (IMAGE_SIZE, IMAGE_SIZE)
            )
        )
        for one in situations
    ]
    return StillBatch(1, situations, torch.from_numpy(np.stack(frames)), ())


def probes(model: FiGCLIP, train: StillBatch, test: StillBatch) -> dict[str, float]:
    """Share of test stills of which a linear classifier tells each fact."""
    embedded = [model.encode_frames(one.frames_NHWC.numpy()) for one in (train, test)]
    mean_D, std_D = embedded[0].mean(dim=0), embedded[0].std(dim=0)
    train_ND, test_ND = ((one - mean_D) / std_D for one in embedded)
    found: dict[str, float] = {}
    for fact, question in QUESTIONS.items():
        labels = [
            torch.tensor([question.answers.index(question.read(s)) for s in one.situations])
            for one in (train, test)
        ]
        probe = fitted(train_ND, labels[0], num_answers=len(question.answers))
        with torch.no_grad():
            found[fact] = (probe(test_ND).argmax(dim=1) == labels[1]).float().mean().item()
    return found


def fitted(
    features_ND: Float32[Tensor, "N D"], label_N: Int64[Tensor, " N"], *, num_answers: int
) -> nn.Linear:
    """Logistic regression with a little weight decay, to convergence."""
    probe = nn.Linear(features_ND.shape[1], num_answers)
    nn.init.zeros_(probe.weight)
    nn.init.zeros_(probe.bias)
    optimiser = torch.optim.LBFGS(probe.parameters(), max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = cross_entropy(probe(features_ND), label_N)
        value = value + WEIGHT_DECAY * probe.weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return probe


if __name__ == "__main__":
    main()
