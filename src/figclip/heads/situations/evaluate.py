"""Scores the heads of a run for situations: base beside adapted, and the contextualizer's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from pathlib import Path

from figclip.config import SituationConfig, SituationLoss
from figclip.datasets.records import LeftOut
from figclip.datasets.situations import SituationTruth
from figclip.errors import DataError
from figclip.evaluation.results import EvaluationResult, TaskResult
from figclip.evaluation.seen_items import trained_items, without_seen
from figclip.evaluation.sources import DataSource, OpenedSource, open_annotated, read_annotated
from figclip.heads.features import ADAPTED, BASE, CONTEXTUALIZER, FrozenModel, with_events_only
from figclip.heads.run import CONTEXT_RESULT, FRAMES_RESULT
from figclip.heads.situations.finetune import TASK, check_annotated
from figclip.heads.situations.head import SituationHead
from figclip.heads.situations.predict import SituationPredictions, predict_situations
from figclip.heads.situations.training import SituationVocabulary
from figclip.heads.task import HeadScores, TrainedHeads, compare_heads, load_heads, write_results
from figclip.model.folder import SeenMedia
from figclip.runtime.files import check_writable, write_atomically
from figclip.runtime.progress import Progress
from figclip.scoring.scores import PredictionScores
from figclip.scoring.situation_files import Predictions, write_situation_predictions
from figclip.scoring.situation_sources import open_truth
from figclip.scoring.situations import NOT_PREDICTED, score_relations, score_roles, score_verbs
from figclip.video.stored import StoredVideos

FEATURES = {FRAMES_RESULT: "frames", CONTEXT_RESULT: "contextualizer against base frames"}

SituationHeads = TrainedHeads[SituationConfig, SituationVocabulary, SituationHead]


def evaluate_situations(
    run: Path,
    *,
    data: DataSource,
    out: Path,
    leave_out_trained: bool = False,
    cache: Path | None = None,
    device: str = "cpu",
    seed: int = 0,
    on_progress: Progress | None = None,
) -> EvaluationResult:
    """Predict and score verbs, roles and relations; write results and VidSitu's prediction files.

    Args:
        run: Run folder of `finetune_situations`.
        data: Annotated events; without a split `valid` is scored. The truth is that of the
            annotation files, as `scoring.situation_sources.open_truth` reads it, also of a store.
        out: Folder of the results; predictions go below `out/predictions/MODEL`, the ids of all
            videos of the split, which their `ann_idx` count, into `out/predictions/videos.json`.
        leave_out_trained: Leave out videos that a head or its model was trained on; else they are
            scored, and told. What chose them is always left out.
        cache: Folder of embeddings and decoded frames; None keeps none.
        device: Where models and heads run.
        seed: Seed of the intervals.
        on_progress: Told what is being decoded, embedded or written.

    Returns:
        A result, `situations`; with a contextualizer another, `situations_context`,
        whose adapted column is the head on its outputs.

    Raises:
        ModelError: the run is not finished, damaged, or its model is not the one it was trained on.
        DataError, StoreError, AnnotationError, MetricError: data that cannot be used.
    """
    check_writable(out)
    check_annotated(data, cache=cache)
    truth = open_truth(data)
    heads = load_heads(TASK, run, cache=cache, device=device, on_progress=on_progress)
    frames_per_event = heads.config.frames.per_event
    read_annotated(data, frames_per_event=frames_per_event)
    seen = reduce(or_, heads.seen_by().values())
    (out / "predictions").mkdir(parents=True, exist_ok=True)
    opened = {
        spec: without_seen(
            open_annotated(
                data,
                spec=spec,
                frames_per_event=frames_per_event,
                cache=cache,
                on_progress=on_progress,
            ),
            seen,
            leave_out_trained=leave_out_trained,
            where=str(data.path),
        )
        for spec in dict.fromkeys(model.spec for model in heads.models)
    }
    scored = {
        model.name: _score_model(
            heads, model, truth, opened=opened[model.spec], seen=seen, out=out, report=on_progress
        )
        for model in heads.models
    }
    results = _compared(heads, data, scored, truth=truth, seen=seen, seed=seed)
    return write_results(results, out, heads=heads)


def _compared(
    heads: SituationHeads,
    source: DataSource,
    scored: Mapping[str, HeadScores],
    *,
    truth: SituationTruth,
    seen: SeenMedia,
    seed: int,
) -> list[TaskResult]:
    """Heads on frames side by side; where there is one, that on the contextualizer's outputs."""
    columns = {FRAMES_RESULT: ADAPTED, CONTEXT_RESULT: CONTEXTUALIZER}
    return [
        compare_heads(
            task,
            source,
            base=scored.get(BASE),
            adapted=scored[name],
            settings={
                "features": FEATURES[task],
                "head": heads.hash_of(name),
                "truth": truth.hash,
            },
            notices=[
                *(f"{source.name}: {notice}" for notice in scored[name].opened.notices),
                *(f"{task}, {notice}" for notice in scored[name].notices),
            ],
            seen=seen,
            seed=seed,
        )
        for task, name in columns.items()
        if name in scored
    ]


def _score_model(
    heads: SituationHeads,
    model: FrozenModel,
    truth: SituationTruth,
    *,
    opened: OpenedSource,
    seen: SeenMedia,
    out: Path,
    report: Progress | None,
) -> HeadScores:
    """What one head got; its predictions are written."""
    assert isinstance(opened.content, StoredVideos), "annotated events are stored videos"
    videos = _listed(truth, with_events_only(opened.content))
    truth, positions = _placed(truth, videos)
    features = model.event_features(videos, frames_per_event=heads.config.frames.per_event)
    if report is not None:
        report(f"writing roles ({model.name})", 0, len(videos.records))
    predictions = predict_situations(
        heads.heads[model.name], features, videos.records, heads.vocabulary
    ).placed(positions)
    ids = [video.id for video in truth.videos]
    write_atomically(out / "predictions" / "videos.json", json.dumps(ids, indent=2) + "\n")
    _write_predictions(out / "predictions" / model.name, predictions)
    video_ids = tuple(record.id for record in videos.records)
    parts = _score_parts(truth, predictions, heads.config.loss)
    return HeadScores(
        model=model,
        opened=opened,
        video_ids=video_ids,
        trained_on=tuple(i for i in trained_items(opened.content, seen) if i in {*video_ids}),
        counts={key: n for scores in parts.values() for key, n in scores.counts.items()},
        left_out=_left_out(truth, opened, video_ids, parts),
        scores={
            f"{part} {name}": score
            for part, scores in parts.items()
            for name, score in scores.scores.items()
        },
        items=tuple(
            replace(
                block,
                block=f"{part} {block.block}",
                values={f"{part} {name}": values for name, values in block.values.items()},
            )
            for part, scores in parts.items()
            for block in scores.items
        ),
        notices=tuple(f"{part}: {notice}" for part, s in parts.items() for notice in s.notices),
    )


def _listed(truth: SituationTruth, videos: StoredVideos) -> StoredVideos:
    """The videos that the split lists, in its order."""
    position = {record.id: i for i, record in enumerate(videos.records)}
    listed = [position[video.id] for video in truth.videos if video.id in position]
    if not listed:
        raise DataError(
            f"lists none of the {len(videos.records):,} annotated videos that are there",
            where=f"{truth.source}, split {truth.split}",
            fix="Take the split file that belongs to the annotations",
        )
    return videos.subset(listed)


def _placed(truth: SituationTruth, videos: StoredVideos) -> tuple[SituationTruth, tuple[int, ...]]:
    """The truth with the groups of the videos that are there, and their positions in it.

    Own videos without a group are grouped by their content, which annotations do not tell.
    """
    group_of = {record.id: record.group for record in videos.records}
    named = tuple(replace(one, group=group_of.get(one.id, one.group)) for one in truth.videos)
    positions = tuple(idx for idx, one in enumerate(named) if one.id in group_of)
    return replace(truth, videos=named), positions


def _score_parts(
    truth: SituationTruth, predictions: SituationPredictions, loss: SituationLoss
) -> dict[str, PredictionScores]:
    """All parts that were trained and that annotators say something of."""
    parts: dict[str, PredictionScores] = {}
    if loss.verbs:
        verbs = Predictions(videos=predictions.verbs, is_partial=True)
        parts["verbs"] = score_verbs(truth, verbs)
    if loss.roles:
        roles = Predictions(videos=predictions.roles, is_partial=True)
        parts["roles"] = score_roles(truth, roles)
    if loss.verbs and loss.roles:
        roles = Predictions(videos=predictions.roles_of_predicted_verbs, is_partial=True)
        parts["roles (predicted verb)"] = score_roles(truth, roles)
    related = [one for one in predictions.relations if truth.videos[one.video_idx].has("relations")]
    if loss.relations and related:
        relations = Predictions(videos=predictions.relations, is_partial=True)
        parts["relations"] = score_relations(truth, relations)
    return parts


def _write_predictions(folder: Path, predictions: SituationPredictions) -> None:
    """VidSitu's files."""
    folder.mkdir(parents=True, exist_ok=True)
    write_situation_predictions(folder / "verbs.json", predictions.verbs)
    write_situation_predictions(folder / "roles.json", predictions.roles)
    write_situation_predictions(
        folder / "roles_of_predicted_verbs.json", predictions.roles_of_predicted_verbs
    )
    if predictions.relations:
        write_situation_predictions(folder / "relations.json", predictions.relations)


def _left_out(
    truth: SituationTruth,
    opened: OpenedSource,
    video_ids: Sequence[str],
    parts: Mapping[str, PredictionScores],
) -> tuple[LeftOut, ...]:
    """What does not decode, annotated videos that are not there, and what is not scored."""
    known = {*video_ids, *(one.item for one in opened.left_out)}
    absent = {
        one.id: LeftOut(item=one.id, reason="the video is missing")
        for one in truth.videos
        if one.annotations and one.id not in known
    }
    unscored = {
        (one.item, one.reason): one
        for scores in parts.values()
        for one in scores.left_out
        if one.item not in absent and one.reason != NOT_PREDICTED
    }
    return (*opened.left_out, *absent.values(), *unscored.values())
