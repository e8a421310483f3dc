"""Gather all that the files of a run say for its report: results, settings, curves.

Read are `environment.json` (what was typed, where, on which versions), the curve over the strength
of the adaptation, and `metrics.jsonl` as series over the steps. Models and videos are not opened.

A file that is damaged or of a newer format is a `DataError`; of `metrics.jsonl` it may be a
`CheckpointError`.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from figclip.config import RunConfig, parsing
from figclip.errors import DataError
from figclip.evaluation.results import STRENGTH_FORMAT, SWEEP_FORMAT
from figclip.model.backbone import state_hash
from figclip.model.folder import ModelInfo, read_info
from figclip.reporting.files import damage_named, number, read_object
from figclip.reporting.records import (
    CurvePoint,
    Fact,
    ReportData,
    Series,
    StrengthCurve,
    TrainingLog,
    percent,
    plain,
)
from figclip.reporting.result_files import (
    Costs,
    ResultFile,
    Summary,
    groups_of_results,
    read_costs,
    read_result_files,
    read_summary,
    scored_again,
    verdict_of_results,
)
from figclip.training.run_files import ENVIRONMENT_FORMAT, RUN_FORMAT, sessions_of
from figclip.training.run_folder import RunFolder, read_metrics


def typed_command(environment: dict[str, Any] | None, *, file: Path) -> str:
    """What was typed to train, with the program by its name; empty where that is not known."""
    if environment is None:
        return ""
    with damage_named(file):
        program, *arguments = map(str, sessions_of(environment)[0]["command"])
    return shlex.join([PurePath(program).name, *arguments])


def environment_facts(environment: dict[str, Any] | None, *, file: Path) -> list[Fact]:
    """Commit, machine and versions of the last session, as far as they are known; all sessions."""
    if environment is None:
        return []
    with damage_named(file):
        sessions = sessions_of(environment)
        last = sessions[-1]
        packages = [f"{name} {version}" for name, version in last["packages"].items()]
        facts = {
            "commit": str(last["commit"]) or "an installed package",
            "Python": str(last["python"]),
            "platform": str(last["platform"]),
            # Runs of earlier versions do not say where they ran.
            **{one: str(last[one]) for one in ("device", "processes") if one in last},
            "threads": str(last["threads"]),
            "packages": ", ".join(packages),
        }
        if resumed := [str(one["step"]) for one in sessions[1:]]:
            facts["resumed after step"] = ", ".join(resumed)
    return [Fact(name, value) for name, value in facts.items()]


def data_facts(data: dict[str, Any], file: Path) -> list[Fact]:
    """How many videos a run was trained on, and their hash."""
    with damage_named(file):
        return [
            Fact("videos trained on", f"{len(data['train']):,}"),
            Fact("videos that chose", f"{len(data['val']):,}"),
            Fact("hash of the training data", str(data["hash"])),
        ]


_SWEPT = (
    "The curve was scored on the tests themselves (figclip eval --sweep-alpha); no strength was "
    "chosen by it."
)

_Scored = tuple[float, float, float, bool]
"""Strength, detail, kept, whether it qualifies."""


def read_curve(
    run: Path, *, alpha: float | None, results: Sequence[ResultFile]
) -> StrengthCurve | None:
    """The curve that the strength was chosen from, or else that of `--sweep-alpha`.

    None without either file, or without detail in the first.
    """
    chosen_from, swept = run / "strength.json", run / "eval" / "sweep.json"
    if chosen_from.exists():
        return _read_choice(chosen_from, results)
    if swept.exists():
        return _read_sweep(swept, alpha=alpha)
    return None


def _read_choice(file: Path, results: Sequence[ResultFile]) -> StrengthCurve | None:
    """The curve of `adapt --keep`, and the rule in words; None where detail was not measured."""
    content = read_object(file, newest_format=STRENGTH_FORMAT)
    with damage_named(file):
        if any(one["detail"] is None for one in content["curve"]):
            return None
        scores = [
            (number(one["alpha"]), number(one["detail"]), number(one["kept"]), one["qualifies"])
            for one in content["curve"]
        ]
        chosen, limits = number(content["alpha"]), content["limits"]
        confidence = plain(100 * number(limits["confidence"]), decimals=0)
        explanation = (
            f"Strength {chosen:g} was chosen on validation videos and on {_chosen_on(results)}: "
            "the most detail among strengths whose loss of what must be kept is, with "
            f"{confidence} % confidence, at most {percent(limits['mean'])} points on the mean and "
            f"{percent(limits['test'])} on each test. "
            "Hollow points lose more than that."
        )
        return _curve(scores, chosen=chosen, explanation=explanation)


def _chosen_on(results: Sequence[ResultFile]) -> str:
    """What the kept items that chose are to those that are reported."""
    kept = [one for one in results if one.face == "kept"]
    if not kept:
        return "one half of the data of --keep"
    if any(one.num_chose for one in kept):
        return "a part of the kept tests that is not reported"
    return "kept tests of other data than those reported"


def _read_sweep(file: Path, *, alpha: float | None) -> StrengthCurve:
    """The curve of `eval --sweep-alpha`."""
    content = read_object(file, newest_format=SWEEP_FORMAT)
    with damage_named(file):
        scores: list[_Scored] = []
        for one in content["points"]:
            detail, kept = (number(one["faces"][face]) for face in ("detail", "kept"))
            scores.append((number(one["alpha"]), detail, kept, True))
        return _curve(scores, chosen=1.0 if alpha is None else alpha, explanation=_SWEPT)


def _curve(scores: list[_Scored], *, chosen: float, explanation: str) -> StrengthCurve:
    """Changes from strength 0, which must be among the strengths."""
    ((_, base_detail, base_kept, _),) = [one for one in scores if one[0] == 0]
    points = tuple(
        CurvePoint(
            alpha=alpha,
            detail=detail - base_detail,
            kept=kept - base_kept,
            qualifies=bool(qualifies),
        )
        for alpha, detail, kept, qualifies in sorted(scores)
    )
    return StrengthCurve(points=points, chosen=chosen, explanation=explanation)


_SUM, _CHOOSING = "loss", "val/score"
_WORDS = {
    _SUM: "weighted sum",
    _CHOOSING: "score that chooses",
    "val/event_r1": "event R@1",
    "val/over_blind": "accuracy against counterfeits, over blind",
    "val/choice_accuracy": "accuracy against hard negatives",  # of runs before 2026-11-28
}
"""Names that people read."""


def read_training_log(file: Path) -> TrainingLog:
    """Losses, validation scores and seconds of a run."""
    values: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    seconds = {"steps": 0.0, "validations": 0.0}
    with damage_named(file):
        rows = read_metrics(file)
        for row in rows:
            kind = "steps" if _SUM in row else "validations"
            seconds[kind] += number(row["time"]["s"])
            for name, value in _charted(row):
                values[name].append((row["step"], value))
    return TrainingLog(
        losses=_series(values, first=_SUM, prefix="loss"),
        validation=_series(values, first=_CHOOSING, prefix="val/"),
        num_steps=sum(_SUM in row for row in rows),
        steps_s=seconds["steps"],
        validations_s=seconds["validations"],
    )


def _series(
    values: Mapping[str, Sequence[tuple[int, float]]], *, first: str, prefix: str
) -> tuple[Series, ...]:
    """The series whose names have a prefix, one of them first."""
    names = sorted((name for name in values if name.startswith(prefix)), key=lambda n: n != first)
    return tuple(
        Series(
            name=_WORDS.get(name) or name.partition("/")[2].replace("_", " "),
            steps=tuple(step for step, _ in values[name]),
            values=tuple(value for _, value in values[name]),
        )
        for name in names
    )


def _charted(row: dict[str, Any]) -> Iterable[tuple[str, float]]:
    """Losses and validation scores of a line."""
    for name, value in row.items():
        if name == _SUM or name.startswith((f"{_SUM}/", "val/")):
            yield name, number(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """The files of a run that a report reads; None where a file is not there.

    Attributes:
        base: Hub id of the base; empty for a local one.
        notices: Results left out, one sentence each.
        absent: What is not there and what it would have said.
    """

    path: Path
    config: RunConfig | None
    environment: dict[str, Any] | None
    data: dict[str, Any] | None
    alpha: float | None
    base: str
    base_hash: str
    results: tuple[ResultFile, ...]
    summary: Summary | None
    notices: tuple[str, ...]
    absent: list[str] = field(default_factory=list[str])


def read_run_files(path: Path) -> RunFiles:
    """Read the files of a run.

    Raises:
        DataError: there is nothing of a run in the folder, or a file is damaged or newer.
        ConfigError, ModelError: `config.json` or `model/figclip.json` is.
    """
    run = RunFolder(path)
    known = (run.config, run.environment, run.data, run.metrics, run.model, path / "eval")
    if not any(file.exists() for file in known):
        raise DataError(
            "holds no run to report about",
            where=str(path),
            fix="Give a folder that `figclip adapt` wrote",
        )
    absent: list[str] = []

    def there(file: Path, what: str) -> bool:
        if not file.exists():
            absent.append(f"{file.relative_to(path)} is not there: {what}.")
        return file.exists()

    config = environment = data = info = summary = None
    if there(run.config, "the settings and the seed are not known"):
        config = parsing.from_json(
            run.config.read_text(encoding="utf-8"), RunConfig, where=str(run.config)
        )
    if there(run.environment, "the command and the versions are not known"):
        environment = read_object(run.environment, newest_format=ENVIRONMENT_FORMAT)
    if there(run.data, "the training data are not known"):
        data = read_object(run.data, newest_format=RUN_FORMAT)
    if there(run.model / "figclip.json", "the base and the strength are not known"):
        info = read_info(run.model)
    if (path / "eval/summary.json").exists():
        summary = read_summary(path / "eval/summary.json")
    results, notices = _of_model(read_result_files(path / "eval"), info, run.model)
    if not results and summary is None:
        absent.append("eval/ holds no result of `figclip eval`: nothing can be said of the model.")
    return RunFiles(
        path=path,
        config=config,
        environment=environment,
        data=data,
        alpha=None if info is None else info.alpha,
        base="" if info is None else info.base,
        base_hash="" if info is None else info.base_hash,
        results=results,
        summary=summary,
        notices=(*notices, *scored_again(results)),
        absent=absent,
    )


def report_data(files: RunFiles) -> ReportData:
    """Put the files of a run together."""
    run, summary = RunFolder(files.path), files.summary
    absent = list(files.absent)
    training = read_training_log(run.metrics) if run.metrics.exists() else None
    if training is None or training.num_steps == 0:
        training = None
        absent.append("metrics.jsonl has no steps: losses and times are not known.")
    curve = read_curve(files.path, alpha=files.alpha, results=files.results)
    if curve is None:
        absent.append("Neither strength.json with detail nor eval/sweep.json: no curve over alpha.")
    costs = _costs(files.path / "eval" / "timings.json", training)
    return ReportData(
        run=files.path.resolve().name,
        verdict=verdict_of_results(files.results) if summary is None else summary.verdict,
        groups=groups_of_results(files.results) if summary is None else summary.groups,
        controls=() if summary is None else summary.controls,
        heads=() if summary is None else summary.heads,
        curve=curve,
        training=training,
        stages=costs.stages,
        peak_memory_mib=costs.peak_memory_mib,
        facts=tuple(_facts(files)),
        command=typed_command(files.environment, file=run.environment),
        notices=tuple(
            dict.fromkeys([*files.notices, *(n for one in files.results for n in one.notices)])
        ),
        absent=tuple(absent),
    )


def _costs(file: Path, training: TrainingLog | None) -> Costs:
    """Time of all stages where that was written down, else of training alone."""
    if file.exists():
        return read_costs(file)
    if training is None:
        return Costs(stages=(), peak_memory_mib=None)
    parts = (("training steps", training.steps_s), ("validation", training.validations_s))
    stages = tuple((name, seconds) for name, seconds in parts if seconds > 0)
    return Costs(stages=stages, peak_memory_mib=None)


def _of_model(
    results: Sequence[ResultFile], info: ModelInfo | None, model: Path
) -> tuple[tuple[ResultFile, ...], tuple[str, ...]]:
    """Results of the run's model as it is now, and what is said of the others."""
    if info is None or not results:
        return tuple(results), ()
    model_hash = _weights_hash(model / "model.safetensors")
    kept: list[ResultFile] = []
    others: defaultdict[str, list[str]] = defaultdict(list)
    for one in results:
        if abs(one.alpha - info.alpha) > 1e-9:
            others["of another strength"].append(one.file.name)
        elif one.hashes["adapted"] != model_hash:
            others["of another model than model/ holds"].append(one.file.name)
        # Strength 0 is the base but for rounding, so its hash is another one.
        elif one.base_name and not one.is_own_base and one.hashes["base"] != info.base_hash:
            others["a comparison with another base"].append(one.file.name)
        else:
            kept.append(one)
    notices = (f"Not shown, being {why}: {', '.join(names)}." for why, names in others.items())
    return tuple(kept), tuple(notices)


def _weights_hash(file: Path) -> str:
    """`weights_hash` of a model folder, without building its model."""
    try:
        return state_hash(load_file(file))
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"cannot be read ({error})", where=str(file), fix="Adapt again, or delete model/"
        ) from error


def _facts(files: RunFiles) -> list[Fact]:
    """Environment, seeds and hashes, as far as they are known."""
    facts: list[Fact] = []
    if files.config is not None:
        model = files.config.model
        facts += [
            Fact("recipe", files.config.recipe),
            Fact("base", files.base or PurePath(model.base).name),
            Fact("adaptation", f"{model.adaptation}, rank {model.lora_rank}"),
        ]
    if files.alpha is not None:
        facts.append(Fact("strength (alpha)", plain(files.alpha, decimals=2)))
    if files.config is not None:
        facts.append(Fact("seed of training", str(files.config.train.seed)))
    if files.summary is not None:
        facts.append(Fact("seeds of the summary", ", ".join(map(str, files.summary.seeds))))
    if files.data is not None:
        facts += data_facts(files.data, files.path / "data.json")
    if files.base_hash:
        facts.append(Fact("hash of the base", files.base_hash))
    adapted = dict.fromkeys(one.hashes["adapted"] for one in files.results)
    facts += [Fact("hash of the adapted model", one) for one in adapted]
    sources: dict[str, str] = {}
    for one in files.results:
        sources.setdefault(one.hashes["data"], one.source)
    facts += [Fact(f"hash of {source}", data_hash) for data_hash, source in sources.items()]
    return [
        *facts,
        *environment_facts(files.environment, file=RunFolder(files.path).environment),
    ]
