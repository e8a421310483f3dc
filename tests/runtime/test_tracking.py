"""An experiment tracker is told what is measured, or refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker

import figclip.runtime.tracking as tracking
from figclip.errors import ConfigError
from figclip.runtime.tracking import require_tracker, tracked


class Recorder(GeneralTracker):
    """Keeps what it is told."""

    name = "recorder"
    requires_logging_directory = False
    told: list[Any]

    def __init__(self) -> None:
        super().__init__()
        self.told = []

    @property
    def tracker(self) -> list[Any]:
        return self.told

    def start(self) -> None:
        self.told.append("start")

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.told.append(values)

    def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
        self.told.append((step, values))

    def finish(self) -> None:
        self.told.append("finish")


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    one = Recorder()
    monkeypatch.setattr(tracking, "filter_trackers", lambda *_: [one])
    yield one


def test_it_is_told_settings_and_values_to_the_end(recorder: Recorder, tmp_path: Path):
    accelerator = Accelerator(cpu=True)
    config = {"recipe": "mini", "train": {"lr": 0.1, "seed": 0}, "keep": {"texts": ("a", "b")}}
    with (
        pytest.raises(KeyboardInterrupt),
        tracked(accelerator, "tensorboard", out=tmp_path / "mine", config=config),
    ):
        accelerator.log({"loss": 2.0}, step=1)
        raise KeyboardInterrupt
    settings = {"recipe": "mini", "train.lr": 0.1, "train.seed": 0, "keep.texts": "('a', 'b')"}
    assert recorder.told == ["start", settings, (1, {"loss": 2.0}), "finish"]
    assert (tmp_path / "mine" / "tracking").is_dir()


def test_without_one_nothing_is_told_or_written(recorder: Recorder, tmp_path: Path):
    accelerator = Accelerator(cpu=True)
    with tracked(accelerator, None, out=tmp_path / "mine", config={}):
        accelerator.log({"loss": 2.0}, step=1)
    assert recorder.told == [] and not (tmp_path / "mine").exists()


def test_one_that_is_not_there_or_does_not_start_is_named(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tracking, "get_available_trackers", lambda: ["tensorboard"])
    require_tracker("tensorboard")
    require_tracker(None)
    with pytest.raises(ConfigError, match="wandb is not installed") as caught:
        require_tracker("wandb")
    assert caught.value.fix == "Install it: pip install wandb"

    def fail() -> None:
        raise RuntimeError("no login")

    monkeypatch.setattr(recorder, "start", fail)
    with (
        pytest.raises(ConfigError, match=r"does not start \(no login\)"),
        tracked(Accelerator(cpu=True), "wandb", out=tmp_path, config={}),
    ):
        pass
