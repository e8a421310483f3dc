"""Sets of prompts."""

from __future__ import annotations

import pytest

from figclip.datasets.actions import PROMPT_SETS, find_prompts, prompts_for
from figclip.errors import ConfigError


def test_sizes() -> None:
    assert {name: len(prompts) for name, prompts in PROMPT_SETS.items()} == {
        "bare": 1,
        "photo": 1,
        "kinetics": 28,
        "ucf101": 48,
        "srl": 1,
    }


@pytest.mark.parametrize("name", PROMPT_SETS)
def test_every_prompt_has_one_place_and_is_there_once(name: str) -> None:
    prompts = PROMPT_SETS[name]
    assert all(prompt.count("{}") == 1 for prompt in prompts)
    assert all(prompt == " ".join(prompt.split()) for prompt in prompts)
    assert len(set(prompts)) == len(prompts)


def test_examples_of_the_published_sets() -> None:
    kinetics, ucf101 = PROMPT_SETS["kinetics"], PROMPT_SETS["ucf101"]
    assert (kinetics[0], kinetics[8], kinetics[27]) == (
        "a photo of {}.",
        "a video of a person {}.",
        "a demonstration of a person practicing {}.",
    )
    assert (ucf101[2], ucf101[13], ucf101[47]) == (
        "a example of a person {}.",
        "a video of the person using {}.",
        "a demonstration of the person practicing {}.",
    )


def test_prompts_for() -> None:
    assert prompts_for("yo yo", "bare") == ("yo yo",)
    assert prompts_for("yo yo", "photo") == ("a photo of a yo yo.",)
    assert prompts_for("yo yo", "srl") == ("In this photo, the action is yo yo",)
    assert prompts_for("{x} {} {", "photo") == ("a photo of a {x} {} {.",)


def test_unknown_set() -> None:
    with pytest.raises(
        ConfigError,
        match="--prompts: unknown set of prompts 'k400'. Sets are bare,.*needs {}",
    ):
        prompts_for("yo yo", "k400")


def test_a_text_of_ones_own() -> None:
    assert find_prompts("a video of someone {}") == ("a video of someone {}",)
    assert prompts_for("{x}", "{} is done, {}") == ("{x} is done, {x}",)
    assert find_prompts("srl") == PROMPT_SETS["srl"]
    for wrong in ("a video of someone", "a { } video", "", "Photo"):
        with pytest.raises(ConfigError, match="--data a:b: unknown set"):
            find_prompts(wrong, where="--data a:b")
