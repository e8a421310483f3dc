"""Summarise the named tests and the heads of one or several seeds: `summary.json`.

The tests show detail in natural sentences and in the template, and what is kept. A mean over tests
counts every test alike. Its interval resamples groups of items (pairs of videos, stills), each with
all of its items in all tests; several seeds are averaged item by item first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from figclip.errors import DataError
from figclip.evaluation.results import EvaluationResult, TaskResult
from figclip.metrics.intervals import Interval, nested_bootstrap, paired_bootstrap
from figclip.miniworld.named_tests import NEW, NamedTest
from figclip.reporting.result_files import SUMMARY_FORMAT
from figclip.tasks.base import ItemScores
from figclip.tasks.composition import BLIND, TEXT_ONLY

NUM_RESAMPLES = 2000
MEANS = ("detail", "detail_template", "semantic")
"""Means over tests, by their keys in the summary."""
_KEY_OF_WORDING = {"natural": "detail", "template": "detail_template", None: "semantic"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TestScores:
    """The items of a named test.

    Attributes:
        base_N: Score of each item under the base: the mean of the test's metrics.
        adapted_N: Under the adapted model, mean over the seeds.
        is_new_N: Whether the item's own combination was never trained on.
        controls: Blind accuracy of both models and text-only accuracy, as the file says them.
    """

    test: NamedTest
    base_N: Float64[np.ndarray, " N"]
    adapted_N: Float64[np.ndarray, " N"]
    groups: tuple[str, ...]
    is_new_N: Bool[np.ndarray, " N"]
    controls: Mapping[str, float | Mapping[str, float]]

    def new(self) -> TestScores:
        """The items whose own combination was never trained on."""
        new_N = self.is_new_N
        groups = tuple(np.asarray(self.groups)[new_N])
        return replace(
            self,
            base_N=self.base_N[new_N],
            adapted_N=self.adapted_N[new_N],
            groups=groups,
            is_new_N=new_N[new_N],
        )


def read_scores(
    tests: Sequence[NamedTest], results: Sequence[EvaluationResult]
) -> tuple[TestScores, ...]:
    """The items of every test; a result per seed, of these tests and the same base.

    Raises:
        DataError: something could not be scored, so that a test is not the one it is named for; or
            its metrics are not of the same items, as in retrieval with several captions a video.
    """
    by_test = zip(*(result.tasks for result in results), strict=True)
    return tuple(_scores(test, of_seeds) for test, of_seeds in zip(tests, by_test, strict=True))


def summarise(scores: Sequence[TestScores], *, seed: int) -> dict[str, Any]:
    """The content of `summary.json` but for seeds, controls and times; `seed` is the intervals'."""
    means = {
        name: [one for one in scores if _KEY_OF_WORDING[one.test.wording] == name] for name in MEANS
    }
    return {
        "format": SUMMARY_FORMAT,
        **{name: _measured(tests, seed=seed) for name, tests in means.items()},
        "tests": [
            {
                "name": one.test.name,
                "group": one.test.face,
                "wording": one.test.wording,
                "metric": " and ".join(one.test.metrics),
                **_measured([one], seed=seed),
                **one.controls,
            }
            for one in scores
        ],
        "tasks": {},
    }


def means_of_one(tests: Sequence[NamedTest], result: EvaluationResult) -> dict[str, float]:
    """What a model without a base scores: means over these tests, by their names in `MEANS`."""
    scores: dict[str, list[float]] = {}
    for test, task in zip(tests, result.tasks, strict=True):
        values_N = _values(test, task.adapted_items)
        scores.setdefault(_KEY_OF_WORDING[test.wording], []).append(float(values_N.mean()))
    return {name: float(np.mean(of_tests)) for name, of_tests in scores.items()}


def mean_difference(scores: Sequence[TestScores], *, seed: int) -> Interval:
    """Adapted minus base of the mean over tests, with its 95 % interval."""
    sizes = [len(one.base_N) for one in scores]
    (interval,) = paired_bootstrap(
        np.concatenate([one.base_N for one in scores])[:, None],
        np.concatenate([one.adapted_N for one in scores])[:, None],
        group_of_item=[group for one in scores for group in one.groups],
        # Every test counts alike, however many items it has.
        weight_N=np.repeat(1 / np.array(sizes), sizes),
        num_resamples=NUM_RESAMPLES,
        seed=seed,
    )
    return interval


def _measured(scores: Sequence[TestScores], *, seed: int) -> dict[str, Any]:
    """A mean over tests, and over their items of new combinations."""
    new = _compared([one.new() for one in scores], seed=seed)
    return {**_compared(scores, seed=seed), "held_out": new}


def _compared(scores: Sequence[TestScores], *, seed: int) -> dict[str, Any]:
    """Both models and their difference."""
    interval = mean_difference(scores, seed=seed)
    return {
        "items": sum(len(one.base_N) for one in scores),
        "base": float(np.mean([one.base_N.mean() for one in scores])),
        "adapted": float(np.mean([one.adapted_N.mean() for one in scores])),
        "difference": interval.difference,
        "interval": [interval.low, interval.high],
    }


def _scores(test: NamedTest, results: Sequence[TaskResult]) -> TestScores:
    """One test under all seeds."""
    first = results[0]
    assert first.base_items is not None, "a quickstart has a base"
    if first.left_out:
        raise DataError(
            f"{first.left_out[0].item} could not be scored: {first.left_out[0].reason}",
            where=str(test.source.path),
            fix="Remove the folder of the quickstart, and run it again",
        )
    base = _values(test, first.base_items)
    adapted = [_values(test, result.adapted_items) for result in results]
    _, named = _blocks(test, first.base_items)[0]
    return TestScores(
        test=test,
        base_N=base,
        adapted_N=np.mean(adapted, axis=0),
        groups=named.group_ids,
        is_new_N=np.array([f"{NEW}/" in name for name in named.item_ids]),
        controls=_controls(results),
    )


def _values(test: NamedTest, blocks: Sequence[ItemScores]) -> Float64[np.ndarray, " N"]:
    """The mean of all metrics, item by item; so the score is the mean over items too."""
    values = [block.values[metric] for metric, block in _blocks(test, blocks)]
    return np.stack(values).mean(axis=0)


def _blocks(test: NamedTest, blocks: Sequence[ItemScores]) -> list[tuple[str, ItemScores]]:
    """Each metric of the test with the block that has it, all of the same items."""
    found = [
        (metric, block) for metric in test.metrics for block in blocks if metric in block.values
    ]
    assert [metric for metric, _ in found] == list(test.metrics), f"{test.name}: {found}"
    if len({block.group_ids for _, block in found}) > 1:
        raise DataError(
            f"{' and '.join(test.metrics)} are not of the same items, one by one",
            where=str(test.source.path),
            fix="Give each image or video one caption",
        )
    return found


def _controls(results: Sequence[TaskResult]) -> dict[str, float | Mapping[str, float]]:
    """Blind and text-only accuracy; nothing of tests without these controls."""
    found: dict[str, float | Mapping[str, float]] = {}
    blind = [result.metrics[BLIND] for result in results if BLIND in result.metrics]
    if blind and blind[0].base is not None:
        adapted = float(np.mean([one.adapted.value for one in blind]))
        found["blind"] = {"base": blind[0].base.value, "adapted": adapted}
    if TEXT_ONLY in results[0].metrics:
        found["text_only"] = results[0].metrics[TEXT_ONLY].adapted.value
    return found


def summarise_heads(
    results: Sequence[EvaluationResult],
    *,
    names: Sequence[str],
    seeds: Sequence[int],
    interval_seed: int,
) -> dict[str, Any]:
    """Each task of heads: base, adapted, difference and its interval, and each seed's.

    Means are over seeds; the heads of base and adapted both differ by seed. Intervals resample
    seeds and videos, where a score is a mean over items.
    `names` are those of the scores to tell.
    """
    tasks: dict[str, Any] = {}
    for of_seeds in zip(*(result.tasks for result in results), strict=True):
        rows = {name: _row(name, of_seeds, seed=interval_seed) for name in names}
        by_seed = [
            {name: _row(name, [one], seed=interval_seed) for name in names} for one in of_seeds
        ]
        tasks[of_seeds[0].task] = {
            **rows,
            **({"seeds": list(seeds), "by_seed": by_seed} if len(results) > 1 else {}),
        }
    return tasks


def _row(name: str, results: Sequence[TaskResult], *, seed: int) -> dict[str, Any]:
    """One score over seeds."""
    pairs = [(one.metrics[name].base, one.metrics[name].adapted) for one in results]
    base = float(np.mean([b.value for b, _ in pairs if b is not None]))
    adapted = float(np.mean([a.value for _, a in pairs]))
    return {
        "base": base,
        "adapted": adapted,
        "difference": adapted - base,
        "interval": _interval(name, results, seed=seed),
    }


def _interval(name: str, results: Sequence[TaskResult], *, seed: int) -> list[float] | None:
    """95 % interval of the difference; None for no mean over items, or over one group of them."""
    base = _head_blocks(name, [one.base_items or () for one in results])
    adapted = _head_blocks(name, [one.adapted_items for one in results])
    if not base or not adapted:
        return None
    first = adapted[0]
    if len(set(first.group_ids)) == 1:
        return None
    (interval,) = nested_bootstrap(
        np.stack([block.values[name] for block in base])[..., None],
        np.stack([block.values[name] for block in adapted])[..., None],
        group_of_item=first.group_ids,
        weight_N=first.weights,
        num_resamples=NUM_RESAMPLES,
        seed=seed,
    )
    return [interval.low, interval.high]


def _head_blocks(name: str, items: Sequence[Sequence[ItemScores]]) -> list[ItemScores]:
    """The block of each seed that has a score's values."""
    return [block for blocks in items for block in blocks if name in block.values]
