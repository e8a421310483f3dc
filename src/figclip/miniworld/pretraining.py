"""Pretrain the mini world's CLIP from nothing: facts, then paraphrases, then web captions.

Each phase is a run of the training loop in a folder of its own, so that a killed pretraining goes
on from its last checkpoint and ends in the same bits. `python -m figclip.miniworld OUT` starts it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from figclip.errors import CheckpointError
from figclip.miniworld.drawn_batches import DrawnBatches, DrawStills, StillBatch, WriteParaphrases
from figclip.miniworld.mini_clip import (
    IMAGE_SIZE,
    build_mini_clip,
    round_to_half,
    write_mini_clip,
    write_weights,
)
from figclip.miniworld.painting import claim_folder
from figclip.miniworld.pretraining_phases import (
    FactTrainee,
    ParaphraseTrainee,
    Rates,
    WebTrainee,
    zero_shot_accuracy,
)
from figclip.model.backbone import Backbone
from figclip.training.loop import (
    BatchSource,
    LoopSettings,
    StepReport,
    Trainee,
    TrainingLoop,
    Validator,
)
from figclip.training.run_folder import RunFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """The size of a phase.

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
        facts: Vision tower on facts of stills.
        paraphrases: Text tower on sentences that say the same.
        web: Both on stills with sparse captions.
        vision_share: The vision tower's share of the rates of `web`.
        web_paraphrases: Paraphrases a step of `web`.
        paraphrase_weight: Weight of their loss there.
        width: Width of the towers.
        vision_layers: Layers of the vision tower.
        text_layers: Layers of the text tower.
        validation_stills: Stills that progress is measured on.
        validate_every: Steps between measurements.
        checkpoint_every: Steps between checkpoints.
    """

    facts: Phase
    paraphrases: Phase
    web: Phase
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseReport:
    """A step of a phase, for progress displays."""

    phase: str
    step: StepReport


def pretrain(
    out: Path,
    *,
    plan: PretrainingPlan,
    seed: int,
    workers: int,
    on_step: Callable[[PhaseReport], None],
) -> Path | None:
    """Pretrain to the end, or until SIGINT or SIGTERM; called again, it goes on.

    The checkpoints of a phase that is done are kept: its last is where the next one starts.

    `out` gets one run folder per phase, `model/`, and the weights in half precision. A folder is of
    one plan and one seed.

    Returns:
        The model's folder; None when interrupted.

    Raises:
        CheckpointError: the folder is of another plan or seed, or a checkpoint is damaged.
        TrainingError: a loss is not finite.
    """
    _claim(out, plan=plan, seed=seed)
    backbone = build_mini_clip(
        seed=seed,
        width=plan.width,
        vision_layers=plan.vision_layers,
        text_layers=plan.text_layers,
    ).eval()
    job = _Job(out=out, plan=plan, seed=seed, workers=workers, on_step=on_step)
    done = job.facts(backbone) and job.paraphrases(backbone) and job.web(backbone)
    if not done:
        return None
    round_to_half(backbone)
    write_weights(out, backbone, seed=seed)
    write_mini_clip(out / "model", backbone)
    return out / "model"


def _claim(out: Path, *, plan: PretrainingPlan, seed: int) -> None:
    """Write down plan and seed, or refuse a folder of others."""
    file = out / "pretraining.json"
    refusal = CheckpointError(
        "is of another plan or seed",
        where=str(file),
        fix="Go on with those it names, or choose another folder.",
    )
    claim_folder(file, {"seed": seed, "plan": asdict(plan)}, refusal=refusal)


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What all phases share; each returns whether it is done, with its weights in the backbone."""

    out: Path
    plan: PretrainingPlan
    seed: int
    workers: int
    on_step: Callable[[PhaseReport], None]

    def facts(self, backbone: Backbone) -> bool:
        """Vision tower on facts."""
        trainee = FactTrainee(backbone, rates=self.plan.facts.rates, seed=self.seed)
        stills = self._validation_stills()
        return self._train(
            "facts",
            trainee,
            phase=self.plan.facts,
            make=self._draw_stills("facts", self.plan.facts),
            validator=lambda: trainee.accuracy(stills()),
        )

    def paraphrases(self, backbone: Backbone) -> bool:
        """Text tower on paraphrases."""
        phase = self.plan.paraphrases
        trainee = ParaphraseTrainee(backbone, rates=phase.rates)
        make = WriteParaphrases(seed=f"{self.seed}:paraphrases", size=phase.batch)
        return self._train("paraphrases", trainee, phase=phase, make=make, validator=None)

    def web(self, backbone: Backbone) -> bool:
        """Both towers on web captions."""
        phase = self.plan.web
        trainee = WebTrainee(
            backbone,
            rates=phase.rates,
            vision_share=self.plan.vision_share,
            paraphrase_weight=self.plan.paraphrase_weight,
            paraphrases=WriteParaphrases(seed=f"{self.seed}:web", size=self.plan.web_paraphrases),
        )
        stills = self._validation_stills()
        return self._train(
            "web",
            trainee,
            phase=phase,
            make=self._draw_stills("web", phase),
            validator=lambda: zero_shot_accuracy(backbone, stills()),
        )

    def _train(
        self,
        name: str,
        trainee: Trainee[Any],
        *,
        phase: Phase,
        make: Callable[[int], Any],
        validator: Validator | None,
    ) -> bool:
        """Run a phase, or load it where it is done."""
        run = RunFolder(self.out / name)
        loop = TrainingLoop(
            trainee,
            self._settings(phase),
            run=run,
            accelerator=Accelerator(cpu=True),
            validator=validator,
            on_step=lambda report: self.on_step(PhaseReport(phase=name, step=report)),
        )
        if run.steps()[-1:] == [phase.steps]:
            loop.load_weights(phase.steps)
            return True
        batches: BatchSource[Any] = DrawnBatches(
            make=make, num_steps=phase.steps, workers=self.workers
        )
        return loop.run(batches, resume=True).interrupted_by is None

    def _settings(self, phase: Phase) -> LoopSettings:
        """How the loop trains a phase."""
        return LoopSettings(
            num_steps=phase.steps,
            warmup_steps=phase.warmup_steps,
            schedule="cosine",
            clip_norm=1.0,
            precision="bf16",
            validate_every=self.plan.validate_every,
            checkpoint_every=self.plan.checkpoint_every,
            keep_checkpoints=1,
            seed=self.seed,
        )

    def _draw_stills(self, name: str, phase: Phase) -> DrawStills:
        """The stills of a phase; no two phases see the same."""
        return DrawStills(seed=f"{self.seed}:{name}", size=phase.batch, image_size=IMAGE_SIZE)

    def _validation_stills(self) -> Callable[[], StillBatch]:
        """Draws the stills that progress is measured on, when it first is."""
        draw = DrawStills(
            seed=f"{self.seed}:validation",
            size=self.plan.validation_stills,
            image_size=IMAGE_SIZE,
        )
        return functools.cache(lambda: draw(0))
