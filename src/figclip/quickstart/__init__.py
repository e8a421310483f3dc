"""The whole path on the mini world: draw, prepare, adapt, evaluate, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figclip.model.figclip import FiGCLIP
from figclip.quickstart.control_annotations import ControlName
from figclip.quickstart.stages import (
    Progress,
    Workshop,
    adapt_base,
    draw,
    evaluate_run,
    mini_config,
    prepare_videos,
    write_summary,
    write_timings,
)
from figclip.quickstart.summary import read_scores, summarise
from figclip.quickstart.world_files import WorldSize
from figclip.reporting.report import write_report
from figclip.results import EvaluationResult

__all__ = ["QuickstartResult", "WorldSize", "run_full", "run_quickstart"]

FULL_SEEDS = (0, 1, 2)
_INTERVAL_SEED = 0
_CONTROLS: dict[ControlName, str] = {
    "sparse": "sparse captions",
    "shuffled": "shuffled annotations",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickstartResult:
    """What the quickstart made.

    Attributes:
        run: The run folder; `model/`, `eval/` and `report.html` are in it.
        summary: Content of `eval/summary.json`.
        report: The page.
    """

    run: Path
    summary: Mapping[str, Any]
    report: Path


def run_quickstart(
    out: Path, *, seed: int, on_progress: Progress, size: WorldSize | None = None
) -> QuickstartResult:
    """Adapt once and show what it did. What is already there is not made again.

    Args:
        out: Folder for all that is made.
        seed: Of the adaptation. The world and its tests are the same for all seeds.
        on_progress: Told how far it is.
        size: How much is drawn; None for the usual.

    Raises:
        KeyboardInterrupt: interrupted by a signal; calling this again goes on.
    """
    # Runs know their base by its path, however this one was spelt.
    workshop = Workshop(path=out.resolve(), on_progress=on_progress)
    draw(workshop, size=size or WorldSize(), bases=[0])
    prepare_videos(workshop)
    run, result = _adapted(workshop, base=0, seed=seed)
    summary = _summary(workshop, [result], seeds=[seed])
    return _finished(workshop, run, summary)


def run_full(
    out: Path, *, on_progress: Progress, size: WorldSize | None = None
) -> QuickstartResult:
    """Three seeds, the second base, and the controls that must not gain.

    Args:
        out: Folder, also one that `run_quickstart` made.
        on_progress: Told how far it is.
        size: How much is drawn; None for the usual.

    Returns:
        The run of seed 0 on the first base, whose summary is the mean of the seeds.

    Raises:
        KeyboardInterrupt: interrupted by a signal; calling this again goes on.
    """
    # Runs know their base by its path, however this one was spelt.
    workshop = Workshop(path=out.resolve(), on_progress=on_progress)
    draw(workshop, size=size or WorldSize(), bases=[0, 1])
    prepare_videos(workshop)
    runs, results = zip(
        *(_adapted(workshop, base=0, seed=seed) for seed in FULL_SEEDS), strict=True
    )
    others = {"second base": _adapted(workshop, base=1, seed=0)[1]}
    for control, title in _CONTROLS.items():
        prepare_videos(workshop, control)
        others[title] = _control(workshop, control, alpha=FiGCLIP.from_pretrained(runs[0]).alpha)
    summary = {
        **_summary(workshop, results, seeds=FULL_SEEDS),
        "by_seed": [_means(workshop, result) for result in results],
        "controls": {title: _means(workshop, result) for title, result in others.items()},
    }
    return _finished(workshop, runs[0], summary)


def _adapted(workshop: Workshop, *, base: int, seed: int) -> tuple[Path, EvaluationResult]:
    """One adaptation, and what it scores."""
    run = workshop.path / f"run-base{base}-seed{seed}"
    adapt_base(workshop, run, config=mini_config(workshop.base(base), seed=seed))
    result = evaluate_run(workshop, run)
    write_timings(run, workshop.seconds)
    return run, result


def _control(workshop: Workshop, control: ControlName, *, alpha: float) -> EvaluationResult:
    """What an adaptation to control annotations scores, at the strength of the true one."""
    run = workshop.path / f"run-{control}"
    # With one sense of one verb there is nothing to replace it by.
    overrides = ["text.verb_negatives=0"] if control == "sparse" else []
    config = mini_config(workshop.base(0), seed=0, overrides=overrides)
    adapt_base(workshop, run, config=config, control=control)
    return evaluate_run(workshop, run, alpha=alpha)


def _summary(
    workshop: Workshop, results: Sequence[EvaluationResult], *, seeds: Sequence[int]
) -> dict[str, Any]:
    """The content of `summary.json`."""
    scores = read_scores(workshop.tests, results)
    return {**summarise(scores, seed=_INTERVAL_SEED), "seeds": list(seeds), "controls": {}}


def _means(workshop: Workshop, result: EvaluationResult) -> dict[str, Any]:
    """The means over tests of one run."""
    summary = summarise(read_scores(workshop.tests, [result]), seed=_INTERVAL_SEED)
    return {name: summary[name] for name in ("detail", "detail_template", "semantic")}


def _finished(workshop: Workshop, run: Path, summary: Mapping[str, Any]) -> QuickstartResult:
    """Write what was found."""
    write_summary(run, summary)
    pairs = [test.source for test in workshop.tests if test.source.name == "pairs"]
    report = write_report(run, data=pairs, store=workshop.store())
    return QuickstartResult(run=run, summary=summary, report=report)
