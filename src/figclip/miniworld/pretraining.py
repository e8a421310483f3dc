"""Pretrain a model of the mini world from nothing: facts, then paraphrases, then web captions.

Each phase is a run of the training loop in a folder of its own, so that a killed pretraining goes
on from its last checkpoint and ends in the same bits. `python -m figclip.miniworld OUT` starts it.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from accelerate import Accelerator
from torch.utils.data import Dataset

from figclip.errors import CheckpointError
from figclip.miniworld.mini_clip import IMAGE_SIZE
from figclip.miniworld.mini_models import BUILDERS, round_to_half, write_mini_model, write_weights
from figclip.miniworld.painting import claim_folder
from figclip.miniworld.pretraining_phases import (
    DrawStills,
    FactTrainee,
    ParaphraseTrainee,
    Rates,
    WebTrainee,
    WriteParaphrases,
    zero_shot_accuracy,
)
from figclip.runtime.locks import one_writer
from figclip.training.batches import load_steps
from figclip.training.loop import LoopSettings, StepReport, Trainee, TrainingLoop, Validator
from figclip.training.run_folder import RunFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """The size of a phase; one of 0 steps is left out.

    Rates are peaks: they rise over `warmup_steps` and fall as a cosine.
    """

    steps: int
    batch: int
    rates: Rates
    warmup_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingPlan:
    """The phases of a pretraining, and the model's size.

    Attributes:
        family: The model's, of `mini_models.BUILDERS`.
        facts: Vision tower on facts of stills.
        paraphrases: Text tower on sentences that say the same.
        web: Both on stills with sparse captions.
        vision_share: The vision tower's share of the rates of `web`.
        web_paraphrases: Paraphrases a step of `web`.
        paraphrase_weight: Weight of their loss there.
        validation_stills: Stills that progress is measured on.
        validate_every: Steps between measurements.
    """

    facts: Phase
    paraphrases: Phase
    web: Phase
    family: str = "clip"
    vision_share: float = 0.1
    web_paraphrases: int = 48
    paraphrase_weight: float = 0.3
    width: int = 128
    vision_layers: int = 4
    text_layers: int = 3
    validation_stills: int = 512
    validate_every: int = 500
    checkpoint_every: int = 250


FULL_PLAN = PretrainingPlan(
    facts=Phase(steps=3000, batch=64, rates=Rates(matrices=0.02, rest=1e-3), warmup_steps=100),
    paraphrases=Phase(steps=200, batch=96, rates=Rates(matrices=0.015, rest=1e-3), warmup_steps=20),
    web=Phase(steps=1000, batch=128, rates=Rates(matrices=0.012, rest=1e-3), warmup_steps=50),
)
"""The mini CLIPs that are shipped; half an hour on two cores. Their logs are beside the weights."""

PLANS = {
    "clip": FULL_PLAN,
    # Its texts are all of 64 tokens: a step of the web takes one and a half times as long.
    "siglip": replace(FULL_PLAN, family="siglip"),
}
"""By family."""


@one_writer
def pretrain(
    out: Path,
    *,
    plan: PretrainingPlan,
    seed: int,
    workers: int,
    on_step: Callable[[str, StepReport], None],
) -> Path | None:
    """Pretrain to the end, or until SIGINT or SIGTERM; called again, it goes on.

    The checkpoints of a phase that is done are kept: its last is where the next one starts.

    `out` gets one run folder per phase, `model/`, and the weights in half precision. A folder is of
    one plan and one seed. `on_step` is told the phase and its step.

    Returns:
        The model's folder; None when interrupted.
    """
    claim = out / "pretraining.json"
    refusal = CheckpointError(
        "is of another plan or seed",
        where=str(claim),
        fix="Go on with those it names, or choose another folder.",
    )
    claim_folder(claim, {"seed": seed, "plan": asdict(plan)}, refusal=refusal)
    build = BUILDERS[plan.family]
    backbone = build(
        seed=seed, width=plan.width, vision_layers=plan.vision_layers, text_layers=plan.text_layers
    ).eval()
    # No two phases see the same stills; those that progress is measured on are drawn when needed.
    draw, write = functools.partial(DrawStills, image_size=IMAGE_SIZE), WriteParaphrases
    measured = draw(seed=f"{seed}:validation", size=plan.validation_stills)
    stills = functools.cache(lambda: measured(0))
    facts = FactTrainee(backbone, rates=plan.facts.rates, seed=seed)
    paraphrases = ParaphraseTrainee(backbone, rates=plan.paraphrases.rates)
    web = WebTrainee(
        backbone,
        rates=plan.web.rates,
        vision_share=plan.vision_share,
        paraphrase_weight=plan.paraphrase_weight,
        paraphrases=write(seed=f"{seed}:web", size=plan.web_paraphrases),
    )
    train = functools.partial(
        _train, out=out, plan=plan, seed=seed, workers=workers, on_step=on_step
    )
    is_done = (
        train("facts", plan.facts, facts, draw, lambda: facts.accuracy(stills()))
        and train("paraphrases", plan.paraphrases, paraphrases, write, None)
        and train("web", plan.web, web, draw, lambda: zero_shot_accuracy(backbone, stills()))
    )
    if not is_done:
        return None
    round_to_half(backbone)
    write_weights(out, backbone, seed=seed)
    write_mini_model(out / "model", backbone)
    return out / "model"


def _train(
    name: str,
    phase: Phase,
    trainee: Trainee[Any],
    maker: Callable[..., Callable[[int], Any]],
    validator: Validator | None,
    *,
    out: Path,
    plan: PretrainingPlan,
    seed: int,
    workers: int,
    on_step: Callable[[str, StepReport], None],
) -> bool:
    """Run a phase, or load it where it is done; whether it is done, its weights in the model."""
    if not phase.steps:
        return True
    settings = LoopSettings(
        num_steps=phase.steps,
        warmup_steps=phase.warmup_steps,
        schedule="cosine",
        clip_norm=1.0,
        precision="bf16",
        validate_every=plan.validate_every,
        checkpoint_every=plan.checkpoint_every,
        keep_checkpoints=1,
        seed=seed,
    )
    run = RunFolder(out / name)
    loop = TrainingLoop(
        trainee,
        settings,
        run=run,
        accelerator=Accelerator(cpu=True),
        validator=validator,
        on_step=functools.partial(on_step, name),
    )
    if run.steps()[-1:] == [phase.steps]:
        loop.load_weights(phase.steps)
        return True
    make = maker(seed=f"{seed}:{name}", size=phase.batch)
    batches = DrawnBatches[Any](make=make, num_steps=phase.steps, workers=workers)
    return loop.run(batches, resume=True).interrupted_by is None


Batch = TypeVar("Batch")


@dataclass(frozen=True, kw_only=True)
class DrawnBatches(Dataset[Batch], Generic[Batch]):
    """The batches of a phase, a `training.loop.BatchSource`; without workers from this process."""

    make: Callable[[int], Batch]
    num_steps: int
    workers: int

    def __getitem__(self, step: int) -> Batch:
        return self.make(step)

    def iterate(self, first_step: int) -> AbstractContextManager[Iterator[Batch]]:
        """Batches of the steps after `first_step`; leaving the context ends the workers."""
        steps = range(first_step + 1, self.num_steps + 1)
        return load_steps(self, steps, workers=self.workers)
