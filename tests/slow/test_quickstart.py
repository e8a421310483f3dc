"""The quickstart on a small world: all files, the same summary twice, and going on after a stop."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from figclip import FiGCLIP
from figclip.miniworld import quickstart
from figclip.miniworld.quickstart import WorldSize, run_full, run_quickstart
from figclip.runtime.checked_json import load_checked

pytestmark = pytest.mark.slow

# Two of three videos share a group, and a strength is chosen from 40 groups on.
SIZE = WorldSize(
    train=60,
    valid=2,
    pairs=10,
    stills=30,
    pictures=20,
    selection_stills=60,
    films=44,
    valid_films=2,
)


class StoppedError(Exception):
    """Somebody pulled the plug."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made with a stop in the middle of drawing and of the evaluation."""
    out = tmp_path_factory.mktemp("quickstart")
    for stage in ("drawing detail", "embedding (adapted)"):

        def stop(label: str, done: int, total: int, *_: str, stage: str = stage) -> None:
            if label == stage and done:
                raise StoppedError

        with pytest.raises(StoppedError):
            run_quickstart(out, seed=0, size=SIZE, on_progress=stop)
    run_quickstart(out, seed=0, size=SIZE, on_progress=lambda *_: None)
    return out


def test_all_files_are_there(folder: Path):
    run = folder / "run-base0-seed0"
    summary = load_checked((run / "eval/summary.json").read_text())
    assert len(summary["tests"]) == 18
    for name in ("detail", "detail_template", "semantic"):
        assert 0 <= summary[name]["base"] <= 1 and 0 <= summary[name]["adapted"] <= 1
    assert "<html" in (run / "report.html").read_text()
    assert (
        FiGCLIP.from_pretrained(run / "model").alpha
        == load_checked((run / "strength.json").read_text())["alpha"]
    )
    assert not list(folder.rglob("*.part"))


def test_blind_is_even_and_words_do_not_tell(folder: Path):
    summary = load_checked((folder / "run-base0-seed0/eval/summary.json").read_text())
    pairs = [test for test in summary["tests"] if "blind" in test]
    assert len(pairs) == 10
    for test in pairs:
        assert test["blind"] == {"base": 0.5, "adapted": 0.5}
        assert test["text_only"] == 0.5


def test_the_same_seed_gives_the_same_summary(folder: Path, tmp_path: Path):
    told: list[str] = []
    run_quickstart(tmp_path, seed=0, size=SIZE, on_progress=lambda *_: None, on_notice=told.append)
    # Sixty videos have too few groups to hold any back, thirty stills prove little.
    assert any("held back" in one for one in told)
    assert any("too few to prove" in one for one in told)
    summaries = [
        (out / "run-base0-seed0/eval/summary.json").read_bytes() for out in (folder, tmp_path)
    ]
    assert summaries[0] == summaries[1]


def test_full_adds_seeds_the_second_base_and_controls(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(quickstart, "FULL_SEEDS", (0, 1))
    result = run_full(folder, size=SIZE, on_progress=lambda *_: None)
    summary = load_checked((folder / "run-base0-seed0/eval/summary.json").read_text())
    assert summary == result.summary
    assert set(summary["controls"]) == {"second base", "sparse captions", "shuffled annotations"}
    second = summary["controls"]["second base"]
    for one in (summary, second):
        assert one["seeds"] == [0, 1] and len(one["by_seed"]) == 2
        for name in ("detail", "detail_template", "semantic"):
            by_seed = [means[name]["adapted"] for means in one["by_seed"]]
            assert one[name]["adapted"] == pytest.approx(sum(by_seed) / 2)
            assert one["by_seed"][0][name]["base"] == one[name]["base"]
    for name in ("detail", "detail_template", "semantic"):
        assert second[name]["base"] != summary[name]["base"]
    curves = summary["curves"]
    assert list(curves) == ["held to the base", "strength alone"]
    # At full strength the held one is what was adapted, unless a lower one was chosen.
    strengths = [load_checked((run / "strength.json").read_text())["alpha"] for run in runs(folder)]
    if strengths == [1.0, 1.0]:
        assert curves["held to the base"][-1]["detail"] == summary["detail"]
    assert curves["strength alone"][-1]["detail"] != summary["detail"]
    page = result.report.read_text()
    assert "over seeds of training:" in page
    assert "strength alone, strength 0.3: detail" in page


def runs(folder: Path) -> list[Path]:
    return [folder / f"run-base0-seed{seed}" for seed in (0, 1)]


def test_a_plain_quickstart_keeps_the_summary_of_full_while_it_holds(folder: Path):
    """After `--full`."""
    file = folder / "run-base0-seed0/eval/summary.json"
    full = file.read_bytes()
    result = run_quickstart(folder, seed=0, size=SIZE, on_progress=lambda *_: None)
    assert file.read_bytes() == full and result.summary["seeds"] == [0, 1]
    assert "over seeds of training:" in result.report.read_text()
    shutil.rmtree(folder / "run-base0-seed1")
    result = run_quickstart(folder, seed=0, size=SIZE, on_progress=lambda *_: None)
    assert result.summary["seeds"] == [0] == load_checked(file.read_text())["seeds"]
