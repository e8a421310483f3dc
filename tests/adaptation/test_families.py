"""What every family must do: gradients, folders, strengths, exports, and all verbs in a run."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from transformers import AutoModel

from figclip.adaptation.adapt import adapt
from figclip.config import KeepConfig, LossConfig, ModelConfig, RunConfig, TextConfig, TrainConfig
from figclip.config.parsing import apply_overrides
from figclip.config.recipes import build_recipe
from figclip.errors import ConfigError, StoreError
from figclip.evaluation.evaluate import evaluate
from figclip.evaluation.sources import DataSource
from figclip.exporting.export import TARGETS, export, find_target
from figclip.exporting.targets import check_family
from figclip.model.backbone import load_backbone
from figclip.model.families import FAMILIES
from figclip.model.figclip import FiGCLIP
from figclip.preparation.prepare import prepare
from figclip.search.index import Index
from figclip.search.indexing import index
from figclip.training.loop import StepReport
from figclip.video.store import StoreSpec
from tests.adapted_world import IMAGE_SIZE, World, make_world
from tests.model_folders import adapt_at_random
from tests.small_families import SMALL_FAMILIES, SmallFamily
from tests.small_runs import assert_close, gradients, make_run, with_micro_batch

CONFIG = RunConfig(
    recipe="test",
    text=TextConfig(verb_negatives=2),
    model=ModelConfig(
        lora_rank=4, lora_alpha=8, contextualizer_layers=1, contextualizer_head_dim=8
    ),
    loss=LossConfig(learn_logit_scale=True),
    keep=KeepConfig(weight=0.5),
    train=TrainConfig(micro_batch=1000),
)


# CLIP has tests of its own, and MetaCLIP 2 its layers and its loss.
FAMILIES_TO_TEST = [
    pytest.param(one, id=one.name, marks=() if one.name == "siglip" else pytest.mark.slow)
    for one in SMALL_FAMILIES
]


@pytest.fixture(scope="module", params=FAMILIES_TO_TEST)
def family(request: pytest.FixtureRequest) -> SmallFamily:
    return request.param


@pytest.fixture(scope="module")
def base(family: SmallFamily, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(family.name) / "base"
    family.write(path, 0, 16)
    return path


@pytest.mark.parametrize("adaptation", ["lora_both", "full"])
def test_micro_batches_give_the_one_shot_gradient(base: Path, adaptation):
    model = dataclasses.replace(CONFIG.model, adaptation=adaptation)
    config = dataclasses.replace(CONFIG, model=model)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 3e-5)):
        one_shot, loss = gradients(make_run(base, config, dtype=dtype))
        assert any("logit_scale" in name for name in one_shot)
        small = make_run(base, with_micro_batch(config, 3), dtype=dtype, activation_bytes=1)
        found, small_loss = gradients(small)
        assert small_loss == pytest.approx(loss, rel=tolerance)
        assert_close(found, one_shot, tolerance=tolerance)


@pytest.mark.parametrize("adaptation", ["lora_image", "lora_both"])
def test_a_folder_is_a_plain_model_of_its_family_at_any_strength(
    base: Path, tmp_path: Path, adaptation
):
    adapted = adapt_at_random(base, adaptation=adaptation, layers=0)
    folder = adapted.write(tmp_path / "model")
    plain: Any = AutoModel.from_pretrained(folder).eval()
    assert type(plain) is type(adapted.backbone.clip)
    whole = FiGCLIP.from_pretrained(folder)
    weights = whole.backbone.clip.state_dict()
    assert all(torch.equal(weights[name], one) for name, one in plain.state_dict().items())
    size = whole.backbone.preprocessing.image_size
    frames = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    with torch.no_grad():
        rows = normalize(adapted.backbone.encode_frames(torch.from_numpy(frames)), dim=-1)
    torch.testing.assert_close(whole.encode_frames(frames), rows, atol=1e-6, rtol=0)
    back = FiGCLIP.from_pretrained(folder, alpha=0.0).backbone.clip.state_dict()
    half = FiGCLIP.from_pretrained(folder, alpha=0.5).backbone.clip.state_dict()
    moved = 0
    for name, before in load_backbone(str(base)).clip.state_dict().items():
        torch.testing.assert_close(back[name], before, atol=1e-6, rtol=0)
        middle = (before + weights[name]) / 2
        torch.testing.assert_close(half[name], middle, atol=1e-6, rtol=0)
        moved += not torch.equal(before, weights[name])
    assert moved == (6 if adaptation == "lora_image" else 12), "q, k, v of two layers a tower"


def test_exports_to_transformers_agree_and_others_are_refused_by_name(base: Path, tmp_path: Path):
    done = export(base, to="hf", out=tmp_path / "hf")
    [agreement] = done.agreements
    assert agreement.max_difference <= 1e-5
    again: Any = AutoModel.from_pretrained(done.folder)
    family = FAMILIES[again.config.model_type]
    for name in TARGETS:
        target = find_target(name)
        if target.families is None or family.name in target.families:
            check_family(name, target, family)
        else:
            with pytest.raises(ConfigError, match=f"--to {name}: cannot hold a {family.title}"):
                check_family(name, target, family)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), num_videos=6)


def stop_after_two_steps(report: StepReport) -> None:
    if report.step == 2:
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
def test_every_verb(world: World, family: SmallFamily, tmp_path: Path):
    base, store = tmp_path / "base", tmp_path / "frames.store"
    family.write(base, 0, IMAGE_SIZE)
    prepare(
        world.annotations,
        videos=world.videos,
        out=store,
        spec=StoreSpec(pipeline=family.pipeline, size=IMAGE_SIZE),
        frames_per_event=2,
        num_workers=1,
    )
    overrides = (f"model.base={base}", "train.epochs=3", "train.checkpoint_every=4")
    config = apply_overrides(build_recipe("tiny"), overrides)
    if family.pipeline != "pil":
        with pytest.raises(StoreError, match=f"--pipeline {family.pipeline}"):
            adapt(config, data=[world.store], out=tmp_path / "cropped", cpu=True)
    whole, run = tmp_path / "whole", tmp_path / "run"
    adapt(config, data=[store], out=whole, cpu=True)
    first = adapt(config, data=[store], out=run, cpu=True, on_step=stop_after_two_steps)
    assert first.outcome.interrupted_by == signal.SIGINT and first.model is None
    second = adapt(config, data=[store], out=run, cpu=True, resume=True)
    assert second.outcome.step == 6
    model = FiGCLIP.from_pretrained(run)
    undisturbed = FiGCLIP.from_pretrained(whole).backbone.clip.state_dict()
    for name, one in model.backbone.clip.state_dict().items():
        assert torch.equal(one, undisturbed[name]), name
    assert model.video_pipeline.name == family.pipeline

    result = evaluate(
        run,
        data=[DataSource(name="events", path=store)],
        out=tmp_path / "eval",
        frames_per_event=2,
    )
    assert result.tasks[0].task == "dense_retrieval"
    assert not [one for one in result.notices if "pipeline" in one]

    report = index(run, [world.videos], out=tmp_path / "clips.index", num_workers=1)
    assert report.num_videos == 6
    opened = Index.open(tmp_path / "clips.index", model=run)
    hits = opened.search(text="a man pushes a woman", k=3)
    assert len(hits) == 3
    assert opened.search(video=hits[0].path, k=1)[0].path == hits[0].path
    assert export(run, to="hf", out=tmp_path / "hf", alpha=0.5).alpha == 0.5
