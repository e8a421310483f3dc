"""Ten steps of adaptation on drawn data, under one config and with every flag changed in turn.

`python -m tests.training_trace` writes the golden anew. Nothing else does: whoever changes numbers
on purpose runs it, and says in the commit why the trace changed.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from figclip.adaptation.adapt import adapt
from figclip.config import (
    DataConfig,
    KeepConfig,
    LossConfig,
    ModelConfig,
    RunConfig,
    TextConfig,
    TrainConfig,
)
from figclip.config.parsing import apply_overrides
from figclip.records import Annotation, Event, Role, VideoRecord
from figclip.training.run_folder import RunFolder, read_metrics
from tests.dense_sets import write_store
from tests.small_runs import write_tiny_clip

GOLDEN = Path(__file__).parent / "goldens" / "training_trace.json"
NUM_STEPS = 10
NUM_VIDEOS = 80
"""As many as a validation set asks for, and 5 batches."""

BASE = RunConfig(
    recipe="trace",
    data=DataConfig(frames_per_event=2, videos_per_batch=16, val_fraction=0.0, loader_workers=0),
    text=TextConfig(verb_negatives=2),
    model=ModelConfig(
        lora_rank=4, lora_alpha=8, contextualizer_layers=2, contextualizer_head_dim=16
    ),
    loss=LossConfig(),
    keep=KeepConfig(weight=1.0, temperature=1.0, pictures=6, texts=12),
    train=TrainConfig(
        epochs=2,
        lr=5e-3,
        contextualizer_lr=5e-3,
        weight_decay=1.0,
        warmup_fraction=0.2,
        clip_norm=1.0,
        micro_batch=64,
        keep="last",
    ),
)

CHANGES = (
    "data.frames_per_event=1",
    "data.videos_per_batch=14",
    "data.val_fraction=0.5",
    "text.template=figclip_v1",
    "text.template=srl_clip",
    "text.verb_negatives=0",
    "text.filler_negatives=1",
    "text.negative_policy=matched",
    "text.negative_policy=uniform",
    "text.video_negatives=false",
    "text.mask_equal_texts=false",
    "model.adaptation=lora_text",
    "model.adaptation=lora_both",
    "model.adaptation=full",
    "model.lora_rank=2",
    "model.lora_alpha=4",
    "model.contextualizer_layers=1",
    "model.contextualizer_head_dim=8",
    "loss.event=0",
    "loss.event_context=0",
    "loss.video=0",
    "loss.video_context=0",
    "loss.concept=0.5",
    "loss.learn_logit_scale=true",
    "keep.temperature=2",
    "keep.weight=0",
    "keep.pictures=4",
    "keep.texts=6",
    "train.seed=1",
    "train.epochs=3",
    "train.lr=2e-3",
    "train.contextualizer_lr=1e-3",
    "train.weight_decay=0",
    "train.warmup_fraction=0",
    "train.schedule=constant",
    "train.clip_norm=0",
)
"""Another setting of each flag."""


def draw_records() -> list[VideoRecord]:
    """Videos of one or two events; a third of them share all their captions."""
    rng = random.Random(0)
    return [
        VideoRecord(
            id=f"v{number}",
            video=f"v{number}.mp4",
            split="train",
            group=f"g{number}",
            annotations=_shared() if number % 3 == 0 else _draw(rng, number),
        )
        for number in range(NUM_VIDEOS)
    ]


def _shared() -> tuple[Annotation, ...]:
    """What every third video shows."""
    events = (_event(0, "push", "dog", "red ball"), _event(1, "jump", "cat", ""))
    return (Annotation(events=events),)


def _draw(rng: random.Random, number: int) -> tuple[Annotation, ...]:
    """Random events: of every fifth video two, of every seventh by two annotators."""
    verbs, nouns = ("push", "pull", "lift", "jump", "turn"), ("dog", "cat", "red ball", "box")
    return tuple(
        Annotation(
            events=tuple(
                _event(place, rng.choice(verbs), rng.choice(nouns), rng.choice(("", *nouns)))
                for place in range(1 + (number % 5 == 0))
            )
        )
        for _ in range(1 + (number % 7 == 0))
    )


def _event(place: int, verb: str, who: str, whom: str) -> Event:
    """A two-second event; an empty `whom` leaves one role."""
    roles = [Role(name=f"{verb}er (agent)", text=who, slot="Arg0")]
    if whom:
        roles.append(Role(name=f"thing {verb}ed", text=whom, slot="Arg1"))
    start_s = 2.0 * place
    return Event(start_s=start_s, end_s=start_s + 2, verb=verb, roles=tuple(roles), scene="a beach")


Trace = dict[str, list[float]]
"""By name: a number a step, or what tells a tensor."""


class TraceRunner:
    """Runs the product's own `adapt` for ten steps.

    Args:
        folder: For the base, the frame stores and the runs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clip = write_tiny_clip(folder / "clip")

    def run(self, *overrides: str) -> Trace:
        """Losses and gradient norm of each step, and two numbers of each trained matrix.

        Vectors are left out: a bias of keys has no gradient but rounding, which AdamW makes large.
        """
        config = apply_overrides(BASE, [f"model.base={self._clip}", *overrides])
        out = Path(tempfile.mkdtemp(dir=self._folder))
        with one_thread():
            adapt(config, data=[self._store(config.data.frames_per_event)], out=out, cpu=True)
        run = RunFolder(out)
        rows = [row for row in read_metrics(run.metrics) if "loss" in row][:NUM_STEPS]
        names = [name for name in rows[0] if name.startswith(("loss", "gradient"))]
        trace = {name: [row[name] for row in rows] for name in names}
        for name, tensor in run.load_checkpoint(run.steps()[-1]).tensors.items():
            if name.startswith("weights/") and tensor.ndim != 1:
                trace[name] = _numbers(tensor)
        return trace

    def _store(self, frames_per_event: int) -> Path:
        """The drawn videos with so many frames an event."""
        store = self._folder / f"{frames_per_event}.store"
        if not store.exists():
            write_store(store, draw_records(), frames_per_event=frames_per_event)
        return store


def _numbers(tensor: torch.Tensor) -> list[float]:
    """Norm, and product with a direction that no symmetry of the network knows."""
    flat = tensor.double().flatten()
    direction = torch.cos(torch.arange(len(flat), dtype=torch.float64) ** 2)
    return [float(flat.norm()), float(flat @ direction)]


@contextmanager
def one_thread() -> Generator[None]:
    """On models this small, threads that wait for each other take all the time there is."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def load_golden() -> dict[str, Trace]:
    """The committed trace of each change, and under the empty name that of `BASE`."""
    return json.loads(GOLDEN.read_text())


def write_golden() -> None:
    """Run everything and write the golden anew, a series a line."""
    with tempfile.TemporaryDirectory() as folder:
        runner = TraceRunner(Path(folder))
        traces = {"": runner.run()} | {change: runner.run(change) for change in CHANGES}
    blocks = {
        change: _block(
            f"  {json.dumps(name)}: {_rounded(values)}" for name, values in trace.items()
        )
        for change, trace in traces.items()
    }
    table = _block(f"{json.dumps(change)}: {block}" for change, block in blocks.items())
    GOLDEN.write_text(table + "\n")


def _block(lines: Iterable[str]) -> str:
    """A JSON object of these members, each on a line of its own."""
    return "{\n" + ",\n".join(lines) + "\n}"


def _rounded(values: Sequence[float]) -> str:
    """A JSON list, with more digits than are compared."""
    return json.dumps([float(f"{value:.8g}") for value in values])


if __name__ == "__main__":
    write_golden()
