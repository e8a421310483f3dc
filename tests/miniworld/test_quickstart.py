"""What the quickstart refuses, keeps and passes on; its whole path is in tests/slow."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import figclip.miniworld.quickstart as quickstart
from figclip.cli.app import _raise_on_sigterm
from figclip.errors import ConfigError, ModelError
from figclip.evaluation.results import EvaluationResult
from figclip.miniworld import stages
from figclip.miniworld.quickstart import QuickstartResult, run_full, run_quickstart
from figclip.miniworld.stages import Workshop, adapt_base, lay_out_base, mini_config
from figclip.miniworld.summary import MEANS


def silent(*_: object, **__: object) -> None:
    """Nobody is told."""


@pytest.mark.parametrize("run", [run_full, lambda out, **told: run_quickstart(out, seed=0, **told)])
def test_a_folder_with_something_else_is_refused_before_drawing(tmp_path: Path, run: Any):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="is not empty.*no world/world.json.*empty it"):
        run(tmp_path, on_progress=silent)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_empty_folder_and_one_of_a_quickstart_are_taken(tmp_path: Path):
    assert quickstart._open_workshop(tmp_path, silent, stages.no_notice).path == tmp_path
    (tmp_path / "world").mkdir()
    (tmp_path / "world" / "world.json").write_text("{}")
    assert quickstart._open_workshop(tmp_path, silent, stages.no_notice).path == tmp_path


def test_a_base_that_does_something_else_is_refused_by_name(tmp_path: Path):
    folder = tmp_path / "mini-clip-0"
    lay_out_base(folder, 0)
    lay_out_base(folder, 0)
    file = folder / "model.safetensors"
    weights = load_file(file)
    weights["logit_scale"] = weights["logit_scale"] + torch.tensor(0.5)
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="mini-clip-0: holds another model"):
        lay_out_base(folder, 0)
    shutil.rmtree(folder)
    lay_out_base(folder, 0)
    config = folder / "config.json"
    config.write_text(config.read_text().replace("1e-05", "1e-04", 1))
    with pytest.raises(ModelError, match="mini-clip-0: holds another model"):
        lay_out_base(folder, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_signal_that_stopped_an_adaptation_acts_once_it_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
):
    stopped = SimpleNamespace(model=None, outcome=SimpleNamespace(interrupted_by=int(number)))
    monkeypatch.setattr(stages, "adapt", lambda *_, **__: stopped)
    before = signal.signal(signal.SIGTERM, _raise_on_sigterm)
    workshop = Workshop(path=tmp_path, on_progress=silent)
    try:
        with pytest.raises((KeyboardInterrupt, SystemExit)) as raised:
            adapt_base(workshop, tmp_path / "run", config=mini_config(tmp_path, seed=0))
    finally:
        signal.signal(signal.SIGTERM, before)
    if number == signal.SIGTERM:
        assert isinstance(raised.value, SystemExit)
        assert raised.value.code == 128 + signal.SIGTERM
    else:
        assert isinstance(raised.value, KeyboardInterrupt)


def scored(name: str) -> EvaluationResult:
    """A result that is known by its notice."""
    return EvaluationResult(tasks=(), files=(), notices=(name,))


def means(difference: float) -> dict[str, dict[str, float]]:
    return {name: {"difference": difference} for name in MEANS}


@pytest.fixture
def full(tmp_path: Path) -> Workshop:
    """A folder after `--full`, as far as it matters for its summary."""
    workshop = Workshop(path=tmp_path, on_progress=silent)
    for seed in (0, 1):
        (tmp_path / f"run-base0-seed{seed}" / "model").mkdir(parents=True)
    run = tmp_path / "run-base0-seed0"
    (run / "eval").mkdir()
    content = {"format": 1, **means(0.2), "seeds": [0, 1], "by_seed": [means(0.1), means(0.3)]}
    (run / "eval" / "summary.json").write_text(json.dumps(content))
    return workshop


def kept(workshop: Workshop, difference: float) -> dict[str, Any] | None:
    run = workshop.path / "run-base0-seed0"
    return quickstart._summary_of_full(workshop, run, {**means(difference), "seeds": [0]})


def test_the_summary_of_several_seeds_is_kept_while_it_holds(full: Workshop):
    found = kept(full, 0.1)
    assert found is not None and found["seeds"] == [0, 1]
    assert kept(full, 0.11) is None, "the run scores something else now"
    (full.path / "run-base0-seed1" / "model").rmdir()
    assert kept(full, 0.1) is None, "a run is gone"


def test_a_summary_of_one_seed_is_written_anew(full: Workshop):
    file = full.path / "run-base0-seed0" / "eval" / "summary.json"
    file.write_text(json.dumps({"format": 1, **means(0.1), "seeds": [0]}))
    assert kept(full, 0.1) is None
    file.unlink()
    assert kept(full, 0.1) is None


def test_full_runs_three_seeds_on_both_bases_and_each_control_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done: list[str] = []

    def adapted(_: Workshop, *, base: int, seed: int) -> tuple[Path, EvaluationResult]:
        done.append(f"{base}/{seed}")
        return tmp_path / done[-1], scored(done[-1])

    def control(_: Workshop, name: str, *, alpha: float) -> EvaluationResult:
        done.append(f"{name} at {alpha}")
        return scored(done[-1])

    def tell(_: Workshop, results: Sequence[EvaluationResult]) -> dict[str, Any]:
        return {"detail": " + ".join(one.notices[0] for one in results)}

    def finished(_: Workshop, run: Path, summary: dict[str, Any], *, seed: int) -> QuickstartResult:
        assert seed == 0, "the page shows the heads of the first seed"
        return QuickstartResult(run=run, summary=summary, report=run / "report.html")

    for name, fake in {
        "draw": silent,
        "prepare_videos": silent,
        "_adapted": adapted,
        "_control": control,
        "_tasks": lambda _, *, seeds: {"heads": list(seeds)},
        "_curves": lambda _, held: {"of": [str(run.relative_to(tmp_path)) for run in held]},
        "_means": tell,
        "_summary": lambda _, results, *, seeds: {**tell(_, results), "seeds": list(seeds)},
        "_finished": finished,
    }.items():
        monkeypatch.setattr(quickstart, name, fake)
    monkeypatch.setattr(quickstart.FiGCLIP, "from_pretrained", lambda _: SimpleNamespace(alpha=0.4))
    result = run_full(tmp_path, on_progress=silent)
    assert result.run == tmp_path / "0/0"
    assert result.summary == {
        "detail": "0/0 + 0/1 + 0/2",
        "seeds": [0, 1, 2],
        "tasks": {"heads": [0, 1, 2]},
        "by_seed": [{"detail": f"0/{seed}"} for seed in range(3)],
        "controls": {
            "second base": {
                "detail": "1/0 + 1/1 + 1/2",
                "seeds": [0, 1, 2],
                "by_seed": [{"detail": f"1/{seed}"} for seed in range(3)],
            },
            "sparse captions": {"detail": "sparse at 0.4"},
            "shuffled annotations": {"detail": "shuffled at 0.4"},
        },
        "curves": {"of": ["0/0", "0/1", "0/2"]},
    }
