"""All that the files of a run of task heads say. Models and videos are not looked at."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import get_args

from figclip.config import CaptioningConfig, SituationConfig, parsing
from figclip.errors import DataError
from figclip.heads.features import ADAPTED, BASE, FEATURES
from figclip.heads.run import (
    CAPTIONING,
    CAPTIONING_RESULT,
    CONTEXT_RESULT,
    FRAMES_RESULT,
    SITUATIONS,
    HeadInfo,
    has_seeds,
    read_head_info,
)
from figclip.heads.seeds import read_seeds, seed_folder
from figclip.reporting.examples import Outcome
from figclip.reporting.records import Compared, Facts, Series, TrainingLog, plain
from figclip.reporting.result_files import (
    ResultFile,
    groups_of_results,
    newest,
    read_items,
    read_object,
    read_result_files,
)
from figclip.reporting.run_data import data_facts, read_environment, read_training_log
from figclip.training.run_folder import RUN_FORMAT, RunFolder, read_text

VERBS, SENTENCES = "verbs Acc@1", "CIDEr"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTask:
    """What a report shows of the heads of a task.

    Attributes:
        result: What result files call the task.
        context: The same of heads on the contextualizer's outputs; empty where there are none.
        claimed: The score that the claim is about.
        scores: Words for those in the table, by their names in result files.
    """

    config: type[SituationConfig] | type[CaptioningConfig]
    result: str
    context: str
    claimed: str
    scores: Mapping[str, str]


SHOWN_TASKS: dict[str, ShownTask] = {
    SITUATIONS: ShownTask(
        config=SituationConfig,
        result=FRAMES_RESULT,
        context=CONTEXT_RESULT,
        claimed=VERBS,
        scores={
            VERBS: "Verbs, Acc@1",
            "verbs Acc@5": "Verbs, Acc@5",
            "roles CIDEr": "Roles, CIDEr",
            "roles Lea": "Roles, Lea",
            "roles (predicted verb) CIDEr": "Roles for the predicted verb, CIDEr",
            "roles (predicted verb) Lea": "Roles for the predicted verb, Lea",
            "relations Top-1": "Relations, Top-1",
            "relations macro Top-1": "Relations, macro Top-1",
        },
    ),
    CAPTIONING: ShownTask(
        config=CaptioningConfig,
        result=CAPTIONING_RESULT,
        context="",
        claimed=SENTENCES,
        scores={
            "F1": "Spans, F1",
            "recall": "Spans, recall",
            "precision": "Spans, precision",
            SENTENCES: "Sentences, CIDEr",
            "meteor_exact": "Sentences, METEOR of exact words",
            "soda_meteor_exact": "Both, SODA with METEOR of exact words",
        },
    ),
}

Right = tuple[bool | None, bool]
"""Whether base (None without one) and adapted have it right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadScore:
    """One score of the heads on frames of base and adapted model: `Verbs, Acc@1`.

    `context` is that of the head on the contextualizer's outputs, against the same base.
    """

    name: str
    score: Compared
    context: Compared | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadScores:
    """The scores on one data set.

    Attributes:
        rows: Those of `ShownTask.scores` that were scored.
        claimed: The one that the claim is about; None when it was not scored.
        right: Whose first verb is one that an annotator chose, by `VIDEO/Ev1`; of situations.
    """

    result: ResultFile
    title: str
    note: str
    rows: tuple[HeadScore, ...]
    claimed: Compared | None
    right: Mapping[str, Right]

    @property
    def data(self) -> str:
        """`annotations (valid)`."""
        split = f" ({self.result.split})" if self.result.split else ""
        return f"{self.result.source}{split}"

    @property
    def outcomes(self) -> dict[Outcome, int] | None:
        """How many events have each outcome, by their verbs; None without base or events."""
        counts = Counter(_OUTCOMES[pair] for pair in self.right.values() if pair in _OUTCOMES)
        return {outcome: counts[outcome] for outcome in get_args(Outcome)} if counts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadData:
    """What the files of a run of heads say.

    Series are of one model each, adapted first; `stages` are the seconds that each head trained.
    Of several seeds, scores are of all; all else is of the first, and `predictions` are its.
    """

    path: Path
    predictions: Path
    seeds: tuple[int, ...]
    info: HeadInfo
    config: SituationConfig | CaptioningConfig
    tables: tuple[HeadScores, ...]
    losses: tuple[Series, ...]
    validation: tuple[Series, ...]
    num_steps: int
    stages: tuple[tuple[str, float], ...]
    facts: Facts
    command: str
    notices: tuple[str, ...]
    absent: tuple[str, ...]

    @property
    def run(self) -> str:
        """Name of the run's folder."""
        return self.path.resolve().name

    @property
    def columns(self) -> tuple[str, ...]:
        """What stands side by side: base, where there is one, and adapted; or a file's features."""
        return tuple(name for name in (BASE, ADAPTED, FEATURES) if name in self.info.models)

    def scored(self) -> HeadScores:
        """As `newest`; a `DataError` if nothing was scored."""
        if self.newest is not None:
            return self.newest
        raise DataError(
            "was not scored",
            where=str(self.path),
            fix="Run `figclip eval` on it first, with --out set to its eval folder",
        )

    @property
    def newest(self) -> HeadScores | None:
        """The scores of the predictions that lie beside them: each evaluation replaces these."""
        if not self.tables:
            return None
        last = newest([one.result for one in self.tables])
        return next(one for one in self.tables if one.result is last)


_OUTCOMES: dict[Right, Outcome] = {
    (True, True): "both",
    (False, True): "gained",
    (True, False): "lost",
    (False, False): "failed",
}


def read_head_data(path: Path) -> HeadData:
    """Read the files of a run of heads, of one seed or several."""
    seeds = read_seeds(path) if has_seeds(path) else ()
    first = seed_folder(path, seeds[0]) if seeds else path
    info = read_head_info(first)
    shown = SHOWN_TASKS[info.task]
    run = RunFolder(first)
    for file in (run.config, run.environment, run.data):
        if not file.exists():
            raise DataError("is not there", where=str(file), fix="Fine-tune again")
    config = parsing.from_json(read_text(run.config), shown.config, where=str(run.config))
    command, environment = read_environment(run.environment)
    results = read_result_files(path / "eval")
    of_first = seed_folder(path / "eval", seeds[0]) if seeds else path / "eval"
    said = read_result_files(of_first)
    tables = tuple(
        _scores(one, results, said, shown) for one in results if one.task == shown.result
    )
    absent = [] if tables else ["eval/ holds no result of `figclip eval`: nothing is scored."]
    logs = _training_logs(first, info, absent)
    return HeadData(
        path=path,
        predictions=of_first / "predictions",
        seeds=seeds or (config.train.seed,),
        info=info,
        config=config,
        tables=tables,
        losses=_first_series({name: log.losses for name, log in logs.items()}),
        validation=_first_series({name: log.validation for name, log in logs.items()}),
        num_steps=max((log.num_steps for log in logs.values()), default=0),
        stages=tuple((name, log.steps_s + log.validations_s) for name, log in logs.items()),
        facts=[
            *_facts(info, config, seeds),
            *data_facts(read_object(run.data, newest_format=RUN_FORMAT), run.data),
            *((f"hash of {one.result.source}", one.result.hashes["data"]) for one in tables),
            *environment,
        ],
        command=command,
        notices=tuple(dict.fromkeys(notice for one in results for notice in one.notices)),
        absent=tuple(absent),
    )


def _scores(
    result: ResultFile,
    results: Sequence[ResultFile],
    said: Sequence[ResultFile],
    shown: ShownTask,
) -> HeadScores:
    """The scores on one data set, with those through the contextualizer beside them.

    What is right, item by item, is that of `said`, the results of the first seed.
    """
    (group,) = groups_of_results([result])
    context = {
        row.name: row.score
        for one in results
        if one.task == shown.context and one.hashes["data"] == result.hashes["data"]
        for row in one.rows
    }
    found = {row.name: row.score for row in result.rows}
    return HeadScores(
        result=result,
        title=group.title,
        note=group.note,
        rows=tuple(
            HeadScore(name=words, score=found[name], context=context.get(name))
            for name, words in shown.scores.items()
            if name in found
        ),
        claimed=found.get(shown.claimed),
        right={
            line.item: (
                None if line.base is None else line.base[VERBS] == 1,
                line.adapted[VERBS] == 1,
            )
            for one in said
            if (one.task, one.hashes["data"]) == (result.task, result.hashes["data"])
            for line in read_items(one)
            if VERBS in line.adapted
        },
    )


def _training_logs(path: Path, info: HeadInfo, absent: list[str]) -> dict[str, TrainingLog]:
    """The log of each head that took a step, adapted first: the strongest line of a chart."""
    logs: dict[str, TrainingLog] = {}
    for name in sorted(info.models, key=lambda name: name != ADAPTED):
        file = path / name / "metrics.jsonl"
        log = read_training_log(file) if file.exists() else None
        if log is None or log.num_steps == 0:
            absent.append(f"{name}/metrics.jsonl has no steps: no curve of its losses.")
        else:
            logs[name] = log
    return logs


def _first_series(of_models: Mapping[str, tuple[Series, ...]]) -> tuple[Series, ...]:
    """The first series of each model under the model's name."""
    return tuple(replace(series[0], name=name) for name, series in of_models.items() if series)


def _facts(
    info: HeadInfo, config: SituationConfig | CaptioningConfig, seeds: Sequence[int]
) -> Facts:
    """The recipe, and whose features the heads take."""
    head = config.head
    if FEATURES in info.models:
        frames = "as in the file of features"
    elif isinstance(config, SituationConfig):
        frames = f"{config.frames.per_event} an event"
    else:
        frames = f"{config.frames.per_second:g} a second"
    layers = f"{head.encoder_layers} + {head.decoder_layers} layers"
    return [
        ("recipe", config.recipe),
        ("model", PurePath(info.model).name),
        ("head", f"{layers}, width {head.width}, beam {head.beam}"),
        ("frames", frames),
        ("seeds of training", ", ".join(map(str, seeds)))
        if seeds
        else ("seed of training", str(config.train.seed)),
        *(
            (FEATURES, f"hash {one.hash}")
            if name == FEATURES
            else (
                f"features, {name}",
                f"strength (alpha) {plain(one.alpha, decimals=2)}, "
                f"{f'{one.precision}, ' if one.precision else ''}hash {one.hash}",
            )
            for name, one in info.models.items()
        ),
    ]
