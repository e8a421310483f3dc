"""Several runs side by side: what was set differently, what came of it, and what it cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from figclip.errors import ConfigError
from figclip.evaluation.sources import DataSource
from figclip.metrics.intervals import paired_bootstrap
from figclip.reporting.examples import (
    MAX_EXAMPLES,
    MAX_PREVIEW_BYTES,
    Judged,
    draw_lot,
    find_file,
    judge,
)
from figclip.reporting.previews import Preview, preview
from figclip.reporting.records import Compared, Series, Span
from figclip.reporting.result_files import ItemLine, ResultFile, newest, read_items
from figclip.reporting.run_data import RunData, read_run_data
from figclip.tasks.base import Face, Unit
from figclip.video.media_folder import MediaFolder

MAX_RUNS = 6
"""As many as lines can be told apart."""

ResultKey = tuple[str, str, str, str]
"""What two results must share to be beside each other: task, name, file, and hash of the data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """A run beside others, under a name that no other has."""

    name: str
    data: RunData

    @property
    def step_s(self) -> float | None:
        """Seconds of a step."""
        training = self.data.training
        return None if training is None else training.steps_s / training.num_steps

    @property
    def videos_per_s(self) -> float | None:
        """Training videos in a second; validations apart."""
        config, step_s = self.data.config, self.step_s
        return None if config is None or not step_s else config.data.videos_per_batch / step_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A setting that differs: its value in each run, empty where that is not known."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadlineRow:
    """A headline metric of a test: the base's score, if all runs have the same, and each run's.

    A score's difference is to the first run; with its 95 % interval where the score is the plain
    mean over items that both runs have. None for that run itself, and in place of a run that was
    not scored.
    """

    face: Face
    title: str
    metric: str
    unit: Unit
    base: float | None
    scores: tuple[Compared | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """One quantity over training, a line a run."""

    title: str
    unit: str
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """An item on which the runs disagree: which sentence each prefers."""

    judged: Judged
    preferred: tuple[str, ...]
    preview: Preview


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that the page of several runs shows.

    `num_split` is on how many items runs disagree, by the test; None without `data`.
    """

    runs: tuple[ComparedRun, ...]
    settings: tuple[Setting, ...]
    tests: tuple[HeadlineRow, ...]
    curves: tuple[Curves, ...]
    disagreements: tuple[Disagreement, ...] | None
    num_split: Mapping[str, int]
    notices: tuple[str, ...]


def compare_runs(paths: Sequence[Path], *, data: Sequence[DataSource] = ()) -> Comparison:
    """Read several runs; the first is what the others are compared with.

    Args:
        paths: Run folders of adaptations.
        data: True and false captions that all were scored on, to show clips of.

    Raises:
        ConfigError: one run only, one of them twice, or too many.
        DataError, CheckpointError, ModelError: a file of a run is damaged.
    """
    if not 1 < len(paths) <= MAX_RUNS or len({path.resolve() for path in paths}) < len(paths):
        raise ConfigError(
            f"{len(paths)} runs cannot be beside each other",
            where=", ".join(map(str, paths)),
            fix=f"Give 2 to {MAX_RUNS} different runs",
        )
    read = [read_run_data(path) for path in paths]
    names = _unique_names(paths)
    runs = tuple(ComparedRun(name=name, data=one) for name, one in zip(names, read, strict=True))
    tests, said_of_tests = _tests(runs)
    notices = [f"{run.name}: {said}" for run in runs for said in run.data.notices]
    split = None if not data else _split_items(runs, data)
    return Comparison(
        runs=runs,
        settings=tuple(_settings(runs)),
        tests=tests,
        curves=tuple(_curves(runs)),
        disagreements=None if split is None else tuple(_shown(split)),
        num_split=Counter(judged.test for judged, _ in split or ()),
        notices=(*said_of_tests, *notices),
    )


def _unique_names(paths: Sequence[Path]) -> list[str]:
    """Names of folders, with as many of their parents as tell them apart."""
    parts = [path.resolve().parts for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(one[-depth:]) for one in parts]
        if len(set(names)) == len(names):
            return names
    raise AssertionError("different folders have different paths")


def _settings(runs: Sequence[ComparedRun]) -> Iterator[Setting]:
    """Settings, data and strength that are not the same in all runs."""
    flat = [_flat(run) for run in runs]
    for name in dict.fromkeys(name for one in flat for name in one):
        values = tuple(one.get(name, "") for one in flat)
        if len(set(values)) > 1:
            yield Setting(name=name, values=values)


def _flat(run: ComparedRun) -> dict[str, str]:
    """What makes a run, by dotted names."""
    flat: dict[str, str] = {}
    config = run.data.config
    sections: dict[str, Any] = {} if config is None else asdict(config)
    for section, value in sections.items():
        if isinstance(value, Mapping):
            flat |= {f"{section}.{name}": str(one) for name, one in value.items()}
        else:
            flat[section] = str(value)
    if config is not None:
        # A local base by its folder's name: pages are passed on. Its hash is told too.
        flat["model.base"] = PurePath(config.model.base).name
    known = dict(run.data.facts)
    told = (
        *("strength (alpha)", "videos trained on", "hash of the training data"),
        *("hash of the base", "device", "processes", "threads"),
    )
    return flat | {name: known[name] for name in told if name in known}


def _tests(runs: Sequence[ComparedRun]) -> tuple[tuple[HeadlineRow, ...], list[str]]:
    """The headline metrics of all tests, and which tests runs lack or computed differently."""
    by_run = [_by_test(run.data.results) for run in runs]
    rows: list[HeadlineRow] = []
    notices: list[str] = []
    for key in dict.fromkeys(key for one in by_run for key in one):
        found = [one.get(key) for one in by_run]
        lacking = [run.name for run, one in zip(runs, found, strict=True) if one is None]
        named = next(one for one in found if one is not None).file.stem
        if lacking:
            notices.append(f"{named} was not scored on the same data by {', '.join(lacking)}.")
        precisions = {
            run.name: one.precision
            for run, one in zip(runs, found, strict=True)
            if one is not None and one.precision
        }
        if len(set(precisions.values())) > 1:
            listed = ", ".join(f"{run} in {one}" for run, one in precisions.items())
            notices.append(f"{named} was computed in different precisions: {listed}.")
        rows += _rows_of(found)
    order: dict[Face, int] = {"detail": 0, "kept": 1}
    return tuple(sorted(rows, key=lambda row: order[row.face])), notices


def _by_test(results: Sequence[ResultFile]) -> dict[ResultKey, ResultFile]:
    """The newest result on each test."""
    found: defaultdict[ResultKey, list[ResultFile]] = defaultdict(list)
    for one in results:
        found[one.task, one.data, one.source, one.hashes["data"]].append(one)
    return {key: newest(ones) for key, ones in found.items()}


def _rows_of(found: Sequence[ResultFile | None]) -> Iterator[HeadlineRow]:
    """A row for each headline metric of a test."""
    known = next(one for one in found if one is not None)
    items = [{} if one is None else _items(one) for one in found]
    by_name = [{} if one is None else {row.name: row for row in one.headlines} for one in found]
    for headline in known.headlines:
        of_runs = [rows.get(headline.name) for rows in by_name]
        bases = {row.score.base for row in of_runs if row is not None}
        first = of_runs[0]
        scores: list[Compared | None] = []
        for number, row in enumerate(of_runs):
            if row is None or number == 0 or first is None:
                scores.append(None if row is None else _beside(row.score.adapted))
                continue
            difference, interval = row.score.adapted - first.score.adapted, None
            change = _change(items[0], items[number], metric=headline.name)
            # Where items count differently in a score, theirs is another difference.
            if change is not None and abs(change[0] - difference) < 1e-6:
                interval = change[1]
            scores.append(_beside(row.score.adapted, difference=difference, interval=interval))
        yield HeadlineRow(
            face=known.face,
            title=known.file.stem.replace("_", " "),
            metric=headline.metric or headline.name,
            unit=headline.unit,
            base=bases.pop() if len(bases) == 1 else None,
            scores=tuple(scores),
        )


def _beside(
    adapted: float, *, difference: float | None = None, interval: Span | None = None
) -> Compared:
    """A run's score, beside the first run's."""
    return Compared(base=None, adapted=adapted, difference=difference, interval=interval)


def _items(result: ResultFile) -> dict[tuple[str, str], ItemLine]:
    """Per-item scores by block and item."""
    return {(line.block, line.item): line for line in read_items(result)}


def _change(
    first: Mapping[tuple[str, str], ItemLine],
    other: Mapping[tuple[str, str], ItemLine],
    *,
    metric: str,
) -> tuple[float, Span] | None:
    """The difference of two runs on their common items with its interval; None without any."""
    common = [key for key, line in first.items() if key in other and metric in line.adapted]
    groups = [first[key].group for key in common]
    if len(set(groups)) < 2 or any(metric not in other[key].adapted for key in common):
        return None
    values = [
        np.array([[side[key].adapted[metric]] for key in common], np.float64)
        for side in (first, other)
    ]
    [found] = paired_bootstrap(values[0], values[1], group_of_item=groups)
    return found.difference, Span(low=found.low, high=found.high)


def _curves(runs: Sequence[ComparedRun]) -> Iterator[Curves]:
    """Loss and validation scores that several runs have."""
    logs = [(run.name, run.data.training) for run in runs if run.data.training is not None]
    for title, unit, kind in (("Loss", "", "losses"), ("Validation", "fraction", "validation")):
        named: defaultdict[str, list[Series]] = defaultdict(list)
        for name, log in logs:
            for one in getattr(log, kind):
                named[one.name].append(replace(one, name=name))
        for what, series in named.items():
            if len(series) > 1:
                yield Curves(title=f"{title}: {what}", unit=unit, series=tuple(series))


def _split_items(
    runs: Sequence[ComparedRun], data: Sequence[DataSource]
) -> list[tuple[Judged, tuple[str, ...]]]:
    """Items on which not all runs prefer the same, with what each prefers; in nobody's order."""
    split: list[tuple[Judged, tuple[str, ...]]] = []
    for source in data:
        by_run = [{one.item.id: one for one in judge(source, run.data.results)} for run in runs]
        for name, judged in by_run[0].items():
            if all(name in one for one in by_run):
                preferred = tuple(one[name].adapted for one in by_run)
                if len(set(preferred)) > 1:
                    split.append((judged, preferred))
    return sorted(split, key=lambda one: draw_lot(one[0].item.id))


def _shown(split: Sequence[tuple[Judged, tuple[str, ...]]]) -> Iterator[Disagreement]:
    """Some of them with their clips: the test that was shown least comes next."""
    queues: defaultdict[str, list[tuple[Judged, tuple[str, ...]]]] = defaultdict(list)
    for one in reversed(split):
        queues[one[0].test].append(one)
    open_folder = cache(MediaFolder)
    num_shown: Counter[str] = Counter()
    num_bytes = 0
    while any(queues.values()) and num_shown.total() < MAX_EXAMPLES:
        test = min((name for name in queues if queues[name]), key=lambda n: (num_shown[n], n))
        judged, preferred = queues[test].pop()
        num_shown[test] += 1
        medium = judged.item.media[0]
        small = preview(find_file(judged.source, medium, open_folder), medium)
        num_bytes += small.num_bytes
        if num_bytes > MAX_PREVIEW_BYTES:
            return
        yield Disagreement(judged=judged, preferred=preferred, preview=small)
