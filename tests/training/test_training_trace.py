"""Ten steps of training are what they were, and no flag is without effect."""

from __future__ import annotations

import dataclasses

import pytest

from figclip.config import RunConfig
from figclip.config.parsing import valid_keys
from figclip.config.recipes import RECIPES, build_recipe
from tests.training_trace import CHANGES, Trace, TraceRunner, load_golden

LOSS_TOLERANCE = 2e-5
GRADIENT_TOLERANCE = 5e-4
WEIGHT_TOLERANCE = 1e-3
"""Relative. Kernels for AVX-512, AVX2 and plain CPUs differ by 3e-6, 1e-4 and 2e-4."""

WITHOUT_EFFECT = {
    "train.micro_batch": "7",
    "train.activations_gib": "1e-9",
    "train.validate_every": "3",
    "train.checkpoint_every": "4",
    "train.keep_checkpoints": "1",
}
"""Flags that must not change the trace, and another setting of each."""

ALWAYS = ("text.mask_equal_texts=false", "text.video_negatives=false", "model.adaptation=lora_both")
"""Changes that `make test` runs, too; `make test-slow` runs them all."""

ELSEWHERE = {
    "model.base": "every test that has a base of its own",
    "data.loader_workers": "tests/training/test_batches.py: workers read the same batches",
    "train.precision": "test_bf16_is_near below: its rounding differs from machine to machine",
    "train.keep": "tests/adaptation/test_adapt.py: it decides which checkpoint becomes the model",
}
"""Flags that are not in the golden, and where they are tested."""


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> TraceRunner:
    return TraceRunner(tmp_path_factory.mktemp("traces"))


@pytest.fixture(scope="module")
def golden() -> dict[str, Trace]:
    return load_golden()


def tolerance(name: str) -> float:
    if name == "loss/keep":  # nearly equal distributions cancel: 3e-5 between versions of torch
        return 1e-4
    if name.startswith("loss"):
        return LOSS_TOLERANCE
    return WEIGHT_TOLERANCE if name.startswith("weights/") else GRADIENT_TOLERANCE


def distance(name: str, found: list[float], expected: list[float]) -> float:
    """Largest relative difference; of a matrix's numbers, relative to its norm."""
    scales = [expected[0]] * 2 if name.startswith("weights/") else expected
    if name == "loss/keep":  # before the first step there is nothing to keep
        scales = [max(expected)] * len(expected)
    pairs = zip(found, expected, scales, strict=True)
    return max(abs(one - other) / abs(scale) for one, other, scale in pairs)


def assert_same(found: Trace, expected: Trace) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert distance(name, found[name], values) <= tolerance(name), name


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(change, marks=() if change in ("", *ALWAYS) else pytest.mark.slow)
        for change in ("", *CHANGES)
    ],
)
def test_ten_steps_are_the_golden_ones(runner: TraceRunner, golden: dict[str, Trace], change: str):
    assert_same(runner.run(*filter(None, [change])), golden[change])


@pytest.mark.parametrize("change", CHANGES)
def test_every_flag_changes_losses(golden: dict[str, Trace], change: str):
    found, base = golden[change]["loss"], golden[""]["loss"]
    # Half of the videos make fewer batches.
    assert distance("loss", found, base[: len(found)]) > 5 * LOSS_TOLERANCE


def test_no_two_changes_are_the_same(golden: dict[str, Trace]):
    assert len({tuple(trace["loss"]) for trace in golden.values()}) == 1 + len(CHANGES)


@pytest.mark.slow
@pytest.mark.parametrize("flag", WITHOUT_EFFECT)
def test_flags_of_memory_and_of_files_change_nothing(
    runner: TraceRunner, golden: dict[str, Trace], flag: str
):
    assert_same(runner.run(f"{flag}={WITHOUT_EFFECT[flag]}"), golden[""])


def test_bf16_is_near(runner: TraceRunner, golden: dict[str, Trace]):
    found = runner.run("train.precision=bf16")
    assert 1e-5 < distance("loss", found["loss"], golden[""]["loss"]) < 5e-3


def test_every_flag_is_here():
    """A new flag needs a line above; one that a recipe sets, most of all."""
    changed = [change.partition("=")[0] for change in CHANGES]
    assert sorted({*changed, *WITHOUT_EFFECT, *ELSEWHERE}) == sorted(valid_keys(RunConfig))
    assert len({*changed}) + len(WITHOUT_EFFECT) + len(ELSEWHERE) == len(valid_keys(RunConfig))
    tables = [dataclasses.asdict(build_recipe(name)) for name in RECIPES]
    for key in valid_keys(RunConfig):
        section, _, field = key.partition(".")
        if len({table[section][field] for table in tables}) > 1:
            assert key in {*changed, "train.micro_batch", *ELSEWHERE}


def test_the_drawn_videos_share_captions(golden: dict[str, Trace]):
    """Else the masks of equal texts would have nothing to hide, neither of events nor of videos."""
    masked, open_ = golden[""], golden["text.mask_equal_texts=false"]
    for name in ("loss/event", "loss/video", "loss/event_context", "loss/video_context"):
        assert masked[name][0] < open_[name][0] - 0.01, name
