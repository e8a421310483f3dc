"""A small run tells TensorBoard, Trackio and W&B what it measures, without network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.adapted_world import World, make_world

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), num_videos=6)


def adapt(
    world: World, tracker: str, out: Path, *, launcher: tuple[str, ...] = ("-m",)
) -> subprocess.CompletedProcess[str]:
    """A run of its own: trackers leave threads and signal handlers behind."""
    if find_spec(tracker) is None:
        pytest.skip(f"{tracker} is not installed")
    command = [
        *(
            sys.executable,
            *launcher,
            "figclip",
            "adapt",
            "--recipe",
            "tiny",
            "--base",
            str(world.base),
        ),
        *("--data", str(world.store), "--out", str(out), "--cpu", "--track", tracker),
    ]
    offline = {"WANDB_MODE": "offline", "TRACKIO_DIR": str(out / "trackio"), "HF_HUB_OFFLINE": "1"}
    environment = {**os.environ, **offline, "XDG_CACHE_HOME": str(out / "cache")}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def losses(out: Path) -> dict[int, float]:
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row["loss"] for row in rows if "loss" in row}


def test_tensorboard_has_every_loss(world: World, tmp_path: Path):
    out = tmp_path / "mine"
    done = adapt(world, "tensorboard", out)
    assert done.returncode == 0, done.stderr
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out / "tracking" / "figclip")).Reload()
    found = {one.step: one.value for one in events.Scalars("loss")}
    assert found == pytest.approx(losses(out), rel=1e-6)
    assert {"gradient_norm", "time/s"} <= set(events.Tags()["scalars"])


def test_trackio_has_every_loss(world: World, tmp_path: Path):
    out = tmp_path / "mine"
    done = adapt(world, "trackio", out)
    assert done.returncode == 0, done.stderr
    import sqlite3

    [file] = (out / "trackio").rglob("figclip*.db")
    rows = sqlite3.connect(file).execute("SELECT step, metrics FROM metrics").fetchall()
    found = {step: json.loads(text)["loss"] for step, text in rows if "loss" in json.loads(text)}
    assert found == pytest.approx(losses(out))


def test_wandb_offline_keeps_its_run(world: World, tmp_path: Path):
    out = tmp_path / "mine"
    done = adapt(world, "wandb", out)
    assert done.returncode == 0, done.stderr
    [file] = (out / "tracking" / "wandb").glob("offline-run-*/run-*.wandb")
    assert b"gradient_norm" in file.read_bytes()


def test_two_processes_go_on_after_the_tracker_has_ended(world: World, tmp_path: Path):
    """Ending a tracker must not end the process group: the model is written afterwards."""
    out = tmp_path / "mine"
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "-m")
    done = adapt(world, "tensorboard", out, launcher=launcher)
    assert done.returncode == 0, done.stderr
    assert (out / "model" / "model.safetensors").exists()
