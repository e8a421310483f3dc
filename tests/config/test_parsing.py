"""Configurations: JSON round trip, `--set`, bounds of fields and combinations of them."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.config import (
    DataConfig,
    LossConfig,
    ModelConfig,
    RunConfig,
    TextConfig,
    TrainConfig,
)
from figclip.config.parsing import apply_overrides, from_json, to_json, valid_keys
from figclip.errors import ConfigError
from figclip.runtime.checked_json import load_checked
from tests.runtime_types import without_runtime_types

DEFAULT = RunConfig(recipe="test")


@pytest.fixture(autouse=True, scope="module")
def unchecked() -> Iterator[None]:
    """Wrong choices must reach the config."""
    with without_runtime_types():
        yield


RATE = st.floats(0, 10, allow_nan=False)
WEIGHT = st.floats(0.01, 100, allow_nan=False)

CONFIGS = st.builds(
    RunConfig,
    recipe=st.text(max_size=8),
    data=st.builds(
        DataConfig,
        frames_per_event=st.integers(1, 32),
        videos_per_batch=st.integers(1, 10**20),
        val_fraction=st.floats(0, 0.5),
        loader_workers=st.integers(0, 64),
    ),
    text=st.builds(
        TextConfig,
        template=st.sampled_from(["default", "srl_clip", "figclip_v1"]),
        verb_negatives=st.integers(0, 64),
        filler_negatives=st.integers(0, 64),
        negative_policy=st.sampled_from(["matched", "uniform"]),
        video_negatives=st.booleans(),
        mask_equal_texts=st.booleans(),
    ),
    model=st.builds(
        ModelConfig,
        base=st.text("abc/-=.", min_size=1),
        adaptation=st.sampled_from(["lora_image", "lora_text", "lora_both", "full"]),
        lora_rank=st.integers(1, 4096),
        lora_alpha=WEIGHT,
        contextualizer_layers=st.integers(1, 48),
        contextualizer_head_dim=st.integers(1, 10**6),
    ),
    loss=st.builds(
        LossConfig,
        event=WEIGHT,
        event_context=WEIGHT,
        video=WEIGHT,
        video_context=WEIGHT,
        learn_logit_scale=st.booleans(),
    ),
    train=st.builds(
        TrainConfig,
        seed=st.integers(0, 2**63 - 1),
        epochs=st.integers(1, 10**6),
        lr=RATE,
        contextualizer_lr=RATE,
        weight_decay=RATE,
        warmup_fraction=st.floats(0, 1),
        schedule=st.sampled_from(["cosine", "constant"]),
        clip_norm=WEIGHT,
        precision=st.sampled_from(["fp32", "bf16", "fp16"]),
        micro_batch=st.integers(1, 10**6),
        validate_every=st.integers(0, 10**6),
        checkpoint_every=st.integers(0, 10**6),
        keep_checkpoints=st.integers(1, 99),
        keep=st.sampled_from(["best", "last"]),
    ),
)


@given(config=CONFIGS)
def test_json_round_trip(config: RunConfig):
    assert from_json(to_json(config), RunConfig) == config


@given(config=CONFIGS)
def test_overrides_can_say_every_field(config: RunConfig):
    table = dataclasses.asdict(config)
    overrides = [
        f"{section}.{name}={value}"
        for section, fields in table.items()
        if isinstance(fields, dict)
        for name, value in fields.items()
    ]
    assert [o.partition("=")[0] for o in overrides] == valid_keys(RunConfig)
    changed = apply_overrides(dataclasses.replace(DEFAULT, recipe=config.recipe), overrides)
    assert changed == config


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(key=st.sampled_from(valid_keys(RunConfig)), value=JSON)
def test_any_value_of_any_field_is_taken_or_refused_by_name(key: str, value: Any):
    table = load_checked(to_json(DEFAULT))
    section, _, name = key.partition(".")
    table[section][name] = value
    try:
        config = from_json(json.dumps(table), RunConfig)
    except ConfigError as error:
        assert section in str(error)
    else:
        assert getattr(getattr(config, section), name) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ("[" * 100_000, "not JSON"),
        ("{}", "format None"),
        ('{"format": 2}', "format 2"),
        ('{"format": 1}', "missing fields"),
        ('{"format": 1, "recipe": "x", "data": {}}', "missing fields"),
        ('{"format": ' + "9" * 5000 + "}", "not JSON"),
    ],
)
def test_damaged_json_is_refused(text: str, message: str):
    with pytest.raises(ConfigError, match=message):
        from_json(text, RunConfig)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.update(extra=1), r"unknown fields \['extra'\]"),
        (lambda t: t["train"].update(speed=1), r"train: unknown fields \['speed'\]"),
        (lambda t: t["train"].pop("lr"), r"train: .*missing fields \['lr'\]"),
        (lambda t: t.update(train=3), "train: is not an object"),
        (lambda t: t["train"].update(lr="1"), r"train\.lr: '1' is not of type"),
        (lambda t: t["train"].update(epochs=2.0), r"train\.epochs: 2\.0 is not of type"),
        (lambda t: t["train"].update(epochs=True), r"train\.epochs: True is not of type"),
        (lambda t: t["train"].update(lr=10**400), r"train\.lr: is too large"),
        (lambda t: t["train"].update(keep="all"), r"train\.keep: is 'all', must be one of best"),
    ],
)
def test_json_of_another_shape_is_refused(change, message: str):
    table = load_checked(to_json(DEFAULT))
    change(table)
    with pytest.raises(ConfigError, match=message):
        from_json(json.dumps(table), RunConfig)


def test_whole_numbers_pass_as_floats():
    table = load_checked(to_json(DEFAULT))
    table["train"]["lr"] = 1
    lr = from_json(json.dumps(table), RunConfig).train.lr
    assert lr == 1.0
    assert type(lr) is float


def test_overrides_change_only_what_they_name():
    changed = apply_overrides(
        DEFAULT, ["train.lr=1e-4", " data.videos_per_batch = 7 ", "text.video_negatives=FALSE"]
    )
    assert changed == RunConfig(
        recipe="test",
        data=DataConfig(videos_per_batch=7),
        text=TextConfig(video_negatives=False),
        train=TrainConfig(lr=1e-4),
    )


def test_later_overrides_win_and_values_may_hold_equals_signs():
    changed = apply_overrides(DEFAULT, ["model.base=a", "model.base=b=c"])
    assert changed.model.base == "b=c"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.lr", "has no '='"),
        ("train.lrr=1", "Did you mean train.lr?.*Valid keys: data.frames_per_event"),
        ("lr=1", "unknown key 'lr'"),
        ("recipe=x", "unknown key 'recipe'"),
        ("train=1", "unknown key 'train'"),
        ("train.lr.x=1", "unknown key"),
        ("train.lr=fast", "'fast' is not a number"),
        ("train.lr=", "'' is not a number"),
        ("train.lr=nan", r"train\.lr: is nan, must be between 0 and 10"),
        ("train.lr=inf", r"train\.lr: is inf"),
        ("train.epochs=1.5", "'1.5' is not a whole number"),
        ("train.epochs=0", r"train\.epochs: is 0, must be at least 1"),
        ("train.clip_norm=inf", r"train\.clip_norm: is inf, must be at least 0"),
        ("text.video_negatives=yes", "'yes' is not true or false"),
        ("text.template=poem", r"text\.template: is 'poem', must be one of default, srl_clip"),
        ("text.negative_policy=", r"text\.negative_policy: is ''"),
        ("model.adaptation=none", r"model\.adaptation: is 'none'"),
        ("model.base=", r"model\.base: is empty"),
        ("model.lora_alpha=0", r"model\.lora_alpha"),
        ("data.val_fraction=0.51", r"data\.val_fraction: is 0\.51, must be between 0 and 0\.5"),
        ("data.frames_per_event=33", r"data\.frames_per_event"),
        ("train.seed=9223372036854775808", r"train\.seed"),
    ],
)
def test_wrong_overrides_are_refused(override: str, message: str):
    with pytest.raises(ConfigError, match=message):
        apply_overrides(DEFAULT, [override])


def test_whole_numbers_beyond_the_largest_float_are_no_special_case():
    assert apply_overrides(DEFAULT, [f"train.epochs={10**400}"]).train.epochs == 10**400
    with pytest.raises(ConfigError, match=r"train\.seed"):
        apply_overrides(DEFAULT, [f"train.seed={10**400}"])


def test_combinations_are_checked_once_all_overrides_are_in():
    overrides = ["model.contextualizer_layers=0", "loss.event_context=0", "loss.video_context=0"]
    for order in itertools.permutations(overrides):
        assert not apply_overrides(DEFAULT, order).loss.needs_contextualizer
    for left_out in range(3):
        with pytest.raises(ConfigError, match="contextualizer"):
            apply_overrides(DEFAULT, [o for i, o in enumerate(overrides) if i != left_out])


def test_all_losses_off_is_refused():
    with pytest.raises(ConfigError, match="all weights are 0"):
        LossConfig(event=0, event_context=0, video=0, video_context=0)
    with pytest.raises(ConfigError, match=r"loss\.event: is -1"):
        LossConfig(event=-1)
    with pytest.raises(ConfigError, match=r"loss\.event: is nan"):
        LossConfig(event=math.nan)


def test_configs_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEFAULT.train.lr = 1.0  # pyright: ignore[reportAttributeAccessIssue]
