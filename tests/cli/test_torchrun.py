"""`figclip` in several processes, as torchrun starts it: the docs' own command."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from figclip.config.recipes import build_captioning_recipe, build_situation_recipe
from figclip.errors import ConfigError
from figclip.evaluation.sources import parse_source
from figclip.heads.run import FinetuneResult
from figclip.runtime.checked_json import load_checked
from figclip.training.run_folder import RunFolder, read_metrics
from tests.kept_sets import KeptWorld, write_kept_world
from tests.processes import Start

TESTS = Path(__file__).parent.parent
TORCHRUN = Path(sys.executable).with_name("torchrun")
DEADLINE_S = 240.0
OTHER_VERBS = (
    "quickstart", "preview", "caption", "prepare", "eval", "finetune", "describe", "score",
    "report", "index", "search", "recipes",
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> KeptWorld:
    return write_kept_world(tmp_path_factory.mktemp("kept") / "world")


def start_adapt(
    start: Start,
    world: KeptWorld,
    folder: Path,
    *extra: str,
    num_processes: int,
    program: Sequence[str] = ("-m", "figclip"),
) -> subprocess.Popen[str]:
    """Start the command of docs/training.md with a run folder and a cache in `folder`."""
    launcher = [sys.executable]
    if num_processes > 1:
        launcher = [str(TORCHRUN), "--nproc-per-node", str(num_processes)]
    command = [
        *launcher, *program, "adapt", "--recipe", "tiny", "--base", str(world.base),
        "--data", str(world.store), "--out", str(folder / "mine"), *extra,
    ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "ENCODED": str(folder),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "FIGCLIP_CACHE": str(folder / "cache"),
        # A script in a folder of its own would not find the package of the tests.
        "PYTHONPATH": os.pathsep.join([*sys.path]),
    }
    return start(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """What a command did; torchrun's children end with it, not with its group."""
    try:
        stdout, stderr = process.communicate(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.communicate(timeout=DEADLINE_S)
        pytest.fail("the processes wait for each other")
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def said(done: subprocess.CompletedProcess[str], folder: Path) -> list[str]:
    """Lines that do not depend on time, place and number of processes."""
    lines = (done.stdout + done.stderr).replace(str(folder), "FOLDER").splitlines()
    over = re.compile(r" over \d process(es)?")
    return [over.sub("", line) for line in lines if not re.search(r"\d+/\d+", line)]


def without_keys(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Without the bias of keys: softmax does not see their shift, its gradient is rounding."""
    if not name.endswith("in_proj_bias"):
        return tensor
    queries, _, values = tensor.chunk(3)
    return torch.cat([queries, values])


def compare_one_and_two(
    start: Start, world: KeptWorld, folder: Path, *, program: Sequence[str], tolerance: float
) -> None:
    """The same run by one process and by two, both from an empty folder and cache."""
    keep = [f"{source.name}:{source.path},images={source.images}" for source in world.keep]
    extra = [
        *(word for one in keep for word in ("--keep", one)),
        *(f"--set={one}" for one in ("data.val_fraction=0.5", "train.epochs=1", "train.keep=best")),
    ]
    done = [
        ended(
            start_adapt(start, world, folder / str(num), *extra, num_processes=num, program=program)
        )
        for num in (1, 2)
    ]
    assert [one.returncode for one in done] == [0, 0], done[1].stderr
    alone, both = (said(one, folder / str(num)) for num, one in enumerate(done, start=1))
    assert both == alone
    assert sum("Model of step" in line for line in both) == 1
    assert sum("a global batch holds at most" in line for line in both) == 1
    runs = [folder / str(num) / "mine" for num in (1, 2)]
    choices = [load_checked((run / "strength.json").read_text()) for run in runs]
    assert choices[0]["alpha"] == choices[1]["alpha"]
    assert len(choices[1]["kept"]) == 2
    for name in ("model/model.safetensors", "model/contextualizer.safetensors"):
        expected, found = (load_file(run / name) for run in runs)
        assert found.keys() == expected.keys()
        for tensor, value in expected.items():
            one, two = without_keys(tensor, value), without_keys(tensor, found[tensor])
            torch.testing.assert_close(two, one, rtol=0, atol=tolerance)
    metrics = [read_metrics(run / "metrics.jsonl") for run in runs]
    assert [row["step"] for row in metrics[1]] == [row["step"] for row in metrics[0]]
    assert {row["val/score"] for row in metrics[1] if "val/score" in row} == {
        row["val/score"] for row in metrics[0] if "val/score" in row
    }


@pytest.mark.slow
def test_two_processes_do_what_one_does(start: Start, world: KeptWorld, tmp_path: Path) -> None:
    compare_one_and_two(start, world, tmp_path, program=("-m", "figclip"), tolerance=1e-4)


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one_in_float64(
    start: Start, world: KeptWorld, tmp_path: Path
) -> None:
    program = [str(TESTS / "float64_figclip.py")]
    compare_one_and_two(start, world, tmp_path, program=program, tolerance=1e-6)
    weights = load_file(tmp_path / "2" / "mine" / "model" / "model.safetensors")
    assert {one.dtype for one in weights.values()} == {torch.float64}
    # Training, validations, texts and strengths are shared: none is left to one of them.
    alone = load_checked((tmp_path / "1" / "0.json").read_text())
    for rank in range(2):
        share = load_checked((tmp_path / "2" / f"{rank}.json").read_text())
        assert 0.45 * alone["frames"] < share["frames"] < 0.55 * alone["frames"]
        # Each embeds the texts of all strengths once, for its own.
        assert share["texts"] < 0.8 * alone["texts"]


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("verb", OTHER_VERBS)
def test_other_verbs_are_refused_once(verb: str, rank: int) -> None:
    environment = {**os.environ, "WORLD_SIZE": "2", "RANK": str(rank)}
    command = [sys.executable, "-m", "figclip", verb]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert (done.stdout, len(done.stderr.splitlines())) == ("", 1 - rank)
    if rank == 0:
        assert f"`figclip {verb}` runs in one process, and 2 were started" in done.stderr


def finetune_situations(tmp_path: Path) -> FinetuneResult:
    from figclip.heads.situations.task import finetune_situations as finetune

    config, data = build_situation_recipe("situations"), parse_source(f"events:{tmp_path}")
    return finetune(config, model="a", data=data, out=tmp_path / "run", cache=tmp_path)


def finetune_captioning(tmp_path: Path) -> FinetuneResult:
    from figclip.heads.captioning.task import finetune_captioning as finetune

    config, data = build_captioning_recipe("captioning"), parse_source(f"activitynet:{tmp_path}")
    return finetune(config, model="a", data=data, out=tmp_path / "run", cache=tmp_path)


@pytest.mark.parametrize("finetune", [finetune_situations, finetune_captioning])
def test_heads_are_trained_by_one_process(
    finetune: Callable[[Path], FinetuneResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"`figclip finetune \w+` runs in one process"):
        finetune(tmp_path)
    assert not (tmp_path / "run").exists()


MANY_EPOCHS = "--set=train.epochs=20"
NUM_STEPS = 420


def wait_for_steps(process: subprocess.Popen[str], metrics: Path) -> None:
    """Until training is under way."""
    deadline = time.monotonic() + DEADLINE_S
    while not metrics.exists() or len(read_metrics(metrics)) < 3:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)


def the_only_message(done: subprocess.CompletedProcess[str]) -> str:
    """What figclip says; the launcher's own report comes with a traceback, ours does not."""
    assert done.stderr.count("Traceback") == 1 and "ChildFailedError" in done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("figclip: ")]
    return line


@pytest.mark.slow
def test_an_error_of_one_process_ends_all_with_one_message(
    start: Start, world: KeptWorld, tmp_path: Path
) -> None:
    """A frame that only one of them reads is damaged: the other waits for its embedding."""
    damaged = tmp_path / "frames.store"
    damaged.write_bytes(world.store.read_bytes())
    with closing(sqlite3.connect(damaged)) as db, db:
        (video,) = db.execute("SELECT video_hash FROM records WHERE id = 'v0'").fetchone()
        db.execute("UPDATE frames SET crc32 = 0 WHERE video_hash = ?", (video,))
    broken = dataclasses.replace(world, store=damaged)
    started = time.monotonic()
    done = ended(start_adapt(start, broken, tmp_path, num_processes=2))
    assert done.returncode == 1
    assert "its checksum does not match" in the_only_message(done)
    assert time.monotonic() - started < DEADLINE_S / 2


@pytest.mark.slow
def test_a_process_that_is_killed_ends_all_with_one_message(
    start: Start, world: KeptWorld, tmp_path: Path
) -> None:
    process = start_adapt(start, world, tmp_path, MANY_EPOCHS, num_processes=2)
    wait_for_steps(process, tmp_path / "mine" / "metrics.jsonl")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    done = ended(process)
    assert done.returncode == 1
    assert "lost the connection to another process, which was killed" in the_only_message(done)


@pytest.mark.slow
def test_ctrl_c_saves_once_and_another_number_of_processes_goes_on(
    start: Start, world: KeptWorld, tmp_path: Path
) -> None:
    process = start_adapt(start, world, tmp_path, MANY_EPOCHS, num_processes=2)
    metrics = tmp_path / "mine" / "metrics.jsonl"
    wait_for_steps(process, metrics)
    process.send_signal(signal.SIGINT)
    done = ended(process)
    assert done.returncode != 0
    [line] = [line for line in done.stderr.splitlines() if "Go on: the same" in line]
    match = re.fullmatch(r"Saved step (\d+) of \d+\. Go on: the same command with --resume\.", line)
    assert match is not None
    step = int(match[1])
    assert RunFolder(tmp_path / "mine").steps()[-1] == step < NUM_STEPS
    resumed = ended(start_adapt(start, world, tmp_path, MANY_EPOCHS, "--resume", num_processes=1))
    assert resumed.returncode == 0, resumed.stderr
    rows = read_metrics(metrics)
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) == NUM_STEPS
