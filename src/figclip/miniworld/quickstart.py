"""The whole path on the mini world: draw, prepare, adapt, evaluate, report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from figclip.errors import ConfigError
from figclip.evaluation.results import EvaluationResult
from figclip.miniworld.stages import (
    CAPTIONING,
    SITUATIONS,
    ControlName,
    OnNotice,
    Workshop,
    adapt_base,
    draw,
    evaluate_base,
    evaluate_heads,
    evaluate_run,
    finetune_heads,
    lay_out_base,
    mini_config,
    no_notice,
    prepare_videos,
    summary_file,
    write_summary,
    write_timings,
)
from figclip.miniworld.summary import MEANS, read_scores, summarise, summarise_heads
from figclip.miniworld.world_files import WorldPart, WorldSize
from figclip.model.figclip import FiGCLIP
from figclip.reporting.report import write_report
from figclip.reporting.result_files import SUMMARY_FORMAT, damage_named, read_object
from figclip.runtime.locks import FOLDER_LOCK, one_writer
from figclip.runtime.progress import DetailedProgress

__all__ = ["QuickstartResult", "WorldSize", "run_full", "run_quickstart"]

FULL_SEEDS = (0, 1, 2)
SECOND_BASE = "second base"
_INTERVAL_SEED = 0
_CONTROLS: dict[ControlName, str] = {
    "sparse": "sparse captions",
    "shuffled": "shuffled annotations",
}
_CURVES: dict[str, tuple[float, ...]] = {
    "held to the base": (0.4, 0.6, 0.8, 1.0),
    "strength alone": (0.15, 0.3, 0.45, 0.6),
}
"""Strengths at which adaptations with and without `keep.weight` are scored; about equal losses."""


OnBase = Callable[[Mapping[str, float]], None]
"""Told the means of the base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickstartResult:
    """What the quickstart made: the run folder, the content of `eval/summary.json`, the page."""

    run: Path
    summary: Mapping[str, Any]
    report: Path


@one_writer
def run_quickstart(
    out: Path,
    *,
    seed: int,
    on_progress: DetailedProgress,
    on_base: OnBase | None = None,
    on_notice: OnNotice = no_notice,
    size: WorldSize | None = None,
) -> QuickstartResult:
    """Adapt once and show what it did. What is already there is not made again.

    The base is scored before anything else is drawn than the tests, on what must be kept first: the
    first numbers come within a minute. The summary of `run_full` about the same run is kept as long
    as it holds: all of its runs are there, and this one still scores what it says.

    Args:
        out: Folder for all that is made: a new or empty one, or of an earlier call.
        seed: Seed of the adaptation. The world and its tests are the same for all seeds.
        on_progress: Told how far it is.
        on_base: Told what the base scores on the tests of either face, means by their names in
            `MEANS`.
        on_notice: Told what somebody should know before believing a number.
        size: How much is drawn; None for the usual.

    Raises:
        ConfigError: the folder holds something else, or another world.
        ModelError: the folder of the mini CLIP holds another one.
        KeyboardInterrupt: interrupted by Ctrl-C; calling this again goes on.
    """
    size = size or WorldSize()
    workshop = _open_workshop(out, on_progress, on_notice)
    for face in ("kept", "detail"):
        draw(workshop, face, size=size)
        means = evaluate_base(workshop, 0, face=face)
        if on_base is not None:
            on_base(means)
    draw(workshop, "training", size=size)
    prepare_videos(workshop)
    run, result = _adapted(workshop, base=0, seed=seed)
    summary = _summary(workshop, [result], seeds=[seed])
    return _finished(workshop, run, _summary_of_full(workshop, run, summary) or summary, seed=seed)


@one_writer
def run_full(
    out: Path,
    *,
    on_progress: DetailedProgress,
    on_notice: OnNotice = no_notice,
    size: WorldSize | None = None,
) -> QuickstartResult:
    """Three seeds on both bases, heads, and the controls that must not gain.

    Arguments and errors are those of `run_quickstart`, which may have made the folder.

    Returns:
        The run of seed 0 on the first base, whose summary is the mean of the seeds.
    """
    workshop = _open_workshop(out, on_progress, on_notice)
    for part in get_args(WorldPart):
        draw(workshop, part, size=size or WorldSize())
    for base in (0, 1):
        lay_out_base(workshop.base(base), base)
    prepare_videos(workshop)
    first, second = (
        [_adapted(workshop, base=base, seed=seed) for seed in FULL_SEEDS] for base in (0, 1)
    )
    (run, _), *_ = first
    controls = {SECOND_BASE: _over_seeds(workshop, [result for _, result in second])}
    alpha = FiGCLIP.from_pretrained(run).alpha
    for control, title in _CONTROLS.items():
        prepare_videos(workshop, control)
        controls[title] = _means(workshop, [_control(workshop, control, alpha=alpha)])
    results = [result for _, result in first]
    summary = {
        **_summary(workshop, results, seeds=FULL_SEEDS),
        "tasks": _tasks(workshop, seeds=FULL_SEEDS),
        "by_seed": _by_seed(workshop, results),
        "controls": controls,
        "curves": _curves(workshop, [run for run, _ in first]),
    }
    return _finished(workshop, run, summary, seed=FULL_SEEDS[0])


def _curves(workshop: Workshop, held: Sequence[Path]) -> dict[str, list[dict[str, Any]]]:
    """Means over tests and seeds at several strengths, of these runs and of those held to nothing.

    An adaptation that is not held to its base can only be weakened to keep more.
    """
    base = workshop.base(0)
    alone = [workshop.path / f"run-alone-seed{seed}" for seed in FULL_SEEDS]
    for seed, run in zip(FULL_SEEDS, alone, strict=True):
        adapt_base(workshop, run, config=mini_config(base, seed=seed, overrides=["keep.weight=0"]))

    def at(alpha: float, run: Path) -> EvaluationResult:
        return evaluate_run(workshop, run, base=base, alpha=alpha, out=f"curve/{alpha}")

    return {
        name: [
            {"alpha": alpha, **_means(workshop, [at(alpha, run) for run in runs])}
            for alpha in strengths
        ]
        for (name, strengths), runs in zip(_CURVES.items(), (held, alone), strict=True)
    }


def _open_workshop(out: Path, on_progress: DetailedProgress, on_notice: OnNotice) -> Workshop:
    """A folder that is new, empty, or a quickstart's, which its claim tells."""
    # Runs know their base by its path, however this one was spelt.
    workshop = Workshop(path=out.resolve(), on_progress=on_progress, on_notice=on_notice)
    is_used = any(one.name != FOLDER_LOCK for one in out.iterdir())
    if is_used and not workshop.world.claim.exists():
        raise ConfigError(
            f"is not empty, and no quickstart's: it has no "
            f"{workshop.world.claim.relative_to(workshop.path)}",
            where=str(out),
            fix="Choose another --out, or empty it",
        )
    return workshop


def _run_folder(workshop: Workshop, *, base: int, seed: int) -> Path:
    """Run folder of one adaptation."""
    return workshop.path / f"run-base{base}-seed{seed}"


def _adapted(workshop: Workshop, *, base: int, seed: int) -> tuple[Path, EvaluationResult]:
    """One adaptation, and what it scores."""
    run = _run_folder(workshop, base=base, seed=seed)
    adapt_base(workshop, run, config=mini_config(workshop.base(base), seed=seed))
    result = evaluate_run(workshop, run, base=workshop.base(base))
    write_timings(run, workshop.seconds)
    return run, result


def _tasks(workshop: Workshop, *, seeds: Sequence[int]) -> dict[str, Any]:
    """What heads on the first base and its adaptations score, for `summary.json`."""
    tasks: dict[str, Any] = {}
    for stage in (SITUATIONS, CAPTIONING):
        if not stage.training(workshop).path.exists():
            continue  # a world without films
        results: list[EvaluationResult] = []
        for seed in seeds:
            finetune_heads(stage, workshop, _run_folder(workshop, base=0, seed=seed), seed=seed)
            results.append(evaluate_heads(stage, workshop, seed=seed))
        tasks |= summarise_heads(
            results, names=stage.scores, seeds=seeds, interval_seed=_INTERVAL_SEED
        )
    return tasks


def _control(workshop: Workshop, control: ControlName, *, alpha: float) -> EvaluationResult:
    """What an adaptation to control annotations scores, at the strength of the true one."""
    run = workshop.path / f"run-{control}"
    config = mini_config(workshop.base(0), seed=0)
    adapt_base(workshop, run, config=config, control=control)
    return evaluate_run(workshop, run, base=workshop.base(0), alpha=alpha)


def _summary(
    workshop: Workshop, results: Sequence[EvaluationResult], *, seeds: Sequence[int]
) -> dict[str, Any]:
    """The content of `summary.json`."""
    scores = read_scores(workshop.tests, results)
    return {**summarise(scores, seed=_INTERVAL_SEED), "seeds": list(seeds), "controls": {}}


def _means(workshop: Workshop, results: Sequence[EvaluationResult]) -> dict[str, Any]:
    """The means over tests, of all seeds together."""
    summary = summarise(read_scores(workshop.tests, results), seed=_INTERVAL_SEED)
    return {name: summary[name] for name in MEANS}


def _by_seed(workshop: Workshop, results: Sequence[EvaluationResult]) -> list[dict[str, Any]]:
    """The means over tests of each seed."""
    return [_means(workshop, [result]) for result in results]


def _over_seeds(workshop: Workshop, results: Sequence[EvaluationResult]) -> dict[str, Any]:
    """The means over tests, of all seeds together and of each."""
    return {
        **_means(workshop, results),
        "seeds": list(FULL_SEEDS),
        "by_seed": _by_seed(workshop, results),
    }


def _summary_of_full(
    workshop: Workshop, run: Path, summary: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The summary of several seeds that a run holds; None without one, or when it is outdated."""
    file = summary_file(run)
    if not file.exists():
        return None
    content = read_object(file, newest_format=SUMMARY_FORMAT)
    with damage_named(file):
        # A summary of one seed has no `by_seed`.
        of_seed = dict(zip(content["seeds"], content.get("by_seed", ()), strict=False))
    runs = [_run_folder(workshop, base=0, seed=seed) for seed in of_seed]
    [seed] = summary["seeds"]
    holds = of_seed.get(seed) == {name: summary[name] for name in MEANS}
    return content if holds and all((one / "model").exists() for one in runs) else None


def _finished(
    workshop: Workshop, run: Path, summary: Mapping[str, Any], *, seed: int
) -> QuickstartResult:
    """Write what was found; the page shows what the heads of this seed say."""
    write_summary(run, summary)
    data = [test.source for test in workshop.tests if test.source.name == "pairs"]
    heads = [
        folder
        for stage in (SITUATIONS, CAPTIONING)
        if (folder := stage.folder(workshop, seed=seed)).exists()
    ]
    if CAPTIONING.folder(workshop, seed=seed) in heads:
        data.append(CAPTIONING.test(workshop))
    report = write_report(run, data=data, store=workshop.store(), heads=heads)
    return QuickstartResult(run=run, summary=summary, report=report)
