"""The same heads trained with several seeds, and scored together.

seeds.json              the seeds, in their order
seed-0/ seed-1/ …       a run of heads each
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from figclip.config import CaptioningConfig, SituationConfig
from figclip.errors import ConfigError, DataError
from figclip.evaluation.results import EvaluationResult, write_result
from figclip.evaluation.seeds import over_seeds
from figclip.evaluation.sources import DataSource
from figclip.heads.run import FinetuneResult, OnStep, has_seeds, is_head_run, read_head_info
from figclip.runtime.checked_json import read_checked
from figclip.runtime.files import write_json
from figclip.runtime.locks import one_writer
from figclip.runtime.reading import DAMAGES
from figclip.runtime.versions import package_versions

SEEDS_FORMAT = 1
Config = TypeVar("Config", SituationConfig, CaptioningConfig)


def seed_folder(path: Path, seed: int) -> Path:
    """The run of one seed."""
    return path / f"seed-{seed}"


def read_seeds(path: Path) -> tuple[int, ...]:
    """The seeds of a folder; a `DataError` if it does not say them."""
    try:
        content = read_checked(_claim(path))
        seeds = content["seeds"]
        if content["format"] != SEEDS_FORMAT or not seeds or len(set(seeds)) < len(seeds):
            raise ValueError(f"format {content['format']!r}, seeds {seeds!r}")
        if not all(type(seed) is int and seed >= 0 for seed in seeds):
            raise TypeError(f"seeds {seeds!r}")
    except DAMAGES as error:
        raise DataError(
            f"does not say of which seeds the heads are ({error!r})",
            where=str(_claim(path)),
            fix="Fine-tune into another --out",
        ) from error
    return tuple(seeds)


def task_of_heads(path: Path) -> str:
    """The task of a run of heads, or of all runs of a folder with several seeds."""
    run = seed_folder(path, read_seeds(path)[0]) if has_seeds(path) else path
    return read_head_info(run).task


@one_writer
def finetune_seeds(
    finetune: Callable[..., FinetuneResult],
    config: Config,
    *,
    num_seeds: int,
    out: Path,
    resume: bool = False,
    on_step: OnStep | None = None,
    **options: Any,
) -> FinetuneResult:
    """Fine-tune heads with `train.seed` and the seeds after it, one run each below `out`.

    More seeds may be added with `resume`; what is finished is not trained again.

    Args:
        finetune: `figclip.finetune_situations` or `figclip.finetune_captioning`.
        config: Of the first seed.
        num_seeds: At least 2, below which no spread is known.
        out: Folder of the runs.
        resume: Go on with what is there.
        on_step: Told `seed-0/base`, and about every step.
        options: As `finetune` takes them.

    Raises:
        ConfigError: fewer than 2 seeds; `out` holds heads of one seed, or begins with another.
    """
    if num_seeds < 2:
        raise ConfigError(
            f"{num_seeds} seed tells nothing of others",
            where="--seeds",
            fix="Give 2 or more, or leave it out",
        )
    seeds = tuple(range(config.train.seed, config.train.seed + num_seeds))
    _claim_seeds(out, seeds)
    results: dict[str, FinetuneResult] = {}
    interrupted_by = None
    for seed in seeds:
        run = seed_folder(out, seed)
        results[run.name] = result = finetune(
            replace(config, train=replace(config.train, seed=seed)),
            out=run,
            resume=resume and (run / "config.json").exists(),
            on_step=_named(on_step, run.name),
            **options,
        )
        interrupted_by = result.interrupted_by
        if interrupted_by is None and seed != seeds[-1]:
            interrupted_by = result.late_signal
        if interrupted_by is not None:
            break
    return FinetuneResult(
        run=out,
        interrupted_by=interrupted_by,
        kept_steps={
            f"{run}/{name}": step
            for run, one in results.items()
            for name, step in one.kept_steps.items()
        },
        notices=tuple(dict.fromkeys(n for one in results.values() for n in one.notices)),
    )


def _named(on_step: OnStep | None, run: str) -> OnStep | None:
    if on_step is None:
        return None
    return lambda name, report: on_step(f"{run}/{name}", report)


def _claim_seeds(out: Path, seeds: Sequence[int]) -> None:
    """Write down the seeds of a folder, or refuse one with runs of others."""
    if is_head_run(out):
        raise ConfigError(
            "holds heads of one seed", where=str(out), fix="Choose another --out for several"
        )
    before = read_seeds(out) if has_seeds(out) else ()
    # A call that was refused leaves the seeds and no run.
    has_runs = any((seed_folder(out, seed) / "config.json").exists() for seed in before)
    if has_runs and before != seeds[: len(before)]:
        raise ConfigError(
            f"was begun with seeds {', '.join(map(str, before))}",
            where=str(out),
            fix="Give --seeds and train.seed as they were, or more seeds, or another --out",
        )
    write_json(_claim(out), {"format": SEEDS_FORMAT, "seeds": list(seeds)})


def _claim(path: Path) -> Path:
    return path / "seeds.json"


@one_writer
def evaluate_seeds(
    evaluate: Callable[..., EvaluationResult],
    runs: Path,
    *,
    data: DataSource,
    out: Path,
    **options: Any,
) -> EvaluationResult:
    """Score the heads of every seed, and all together.

    The results of a seed go below `out/seed-N`. Those in `out` have the means over seeds, and
    intervals nested over seeds and videos, as `evaluation.seeds.over_seeds` makes them.

    Args:
        evaluate: `figclip.evaluate_situations` or `figclip.evaluate_captioning`.
        runs: Folder of `finetune_seeds`.
        data: What to score on.
        out: Folder of the results.
        options: As `evaluate` takes them.
    """
    seeds = read_seeds(runs)
    results = [
        evaluate(seed_folder(runs, seed), data=data, out=seed_folder(out, seed), **options)
        for seed in seeds
    ]
    files: list[Path] = []
    tasks = [
        over_seeds(of_seeds, seeds)
        for of_seeds in zip(*(one.tasks for one in results), strict=True)
    ]
    for task in tasks:
        files.append(write_result(task, out, taken=files, versions=package_versions()))
    notices = dict.fromkeys(notice for one in results for notice in one.notices)
    return EvaluationResult(tasks=tuple(tasks), files=tuple(files), notices=tuple(notices))
