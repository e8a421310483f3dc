from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.config import CaptioningConfig, EventSentences, HeadTrainConfig, SituationConfig
from figclip.config.parsing import apply_overrides, from_json, to_json, valid_keys
from figclip.config.recipes import (
    CAPTIONING_RECIPES,
    SITUATION_RECIPES,
    build_captioning_recipe,
    build_situation_recipe,
)
from figclip.errors import ConfigError
from figclip.runtime.checked_json import load_checked
from tests.runtime_types import without_runtime_types


@pytest.mark.parametrize("name", [*SITUATION_RECIPES, *CAPTIONING_RECIPES])
def test_recipes_say_their_name_purpose_and_command(name: str):
    recipe = {**SITUATION_RECIPES, **CAPTIONING_RECIPES}[name]
    config = recipe()
    assert config.recipe == name
    for part in ("Purpose:", "Source:", "Expected:", "Hardware:", "Command: figclip"):
        assert part in (recipe.__doc__ or ""), part
    assert from_json(to_json(config), type(config)) == config


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="mini_situations"):
        build_situation_recipe("default")
    with pytest.raises(ConfigError, match="Recipes are captioning, mini_captioning"):
        build_captioning_recipe("situations")


@pytest.mark.parametrize(
    ("override", "match"),
    [
        ("frames.per_second=0", r"frames\.per_second: is 0"),
        ("queries.num=0", r"queries\.num: is 0"),
        ("queries.decoder_layers=0", r"queries\.decoder_layers"),
        ("loss.spans=-1", r"loss\.spans"),
        ("loss.count=0", "Every part is needed"),
        ("frames.per_event=4", "unknown key"),
    ],
)
def test_bad_values_of_captioning_are_named(override: str, match: str):
    with without_runtime_types(), pytest.raises(ConfigError, match=match):
        apply_overrides(CaptioningConfig(recipe="x"), [override])


@given(lr=st.floats(0, 10), epochs=st.integers(1, 99), beam=st.integers(1, 64))
def test_json_round_trip(lr: float, epochs: int, beam: int):
    config = apply_overrides(
        SituationConfig(recipe="x"),
        [f"train.lr={lr!r}", f"train.epochs={epochs}", f"head.beam={beam}"],
    )
    assert from_json(to_json(config), SituationConfig) == config
    assert (config.train.lr, config.train.epochs, config.head.beam) == (lr, epochs, beam)


@pytest.mark.parametrize(
    ("override", "match"),
    [
        ("train.epochs=0", r"train\.epochs: is 0"),
        ("train.lr=nan", r"train\.lr"),
        ("train.schedule=linear", "cosine, constant"),
        ("train.val_fraction=0.9", "val_fraction"),
        ("head.heads=7", "does not split into 7 heads"),
        ("head.dropout=1", r"head\.dropout"),
        ("head.beam=0", r"head\.beam"),
        ("loss.verbs=-1", r"loss\.verbs"),
        ("frames.per_event=33", r"frames\.per_event"),
        ("frames.layer=last", "embedding, pooled"),
        ("inputs.relations=all", "outputs, words"),
        ("loss.roles_=1", r"Did you mean loss\.roles"),
        ("model.base=x", "unknown key"),
    ],
)
def test_bad_values_are_named(override: str, match: str):
    with without_runtime_types(), pytest.raises(ConfigError, match=match):
        apply_overrides(SituationConfig(recipe="x"), [override])


def test_something_must_be_trained():
    with pytest.raises(ConfigError, match="all weights are 0"):
        apply_overrides(
            SituationConfig(recipe="x"), [f"loss.{p}=0" for p in ("verbs", "roles", "relations")]
        )


def test_every_setting_is_documented_and_can_be_set():
    assert len(valid_keys(SituationConfig)) == sum(
        len(dataclasses.fields(getattr(SituationConfig(recipe="x"), section)))
        for section in ("frames", "head", "inputs", "loss", "train")
    )
    assert HeadTrainConfig().seed == 0


def test_heads_of_earlier_versions_ask_no_sentence_and_taught_the_last_layer_only():
    content = load_checked(to_json(CaptioningConfig(recipe="x")))
    del content["sentences"]
    read = from_json(json.dumps(content), CaptioningConfig)
    assert read.sentences == EventSentences(layers="last", rerank=0.0)
    assert build_captioning_recipe("captioning").sentences != read.sentences


def test_heads_of_earlier_versions_read_embeddings_and_no_words():
    for kind in (SituationConfig, CaptioningConfig):
        content = load_checked(to_json(kind(recipe="x")))
        del content["frames"]["layer"]
        content.pop("inputs", None)
        read = from_json(json.dumps(content), kind)
        assert read == kind(recipe="x") and read.frames.layer == "embedding"
    assert SituationConfig(recipe="x").inputs.relations == "outputs"
