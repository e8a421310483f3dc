"""Gather all that the files of a run say for its report: results, settings, curves.

Read are `environment.json` (what was typed, where, on which versions), the curve over the strength
of the adaptation, and `metrics.jsonl` as series over the steps. Models and videos are not opened.

A file that is damaged or of a newer format is a `DataError`; of `metrics.jsonl` it may be a
`CheckpointError`.
"""

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from figclip.config import RunConfig, parsing
from figclip.errors import DataError
from figclip.evaluation.results import STRENGTH_FORMAT, SWEEP_FORMAT
from figclip.model.backbone import state_hash
from figclip.model.folder import ModelInfo, read_info
from figclip.reporting.records import (
    CurvePoint,
    Facts,
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
    damage_named,
    number,
    read_costs,
    read_object,
    read_result_files,
    read_summary,
    scored_again,
    summary_of_results,
)
from figclip.runtime.reading import DAMAGES
from figclip.training.run_folder import (
    ENVIRONMENT_FORMAT,
    RUN_FORMAT,
    RunFolder,
    read_metrics,
    read_text,
    sessions_of,
)


def read_environment(file: Path) -> tuple[str, Facts]:
    """What was typed to train; and where, as far as it is known: the last session's, and resumes.

    The program is told by its name.
    """
    environment = read_object(file, newest_format=ENVIRONMENT_FORMAT)
    with damage_named(file):
        first, *resumed = sessions_of(environment)
        program, *arguments = map(str, first["command"])
        last = (first, *resumed)[-1]
        facts = [
            ("commit", str(last["commit"]) or "an installed package"),
            ("Python", str(last["python"])),
            ("platform", str(last["platform"])),
            # Runs of earlier versions do not say where they ran.
            *((one, str(last[one])) for one in ("device", "processes") if one in last),
            ("threads", str(last["threads"])),
            ("packages", ", ".join(f"{name} {one}" for name, one in last["packages"].items())),
        ]
        if resumed:
            facts.append(("resumed after step", ", ".join(str(one["step"]) for one in resumed)))
    return shlex.join([PurePath(program).name, *arguments]), facts


def data_facts(data: dict[str, Any], file: Path) -> Facts:
    """How many videos a run was trained on, and what it was held to its base on; their hashes."""
    with damage_named(file):
        held = (("held to the base on", "pictures"), ("hash of pictures and texts", "keeping"))
        return [
            ("videos trained on", f"{len(data['train']):,}"),
            ("videos that chose", f"{len(data['val']):,}"),
            ("hash of the training data", str(data["hash"])),
            *((name, str(data[key])) for name, key in held if data.get(key)),
        ]


_SWEPT = (
    "The curve was scored on the tests themselves (figclip eval --sweep-alpha); no strength was "
    "chosen by it."
)


def read_curve(
    run: Path, *, alpha: float | None, results: Sequence[ResultFile]
) -> StrengthCurve | None:
    """The curve that the strength was chosen from, or else that of `--sweep-alpha`.

    None without either file, or without detail in the first.
    """
    chosen_from, swept = run / "strength.json", run / "eval" / "sweep.json"
    if chosen_from.exists():
        content = read_object(chosen_from, newest_format=STRENGTH_FORMAT)
        with damage_named(chosen_from):
            if any(one["detail"] is None for one in content["curve"]):
                return None
            chosen, limits = number(content["alpha"]), content["limits"]
            explanation = (
                f"Strength {chosen:g} was chosen on validation videos and on "
                f"{_chosen_on(results)}: the most detail among strengths whose loss of what must "
                f"be kept is, with {plain(100 * number(limits['confidence']), decimals=0)} % "
                f"confidence, at most {percent(limits['mean'])} points on the mean and "
                f"{percent(limits['test'])} on each test. "
                "Hollow points lose more than that."
            )
            points = _points(content["curve"])
            return StrengthCurve(points=points, chosen=chosen, explanation=explanation)
    if not swept.exists():
        return None
    content = read_object(swept, newest_format=SWEEP_FORMAT)
    with damage_named(swept):
        points = _points([{**one, **one["faces"]} for one in content["points"]])
    chosen = 1.0 if alpha is None else alpha
    return StrengthCurve(points=points, chosen=chosen, explanation=_SWEPT)


def _chosen_on(results: Sequence[ResultFile]) -> str:
    """What the kept items that chose are to those that are reported."""
    kept = [one for one in results if one.face == "kept"]
    if not kept:
        return "one half of the data of --keep"
    if any(one.num_chose for one in kept):
        return "a part of the kept tests that is not reported"
    return "kept tests of other data than those reported"


def _points(scores: Sequence[Mapping[str, Any]]) -> tuple[CurvePoint, ...]:
    """Changes from strength 0, which must be among the strengths."""
    (base,) = [one for one in scores if one["alpha"] == 0]
    return tuple(
        CurvePoint(
            alpha=number(one["alpha"]),
            detail=number(one["detail"]) - number(base["detail"]),
            kept=number(one["kept"]) - number(base["kept"]),
            qualifies=bool(one.get("qualifies", True)),
        )
        for one in sorted(scores, key=lambda one: number(one["alpha"]))
    )


_SUM, _CHOOSING = "loss", "val/score"
_WORDS = {
    _SUM: "weighted sum",
    _CHOOSING: "score that chooses",
    "loss/keep": "held to the base",
    "val/event_r1": "event R@1",
    "val/over_blind": "accuracy against counterfeits, over blind",
    "val/choice_accuracy": "accuracy against hard negatives",  # of runs before 2026-11-28
}
"""Names that people read."""


def read_training_log(file: Path) -> TrainingLog:
    """Losses, validation scores and seconds of a run."""
    values: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    seconds = {"steps": 0.0, "validations": 0.0}
    peaks: list[int] = []
    with damage_named(file):
        rows = read_metrics(file)
        for row in rows:
            kind = "steps" if _SUM in row else "validations"
            seconds[kind] += number(row["time"]["s"])
            if "peak_bytes" in row["time"]:  # not in runs of earlier versions
                peaks.append(int(number(row["time"]["peak_bytes"])))
            for name, value in row.items():
                if name == _SUM or name.startswith((f"{_SUM}/", "val/")):
                    values[name].append((row["step"], number(value)))
    return TrainingLog(
        losses=_series(values, first=_SUM, prefix="loss"),
        validation=_series(values, first=_CHOOSING, prefix="val/"),
        num_steps=sum(_SUM in row for row in rows),
        steps_s=seconds["steps"],
        validations_s=seconds["validations"],
        peak_bytes=max(peaks, default=None),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunData:
    """All that the files of a run say of its model as it is now; None or empty if one is absent.

    `notices` tell of results, also those left out; `absent` names missing files and their loss.
    """

    path: Path
    config: RunConfig | None
    data: dict[str, Any] | None
    results: tuple[ResultFile, ...]
    summary: Summary
    curves: tuple[StrengthCurve, ...]
    training: TrainingLog | None
    costs: Costs
    facts: Facts
    command: str
    notices: tuple[str, ...]
    absent: tuple[str, ...]

    @property
    def run(self) -> str:
        """Name of the run's folder."""
        return self.path.resolve().name

    @property
    def unfinished(self) -> str:
        """How far a run without a model is; empty with one."""
        if RunFolder(self.path).model.exists() or self.training is None:
            return ""
        total = ""
        if self.config is not None and self.data is not None:
            batches = -(-len(self.data["train"]) // self.config.data.videos_per_batch)
            total = f" of {self.config.train.epochs * batches:,}"
        return f"Unfinished: step {self.training.losses[0].steps[-1]:,}{total}; no model yet."


def read_run_data(path: Path) -> RunData:
    """Read the files of a run."""
    run, results_folder = RunFolder(path), path / "eval"
    known = (run.config, run.environment, run.data, run.metrics, run.model, results_folder)
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

    config = data = info = training = None
    command, environment = "", []
    if there(run.config, "the settings and the seed are not known"):
        config = parsing.from_json(read_text(run.config), RunConfig, where=str(run.config))
    if there(run.environment, "the command and the versions are not known"):
        command, environment = read_environment(run.environment)
    if there(run.data, "the training data are not known"):
        data = read_object(run.data, newest_format=RUN_FORMAT)
    if there(run.model / "figclip.json", "the base and the strength are not known"):
        info = read_info(run.model)
    results, notices = _of_model(read_result_files(results_folder), info, run.model)
    summary = summary_of_results(results)
    if (results_folder / "summary.json").exists():
        summary = read_summary(results_folder / "summary.json")
    elif not results:
        absent.append("eval/ holds no result of `figclip eval`: nothing can be said of the model.")
    if run.metrics.exists():
        training = read_training_log(run.metrics)
    if training is None or training.num_steps == 0:
        training = None
        absent.append("metrics.jsonl has no steps: losses and times are not known.")
    curves = summary.curves
    if not curves:
        curve = read_curve(path, alpha=None if info is None else info.alpha, results=results)
        curves = () if curve is None else (curve,)
    if not curves:
        absent.append("Neither strength.json with detail nor eval/sweep.json: no curve over alpha.")
    trained_on = [] if data is None else data_facts(data, run.data)
    notices += (*scored_again(results), *(said for one in results for said in one.notices))
    return RunData(
        path=path,
        config=config,
        data=data,
        results=results,
        summary=summary,
        curves=curves,
        training=training,
        costs=_costs(results_folder / "timings.json", training),
        facts=[
            *_settings(config, info, summary),
            *trained_on,
            *_hashes(info, results),
            *environment,
        ],
        command=command,
        notices=tuple(dict.fromkeys(notices)),
        absent=tuple(absent),
    )


def _costs(file: Path, training: TrainingLog | None) -> Costs:
    """Time of all stages where that was written down, else of training alone."""
    if file.exists():
        return read_costs(file)
    if training is None:
        return Costs(stages=())
    peak = None if training.peak_bytes is None else training.peak_bytes / 2**20
    parts = (("training steps", training.steps_s), ("validation", training.validations_s))
    stages = tuple((name, seconds) for name, seconds in parts if seconds > 0)
    return Costs(stages=stages, peak_memory_mib=peak)


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
    except (SafetensorError, *DAMAGES) as error:
        raise DataError(
            f"cannot be read ({error})", where=str(file), fix="Adapt again, or delete model/"
        ) from error


def _settings(config: RunConfig | None, info: ModelInfo | None, summary: Summary) -> Facts:
    """Settings and seeds, as far as they are known."""
    facts: Facts = []
    if config is not None:
        model = config.model
        facts += [
            ("recipe", config.recipe),
            ("base", (info.base if info else "") or PurePath(model.base).name),
            ("adaptation", f"{model.adaptation}, rank {model.lora_rank}"),
        ]
    if info is not None:
        facts.append(("strength (alpha)", plain(info.alpha, decimals=2)))
    if config is not None:
        facts.append(("seed of training", str(config.train.seed)))
    if summary.seeds:
        facts.append(("seeds of the summary", ", ".join(map(str, summary.seeds))))
    return facts


def _hashes(info: ModelInfo | None, results: Sequence[ResultFile]) -> Facts:
    """Hashes of the base, of adapted models and of the data of results."""
    sources: dict[str, str] = {}
    for one in results:
        sources.setdefault(one.hashes["data"], one.source)
    return [
        *([("hash of the base", info.base_hash)] if info and info.base_hash else []),
        *(
            ("hash of the adapted model", model_hash)
            for model_hash in dict.fromkeys(one.hashes["adapted"] for one in results)
        ),
        *((f"hash of {source}", data_hash) for data_hash, source in sources.items()),
    ]
