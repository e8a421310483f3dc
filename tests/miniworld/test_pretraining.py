"""Pretraining at toy size: every phase trains its part, a killed one resumes to the same bits."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from figclip.errors import CheckpointError
from figclip.miniworld.__main__ import main
from figclip.miniworld.mini_clip import IMAGE_SIZE, build_mini_clip
from figclip.miniworld.mini_models import BUILDERS
from figclip.miniworld.pretraining import PLANS, Phase, PretrainingPlan, pretrain
from figclip.miniworld.pretraining_phases import (
    QUESTIONS,
    DrawStills,
    FactTrainee,
    ParaphraseBatch,
    Rates,
    WebTrainee,
    WriteParaphrases,
    paraphrase_loss,
    zero_shot_accuracy,
)
from figclip.miniworld.situations import VERBS
from figclip.model.backbone import load_backbone
from figclip.training.loop import StepReport
from figclip.training.run_folder import RunFolder, read_metrics
from tests.kills import Killed

PHASES = ("facts", "paraphrases", "web")
RATES = Rates(matrices=0.02, rest=1e-3, weight_decay=0.05)
PHASE = Phase(steps=3, batch=4, rates=RATES, warmup_steps=1)
PLAN = PretrainingPlan(
    facts=PHASE,
    paraphrases=PHASE,
    web=PHASE,
    vision_share=0.1,
    web_paraphrases=2,
    paraphrase_weight=0.3,
    width=32,
    vision_layers=1,
    text_layers=1,
    validation_stills=3,
    validate_every=2,
    checkpoint_every=1,
)


def kill() -> None:
    raise Killed


def run(
    out: Path, at: tuple[str, int] | None = None, *, stop: Callable[[], None] = kill
) -> Path | None:
    """Pretrain; at a phase and step, `stop` is called."""

    def on_step(phase: str, report: StepReport) -> None:
        if at == (phase, report.step):
            stop()

    return pretrain(out, plan=PLAN, seed=0, workers=0, on_step=on_step)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    assert run(out) == out / "model"
    return out


def weights(out: Path) -> bytes:
    return (out / "model" / "model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
def test_killed_run_resumes_to_the_same_bits(tmp_path: Path, undisturbed: Path, phase: str):
    with pytest.raises(Killed):
        run(tmp_path, (phase, 2))
    assert run(tmp_path) == tmp_path / "model"
    assert weights(tmp_path) == weights(undisturbed)


@pytest.mark.slow
def test_signal_saves_and_stops(tmp_path: Path, undisturbed: Path):
    assert run(tmp_path, ("web", 1), stop=lambda: os.kill(os.getpid(), signal.SIGTERM)) is None
    assert not (tmp_path / "model").exists()
    assert run(tmp_path) is not None
    assert weights(tmp_path) == weights(undisturbed)


@pytest.mark.parametrize(("plan", "seed"), [(PLAN, 1), (replace(PLAN, vision_share=0.2), 0)])
def test_folder_of_something_else_is_refused(undisturbed: Path, plan: PretrainingPlan, seed: int):
    before = weights(undisturbed)
    with pytest.raises(CheckpointError, match="another plan or seed"):
        pretrain(undisturbed, plan=plan, seed=seed, workers=0, on_step=lambda *_: None)
    assert weights(undisturbed) == before


def test_phases_train_their_part(undisturbed: Path):
    first = build_mini_clip(seed=0, width=32, vision_layers=1, text_layers=1).clip.state_dict()
    vision, text, both = (
        {
            name.removeprefix("weights/clip.")
            for name, tensor in RunFolder(undisturbed / phase).load_checkpoint(3).tensors.items()
            if name.startswith("weights/clip.")
            and not torch.equal(tensor, first[name.removeprefix("weights/clip.")])
        }
        for phase in PHASES
    )
    assert vision and all(name.startswith("vision_model.") for name in vision)
    assert text and all(name.startswith(("text_model.", "text_projection.")) for name in text)
    assert vision | text | {"visual_projection.weight", "logit_scale"} == both


def test_a_phase_of_no_steps_is_left_out(tmp_path: Path):
    none = replace(PHASE, steps=0)
    plan = replace(PLAN, facts=none, paraphrases=none)
    assert pretrain(tmp_path, plan=plan, seed=0, workers=0, on_step=lambda *_: None)
    assert [(tmp_path / phase).exists() for phase in PHASES] == [False, False, True]


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("siglip")
    plan = replace(PLAN, family="siglip")
    assert pretrain(out, plan=plan, seed=0, workers=0, on_step=lambda *_: None) == out / "model"
    return out


@pytest.mark.slow
def test_siglip_goes_through_the_same_phases(siglip: Path):
    backbone = load_backbone(str(siglip / "model"))
    assert backbone.family.name == "siglip"
    assert (siglip / "mini_siglip_0.safetensors").exists()
    first = BUILDERS["siglip"](seed=0, width=32, vision_layers=1, text_layers=1).clip.state_dict()
    last = RunFolder(siglip / "web").load_checkpoint(3).tensors
    same = {name for name, one in first.items() if torch.equal(one, last[f"weights/clip.{name}"])}
    assert not same


def test_siglip_learns_its_own_loss_from_the_web(siglip: Path):
    row = read_metrics(siglip / "web" / "metrics.jsonl")[1]
    # Of 4 stills with other captions each: a pair that fits, and 3 that do not, at cosines near 0.
    assert row["scale"] == pytest.approx(10, rel=1e-2)
    assert row["bias"] == pytest.approx(-10, rel=1e-2)
    assert 1 < row["loss/web"] < 20 + 1e-3


def test_metrics_are_logged(undisturbed: Path):
    rows = {phase: read_metrics(undisturbed / phase / "metrics.jsonl") for phase in PHASES}
    assert all("loss" in row for row in rows["paraphrases"])
    assert [row["step"] for row in rows["facts"] if "val/score" in row] == [0, 2, 3]
    assert [row["step"] for row in rows["web"] if "val/verb" in row] == [0, 2, 3]
    assert {f"right/{name}" for name in QUESTIONS} <= set(rows["facts"][1])


def test_folder_loads(undisturbed: Path):
    backbone = load_backbone(str(undisturbed / "model"))
    stills = DrawStills(seed="0", size=4, image_size=IMAGE_SIZE)(1)
    scores = zero_shot_accuracy(backbone, stills)
    assert set(scores) == {"agent_kind", "scene", "verb", "direction", "manner", "score"}


def test_command(
    undisturbed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(PLANS, "clip", PLAN)
    assert main([str(undisturbed), "--workers", "0"]) == 0
    assert capsys.readouterr().out == f"wrote {undisturbed / 'model'}\n"
    assert main([str(undisturbed), "--seed", "1"]) == 1
    assert "another plan or seed" in capsys.readouterr().err


@pytest.mark.slow
def test_command_tells_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(PLANS, "clip", PLAN)
    assert main([str(tmp_path), "--workers", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == [
        *("facts 0/3", "facts 2/3", "facts 3/3", "web 0/3", "web 2/3", "web 3/3")
    ]


@pytest.mark.slow
def test_facts_are_learnt_by_heart():
    backbone = build_mini_clip(seed=0, width=32, vision_layers=1, text_layers=1).eval()
    trainee = FactTrainee(backbone, rates=RATES, seed=0)
    batch = DrawStills(seed="0", size=4, image_size=IMAGE_SIZE)(1)
    parameters = [p for g in trainee.parameter_groups() for p in g.parameters.values()]
    optimizer = torch.optim.Adam(parameters, lr=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        trainee.accumulate_gradients(batch, loss_scale=1.0)
        optimizer.step()
    assert trainee.accuracy(batch)["score"] > 0.9


def test_questions_have_their_answers():
    batch = DrawStills(seed="0", size=60, image_size=8)(1)
    for situation in batch.situations:
        for question in QUESTIONS.values():
            assert question.read(situation) in question.answers
        patient = QUESTIONS["patient_kind"].read(situation)
        assert bool(patient) == VERBS[situation.verb].is_transitive


def test_equal_negatives_are_masked():
    backbone = build_mini_clip(seed=0, width=32, vision_layers=1, text_layers=1).eval()
    texts = WriteParaphrases(seed="0", size=4)(1)
    same = replace(texts, negatives=texts.positives)
    with torch.no_grad():
        hard, plain = (paraphrase_loss(backbone, one)[0] for one in (texts, same))
    assert hard > plain


@pytest.mark.slow
def test_paraphrases_know_right_from_wrong():
    backbone = build_mini_clip(seed=0, width=32, vision_layers=1, text_layers=1).eval()
    texts = tuple(WriteParaphrases(seed="1", size=40)(1).positives)
    turned = (*texts[1:], texts[0])
    same = ParaphraseBatch(1, texts, texts, turned)
    swapped = ParaphraseBatch(1, texts, turned, texts)
    assert paraphrase_loss(backbone, same)[1] == 1.0
    assert paraphrase_loss(backbone, swapped)[1] == 0.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "end"),
    [("clip", "visual_projection.weight"), ("siglip", "vision_model.head.mlp.fc2.weight")],
)
def test_vision_learns_slowly_from_the_web_but_for_its_end(family: str, end: str):
    backbone = BUILDERS[family](seed=0, width=32, vision_layers=1, text_layers=1)
    trainee = WebTrainee(
        backbone,
        rates=RATES,
        vision_share=0.1,
        paraphrase_weight=0.3,
        paraphrases=WriteParaphrases(seed="0", size=4),
    )
    groups = {group.name: group for group in trainee.parameter_groups()}
    assert groups["vision_hidden"].lr == pytest.approx(0.1 * groups["rest_hidden"].lr)
    named = {name for group in groups.values() for name in group.parameters}
    assert named == {f"clip.{name}" for name, _ in backbone.clip.named_parameters()}
    assert f"clip.{end}" in groups["rest_other"].parameters
    assert all(
        name.startswith("clip.vision_model.")
        for key, group in groups.items()
        for name in group.parameters
        if key.startswith("vision_")
    )
