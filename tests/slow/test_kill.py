"""kill -9 at random moments, then --resume: the same weights and metrics as undisturbed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from figclip.runtime.checked_json import load_checked
from tests.adapted_world import World, make_world
from tests.processes import Start

pytestmark = pytest.mark.slow
NUM_KILLS = 6


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    # 84 groups, half of which make up a validation set.
    return make_world(tmp_path_factory.mktemp("world"), num_videos=85, num_valid=1)


def command(world: World, out: Path, *, resume: bool) -> list[str]:
    settings = (
        "data.val_fraction=0.5",
        "train.keep=best",
        "train.epochs=4",
        "train.checkpoint_every=3",
        "data.videos_per_batch=8",
        "data.loader_workers=1",
        "keep.weight=1",
        "keep.pictures=3",
    )
    return [
        sys.executable, "-m", "figclip", "adapt", "--recipe", "tiny", "--base", str(world.base),
        "--data", str(world.store), "--out", str(out), "--cpu",
        "--keep-images", str(pictures_of(world)),
        *(part for one in settings for part in ("--set", one)),
        *(["--resume"] if resume else []),
    ]  # fmt: skip


def pictures_of(world: World) -> Path:
    """Where the unlabelled pictures are that a run is held to its base on."""
    folder = world.folder / "pictures"
    if not folder.exists():
        folder.mkdir()
        noise = np.random.default_rng(0).integers(0, 256, (7, 40, 50, 3), dtype=np.uint8)
        for number, picture in enumerate(noise):
            Image.fromarray(picture).save(folder / f"{number}.png")
    return folder


def metrics_without_times(run: Path) -> list[dict]:
    rows = [load_checked(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "time"} for row in rows]


def num_lines(run: Path) -> int:
    """Lines of a run's metrics so far."""
    file = run / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def test_killed_again_and_again_equals_undisturbed(start: Start, world: World, tmp_path: Path):
    environment = {**os.environ, "FIGCLIP_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(command(world, whole, resume=False), env=environment, check=True)
    rng, killed = random.Random(0), 0
    for _ in range(NUM_KILLS):
        resume = (broken / "config.json").exists()
        # Moments by what is written, not by the clock, which a busy machine makes another.
        wanted = num_lines(broken) + rng.randint(1, 6)
        process = start(command(world, broken, resume=resume), env=environment)
        while process.poll() is None and num_lines(broken) < wanted:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))
        if process.poll() is not None:
            break  # it got to the end before it was killed
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += 1
    assert killed >= 2, "nothing was killed on the way: nothing is tested"
    resume = (broken / "config.json").exists()
    subprocess.run(command(world, broken, resume=resume), env=environment, check=True)
    expected = load_file(whole / "model" / "model.safetensors")
    found = load_file(broken / "model" / "model.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert metrics_without_times(broken) == metrics_without_times(whole)
    assert any(row.get("loss/keep", 0) > 1e-6 for row in metrics_without_times(whole))


def test_ctrl_c_to_the_whole_group_before_the_first_step_saves(
    start: Start, world: World, tmp_path: Path
):
    """A terminal signals loader workers too; the step being waited for must survive that."""
    environment = {**os.environ, "FIGCLIP_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    out = tmp_path / "run"
    process = start(
        command(world, out, resume=False), env=environment, stderr=subprocess.PIPE, text=True
    )
    # The first line is the base's validation: the loop has its handlers, the workers come next.
    while not (out / "metrics.jsonl").exists() or not (out / "metrics.jsonl").read_text():
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.01)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGINT, errors
    assert "Traceback" not in errors
    assert list((out / "checkpoints").glob("step-*"))


def test_sigterm_saves_and_says_how_to_go_on(start: Start, world: World, tmp_path: Path):
    environment = {**os.environ, "FIGCLIP_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    out = tmp_path / "run"
    process = start(
        command(world, out, resume=False), env=environment, stderr=subprocess.PIPE, text=True
    )
    while not (out / "metrics.jsonl").exists() or not (out / "metrics.jsonl").read_text():
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert "--resume" in errors
    assert list((out / "checkpoints").glob("step-*"))
