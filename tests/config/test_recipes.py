"""Recipes: each builds, says where it is from, keeps its paper's settings, and can take a step."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import pytest

from figclip.config import LossConfig, ModelConfig, RunConfig
from figclip.config.parsing import from_json, to_json
from figclip.config.recipes import RECIPES, build_recipe, explain_recipe
from figclip.errors import ConfigError
from tests.small_runs import make_run, step_losses, write_tiny_clip

PAPER = {
    "figclip_vit_b_32": ("openai/clip-vit-base-patch32", "figclip_v1"),
    "figclip_vit_b_16": ("openai/clip-vit-base-patch16", "figclip_v1"),
    "figclip_vit_l_14": ("openai/clip-vit-large-patch14", "figclip_v1"),
    "srl_clip_vit_b_32": ("openai/clip-vit-base-patch32", "srl_clip"),
    "srl_clip_vit_b_16": ("openai/clip-vit-base-patch16", "srl_clip"),
    "srl_clip_vit_l_14": ("openai/clip-vit-large-patch14", "srl_clip"),
    "srl_clip_vit_l_14_336": ("openai/clip-vit-large-patch14-336", "srl_clip"),
}


def test_there_are_the_papers_recipes_and_ours():
    assert set(RECIPES) == {*PAPER, "default", "mini", "tiny"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_names_itself_and_survives_json(name: str):
    config = build_recipe(name)
    assert config.recipe == name
    assert from_json(to_json(config), RunConfig) == config


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_explains_itself(name: str):
    text = explain_recipe(name)
    heads = re.findall(r"^([A-Z][a-z]+(?:, [a-z]+)*): \S", text, flags=re.MULTILINE)
    labels = [label.lower() for head in heads for label in head.split(", ")]
    assert labels == ["purpose", "source", "expected", "hardware", "command"]
    command = text.rpartition("Command: ")[2]
    assert command.startswith(
        "figclip quickstart" if name == "mini" else f"figclip adapt --recipe {name} "
    )
    for other in re.findall(r"as (\w+_vit_\w+)", text):
        assert other in RECIPES


@pytest.mark.parametrize("name", PAPER)
def test_paper_recipes_keep_the_papers_settings(name: str):
    base, template = PAPER[name]
    config = build_recipe(name)
    assert (config.model.base, config.text.template) == (base, template)
    assert config.text.verb_negatives == 4
    assert config.text.filler_negatives == 0
    assert config.text.negative_policy == "uniform"
    assert config.text.video_negatives
    assert not config.text.mask_equal_texts
    assert config.data.frames_per_event == 4
    assert config.data.videos_per_batch == 20
    assert config.data.val_fraction == 0
    assert config.model == ModelConfig(
        base=base, adaptation="lora_image", lora_rank=64, lora_alpha=64, contextualizer_layers=6
    )
    assert config.loss == LossConfig(event=1, event_context=1, video=0.25, video_context=0.25)
    assert not config.loss.learn_logit_scale
    assert (config.train.lr, config.train.contextualizer_lr) == (1e-6, 1e-6)
    assert config.train.epochs == 40
    assert config.train.keep == "last"


def test_ours_mends_what_the_papers_leave():
    config = build_recipe("default")
    assert config.text.negative_policy == "balanced"
    assert config.text.mask_equal_texts
    assert config.train.keep == "best"
    assert config.data.val_fraction == 0.05


def test_an_unknown_recipe_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"unknown recipe 'best'.*default.*tiny"):
        build_recipe("best")


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


def shrunken(config: RunConfig) -> RunConfig:
    """The recipe on the smallest CLIP: only what must fit its width of 32 differs."""
    model = dataclasses.replace(config.model, base="tiny", contextualizer_head_dim=16)
    return dataclasses.replace(config, model=model, recipe="shrunken")


def test_every_recipe_gives_gradients_to_all_that_it_trains(clip_folder: Path):
    distinct = {to_json(shrunken(build_recipe(name))): name for name in RECIPES}
    assert len(distinct) == 5  # v1, v2, default, mini, tiny
    for name in distinct.values():
        run = make_run(clip_folder, shrunken(build_recipe(name)), events_per_video=(2, 1))
        loss = step_losses(run)["loss"]
        assert math.isfinite(loss) and loss > 0
        for group in run.trainee.parameter_groups():
            for parameter_name, parameter in group.parameters.items():
                assert parameter.grad is not None, f"{name}: {parameter_name}"
                assert parameter.grad.isfinite().all()
