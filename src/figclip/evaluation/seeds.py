"""Results of trainings that differ only in their seed, as one result."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from figclip.errors import DataError
from figclip.evaluation.results import NUM_RESAMPLES, Comparison, TaskResult
from figclip.metrics.intervals import Interval, nested_bootstrap
from figclip.tasks.base import ItemScores, Score, Setting


def over_seeds(results: Sequence[TaskResult], seeds: Sequence[int]) -> TaskResult:
    """The mean over seeds of each score and of each item's values; intervals are of both.

    Intervals are those of `nested_bootstrap`. Labels that differ between seeds are left out, and
    metrics that some seed lacks are named in a notice. Settings that differ are joined.

    Args:
        results: One a seed, of the same task on the same data.
        seeds: Of training, as many.

    Raises:
        DataError: the seeds were not scored on the same items.
    """
    first = results[0]
    adapted_items = _mean_items([one.adapted_items for one in results])
    base_items, intervals = None, dict[str, Interval]()
    if first.base_items is not None:
        of_bases = [one.base_items or () for one in results]
        base_items = _mean_items(of_bases)
        intervals = _intervals(of_bases, [one.adapted_items for one in results], seed=first.seed)
    told_by_all = [name for name in first.metrics if all(name in one.metrics for one in results)]
    told_by_some = {name for one in results for name in one.metrics} - set(told_by_all)
    notices = dict.fromkeys(notice for one in results for notice in one.notices)
    return replace(
        first,
        settings=_joined_settings(results, seeds),
        metrics={
            name: _mean_comparison([one.metrics[name] for one in results], intervals.get(name))
            for name in told_by_all
        },
        base_items=base_items,
        adapted_items=adapted_items,
        notices=(*notices, *(f"Not every seed has {name}." for name in sorted(told_by_some))),
    )


def _mean_comparison(of_seeds: Sequence[Comparison], interval: Interval | None) -> Comparison:
    bases = [one.base for one in of_seeds if one.base is not None]
    return Comparison(
        base=_mean_score(bases) if bases else None,
        adapted=_mean_score([one.adapted for one in of_seeds]),
        interval=interval,
    )


def _mean_score(scores: Sequence[Score]) -> Score:
    """Means; corrected ones where any seed's official score is wrong."""
    is_corrected = any(one.corrected is not None for one in scores)
    return replace(
        scores[0],
        official=float(np.mean([one.official for one in scores])),
        corrected=float(np.mean([one.value for one in scores])) if is_corrected else None,
    )


def _mean_items(of_seeds: Sequence[Sequence[ItemScores]]) -> tuple[ItemScores, ...]:
    """Each block with the mean of its values over seeds."""
    named = [[(one.block, one.item_ids, one.group_ids) for one in blocks] for blocks in of_seeds]
    if any(one != named[0] for one in named):
        raise DataError("the seeds were not scored on the same items", fix="Score them all anew")
    return tuple(_mean_block(blocks) for blocks in zip(*of_seeds, strict=True))


def _mean_block(blocks: Sequence[ItemScores]) -> ItemScores:
    first = blocks[0]
    return replace(
        first,
        values={
            name: np.mean([one.values[name] for one in blocks], axis=0)
            for name in first.values
            if all(name in one.values for one in blocks)
        },
        labels={
            name: texts
            for name, texts in first.labels.items()
            if all(one.labels.get(name) == texts for one in blocks)
        },
    )


def _intervals(
    bases: Sequence[Sequence[ItemScores]], adapted: Sequence[Sequence[ItemScores]], *, seed: int
) -> dict[str, Interval]:
    """Of each metric that is a mean over items of at least two groups."""
    found: dict[str, Interval] = {}
    for of_bases, of_adapted in zip(
        zip(*bases, strict=True), zip(*adapted, strict=True), strict=True
    ):
        first = of_adapted[0]
        if len(set(first.group_ids)) < 2:
            continue
        names = _mean_block([*of_bases, *of_adapted]).values.keys()
        base_SNM, adapted_SNM = (
            np.stack([[one.values[name] for name in names] for one in blocks]).swapaxes(1, 2)
            for blocks in (of_bases, of_adapted)
        )
        found |= zip(
            names,
            nested_bootstrap(
                base_SNM,
                adapted_SNM,
                group_of_item=first.group_ids,
                weight_N=first.weights,
                num_resamples=NUM_RESAMPLES,
                seed=seed,
            ),
            strict=True,
        )
    return found


def _joined_settings(results: Sequence[TaskResult], seeds: Sequence[int]) -> Mapping[str, Setting]:
    """Settings as they are where all agree, else one after the other; and the seeds."""

    def joined(name: str) -> Setting:
        values = [one.settings[name] for one in results]
        return values[0] if len(set(values)) == 1 else ", ".join(map(str, values))

    return {
        **{name: joined(name) for name in results[0].settings},
        "seeds": ", ".join(map(str, seeds)),
    }
