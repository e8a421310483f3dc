"""Two processes against one: the same changes of every weight, one checkpoint, one way to stop.

One pair of processes (gloo, CPU) runs every scenario and writes what it found; the tests compare
with a single process. Weights are stepped by plain SGD: AdamW would hide gradients of a wrong size.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
import torch.multiprocessing
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import Tensor

from figclip.config import (
    Adaptation,
    KeepConfig,
    LossConfig,
    ModelConfig,
    RunConfig,
    TextConfig,
    TrainConfig,
)
from figclip.model.backbone import Backbone, TokenBatch
from figclip.training.batches import ClipBatch
from figclip.training.loop import LoopSettings, TrainingLoop
from figclip.training.run_folder import RunFolder, read_metrics
from tests.rank_processes import NUM_RANKS, share, spawn_ranks, start_rank
from tests.small_runs import KEPT_TEXTS, SmallRun, make_run, write_tiny_clip
from tests.training_trace import one_thread

NUM_STEPS = 4
RATE = 0.03
BAR = 1e-6
"""Largest relative L2 distance of a tensor's change."""
DEADLINE_S = 120.0

pytestmark = pytest.mark.slow

SCENARIOS: dict[Adaptation, tuple[int, ...]] = {
    # Three videos: one process has one of 2 events, the other two of 4 together.
    "lora_image": (2, 1, 3),
    "lora_both": (3, 1, 2, 3),
    "full": (2, 1, 3),
}
"""Events of each video, by adaptation."""
PICTURES: dict[Adaptation, int] = {"lora_image": 5, "lora_both": 4, "full": 1}
"""Pictures to keep of a step; of a single one, one process has none."""
MUTANTS = {"averaged": True, "summed": False}
"""Wrong reductions: as if each process held all gradients whole, or none."""
STOPPED_AT, LOOP_STEPS = 3, 6


def config_of(adaptation: Adaptation) -> RunConfig:
    return RunConfig(
        recipe="test",
        text=TextConfig(verb_negatives=2),
        loss=LossConfig(learn_logit_scale=True, concept=0.5 if adaptation == "lora_image" else 0),
        model=ModelConfig(
            adaptation=adaptation,
            lora_rank=4,
            lora_alpha=8,
            contextualizer_layers=2,
            contextualizer_head_dim=16,
        ),
        keep=KeepConfig(weight=0.5, pictures=PICTURES[adaptation]),
        train=TrainConfig(micro_batch=5, lr=1e-3, contextualizer_lr=1e-3),
    )


A_FEW_PARTS = 12_000_000
"""Bytes in which four micro-batches of texts are kept."""


def run_of(clip_folder: Path, adaptation: Adaptation, accelerator: Accelerator) -> SmallRun:
    return make_run(
        clip_folder,
        config_of(adaptation),
        events_per_video=SCENARIOS[adaptation],
        dtype=torch.float64,
        accelerator=accelerator,
        activation_bytes=A_FEW_PARTS,
    )


def parameters(run: SmallRun) -> dict[str, Tensor]:
    groups = run.trainee.parameter_groups()
    return {n: p for g in groups for n, p in g.parameters.items()}


def descend(run: SmallRun, accelerator: Accelerator) -> dict[str, Tensor]:
    """Initial weights, changes after some steps of SGD, by name."""
    named = parameters(run)
    initial = {name: p.detach().clone() for name, p in named.items()}
    for step in range(1, NUM_STEPS + 1):
        for p in named.values():
            p.grad = None
        run.trainee.accumulate_gradients(share(run, step, accelerator), loss_scale=1.0)
        for p in named.values():
            assert p.grad is not None
            p.data -= RATE * p.grad
        run.trainee.after_step()
    changes = {f"change/{name}": p.detach() - initial[name] for name, p in named.items()}
    return changes | {f"initial/{name}": value for name, value in initial.items()}


def count_in_a_step(run: SmallRun, accelerator: Accelerator) -> dict[str, list[int]]:
    """Texts of each forward pass, and numbers in each all-reduce, of one step of this process."""
    encode, reduce = Backbone.encode_tokens, torch.distributed.all_reduce
    texts: list[int] = []
    reduced: list[int] = []

    def count_texts(self: Backbone, tokens: TokenBatch) -> Tensor:
        texts.append(len(tokens.ids_NL))
        return encode(self, tokens)

    def count_reduced(tensor: Tensor) -> None:
        reduced.append(tensor.numel())
        reduce(tensor)

    with (
        patch.object(Backbone, "encode_tokens", count_texts),
        patch("torch.distributed.all_reduce", count_reduced),
    ):
        run.trainee.accumulate_gradients(share(run, 1, accelerator), loss_scale=1.0)
    return {"texts": texts, "reduced": reduced}


@dataclasses.dataclass
class Batches:
    """A loop's batches; `on_step` is told before each."""

    run: SmallRun
    accelerator: Accelerator
    on_step: Callable[[int], None]

    @contextmanager
    def iterate(self, first_step: int) -> Generator[Iterator[ClipBatch]]:
        yield self._batches(first_step)

    def _batches(self, step: int) -> Iterator[ClipBatch]:
        while True:
            step += 1
            self.on_step(step)
            yield share(self.run, step, self.accelerator)


def train(
    clip_folder: Path,
    folder: Path,
    accelerator: Accelerator,
    *,
    resume: bool,
    on_step: Callable[[int], None],
) -> tuple[dict[str, Tensor], dict[str, object]]:
    """The real loop on the image tower; weights at its end, and what it did."""
    run = run_of(clip_folder, "lora_image", accelerator)
    settings = LoopSettings(
        num_steps=LOOP_STEPS,
        warmup_steps=2,
        schedule="cosine",
        clip_norm=1.0,
        precision="fp32",
        validate_every=100,
        checkpoint_every=100,
        keep_checkpoints=10,
        seed=0,
    )
    run_folder = RunFolder(folder)
    loop = TrainingLoop(run.trainee, settings, run=run_folder, accelerator=accelerator)
    save = run_folder.save_checkpoint
    with patch.object(run_folder, "save_checkpoint", side_effect=save) as spy:
        outcome = loop.run(Batches(run, accelerator, on_step), resume=resume)
    saved = [call.args[0] for call in spy.call_args_list]
    did = {"step": outcome.step, "interrupted_by": outcome.interrupted_by, "saved": saved}
    return {n: p.detach().clone() for n, p in parameters(run).items()}, did


def work(rank: int, port: int, clip_folder: Path, out: Path) -> None:
    """All that one of the two processes does."""
    accelerator = start_rank(rank, port)
    for adaptation in SCENARIOS:
        found = descend(run_of(clip_folder, adaptation, accelerator), accelerator)
        save_file(found, out / f"{adaptation}-{rank}")
    for mutant, is_whole in MUTANTS.items():
        with patch("figclip.training.clip_trainee._is_whole", return_value=is_whole):
            found = descend(run_of(clip_folder, "lora_both", accelerator), accelerator)
        save_file(found, out / f"{mutant}-{rank}")
    share_of_a_step = count_in_a_step(run_of(clip_folder, "lora_both", accelerator), accelerator)
    (out / f"share-{rank}.json").write_text(json.dumps(share_of_a_step))

    def interrupt(step: int) -> None:
        if rank == 1 and step == STOPPED_AT:
            # A scheduler signals every process, and torchrun passes on what it got itself.
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)

    for name, resume, on_step in (
        ("interrupted", False, interrupt),
        ("resumed", True, lambda step: None),
    ):
        weights, did = train(clip_folder, out / "run", accelerator, resume=resume, on_step=on_step)
        save_file(weights, out / f"{name}-{rank}")
        (out / f"{name}-{rank}.json").write_text(json.dumps(did))
    accelerator.end_training()


@pytest.fixture(scope="module", autouse=True)
def on_one_thread() -> Generator[None]:
    """On models this small, threads that wait for each other take all the time there is."""
    with one_thread():
        yield


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def two(clip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where the two processes wrote what they found."""
    out = tmp_path_factory.mktemp("two")
    spawn_ranks(work, clip_folder, out, deadline_s=DEADLINE_S)
    return out


def errors(found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, float]:
    """Relative L2 distance of each tensor's change."""
    assert found.keys() == expected.keys()
    return {
        name.removeprefix("change/"): float((found[name] - change).norm() / change.norm())
        for name, change in expected.items()
        # Softmax does not see a shift of all keys: that change is rounding.
        if name.startswith("change/") and not name.endswith("k_proj.bias")
    }


def alone(clip_folder: Path, adaptation: Adaptation) -> dict[str, Tensor]:
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == 1
    return descend(run_of(clip_folder, adaptation, accelerator), accelerator)


@pytest.mark.parametrize("adaptation", SCENARIOS)
def test_every_weight_moves_as_with_one_process(
    clip_folder: Path, two: Path, adaptation: Adaptation
):
    expected = alone(clip_folder, adaptation)
    for name in (n.removeprefix("change/") for n in expected if n.startswith("change/")):
        moved, size = expected[f"change/{name}"].norm(), expected[f"initial/{name}"].norm()
        assert moved >= 100 * BAR * size or name.endswith("k_proj.bias"), f"{name} hardly moved"
    for rank in range(NUM_RANKS):
        found = load_file(two / f"{adaptation}-{rank}")
        worst = max(errors(found, expected).items(), key=lambda item: item[1])
        assert worst[1] <= BAR, f"process {rank}: {worst}"


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_comparison_sees_a_wrong_reduction(clip_folder: Path, two: Path, mutant: str):
    """Each process holds the temperature's gradient whole: it is averaged, all others summed."""
    found = errors(load_file(two / f"{mutant}-0"), alone(clip_folder, "lora_both"))
    scale = found.pop("clip.logit_scale")
    if mutant == "summed":
        assert scale > 1e4 * BAR
    else:
        assert len(found) >= 10
        assert min(found.values()) > 1e4 * BAR


def test_processes_share_the_texts_and_send_all_gradients_at_once(clip_folder: Path, two: Path):
    run = run_of(clip_folder, "lora_both", Accelerator(cpu=True))
    whole = count_in_a_step(run, Accelerator(cpu=True))
    assert whole["reduced"] == []
    found = [json.loads((two / f"share-{rank}.json").read_text()) for rank in range(NUM_RANKS)]
    size = sum(p.numel() for p in parameters(run).values())
    assert [one["reduced"] for one in found] == [[size]] * NUM_RANKS
    # The gradient cache encodes all but the last micro-batches twice.
    num_texts = len(run.texts.texts) + len(KEPT_TEXTS)
    assert num_texts <= sum(whole["texts"])
    assert num_texts <= sum(sum(one["texts"]) for one in found) <= sum(whole["texts"])
    for one in found:
        assert num_texts / 3 < sum(one["texts"]) < num_texts * 2 / 3


def test_a_signal_to_one_process_even_twice_stops_both_with_one_checkpoint(two: Path):
    for rank in range(NUM_RANKS):
        did = json.loads((two / f"interrupted-{rank}.json").read_text())
        assert did["step"] == STOPPED_AT
        assert did["interrupted_by"] == signal.SIGTERM
        assert did["saved"] == ([STOPPED_AT] if rank == 0 else [])
    checkpoint = RunFolder(two / "run").load_checkpoint(STOPPED_AT).tensors
    for rank in range(NUM_RANKS):
        for name, weight in load_file(two / f"interrupted-{rank}").items():
            assert torch.equal(checkpoint[f"weights/{name}"], weight)


def test_two_resumed_processes_end_where_one_undisturbed_does(
    clip_folder: Path, two: Path, tmp_path: Path
):
    expected, _ = train(
        clip_folder, tmp_path, Accelerator(cpu=True), resume=False, on_step=lambda step: None
    )
    for rank in range(NUM_RANKS):
        did = json.loads((two / f"resumed-{rank}.json").read_text())
        assert did == {
            "step": LOOP_STEPS,
            "interrupted_by": None,
            "saved": [LOOP_STEPS] if rank == 0 else [],
        }
        for name, weight in load_file(two / f"resumed-{rank}").items():
            torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-9)
    rows = read_metrics(two / "run" / "metrics.jsonl")
    alone_rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, LOOP_STEPS + 1))
    assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in alone_rows])
