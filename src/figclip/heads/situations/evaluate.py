"""Scores the heads of a run for situations: base beside adapted, and the contextualizer's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from pathlib import Path

from figclip import config as configs
from figclip.config import SituationConfig, SituationLoss
from figclip.datasets.situations import SituationTruth
from figclip.errors import DataError
from figclip.evaluation.results import DataInfo, EvaluationResult, TaskResult, compare, write_result
from figclip.evaluation.seen_items import (
    trained_items,
    trained_notice,
    unknown_notices,
    without_seen,
)
from figclip.evaluation.sources import DataSource, OpenedSource, open_annotated, read_annotated
from figclip.heads.features import (
    ADAPTED,
    BASE,
    CONTEXTUALIZER,
    FrozenModel,
    load_models_of_head,
    seen_by_heads,
    with_events_only,
)
from figclip.heads.run import head_file, head_hash, load_head, read_head_info
from figclip.heads.situations.finetune import build_head, check_annotated, vocabulary_from_json
from figclip.heads.situations.head import SituationHead
from figclip.heads.situations.predict import SituationPredictions, predict_situations
from figclip.heads.situations.training import SituationVocabulary
from figclip.runtime.files import check_writable, write_atomically
from figclip.runtime.progress import Progress
from figclip.runtime.versions import package_versions
from figclip.scoring.scores import PredictionScores
from figclip.scoring.situation_files import Predictions, write_situation_predictions
from figclip.scoring.situation_sources import open_truth
from figclip.scoring.situations import NOT_PREDICTED, score_relations, score_roles, score_verbs
from figclip.tasks.base import ItemScores, LeftOut, Score
from figclip.training.run_files import read_text
from figclip.training.run_folder import RunFolder
from figclip.video.seen_media import SeenMedia
from figclip.video.stored import StoredVideos

FRAMES_TASK, CONTEXT_TASK = "situations", "situations_context"
FEATURES = {FRAMES_TASK: "frames", CONTEXT_TASK: "contextualizer against base frames"}


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
    heads = _Heads.load(run, cache=cache, device=device, on_progress=on_progress)
    read_annotated(data, frames_per_event=heads.config.frames.per_event)
    out.mkdir(parents=True, exist_ok=True)
    results = heads.score(
        data, truth, out=out, seed=seed, cache=cache, leave_out_trained=leave_out_trained
    )
    files: list[Path] = []
    for result in results:
        files.append(write_result(result, out, taken=files, versions=package_versions()))
    notices = (*heads.notices, *(notice for one in results for notice in one.notices))
    return EvaluationResult(tasks=tuple(results), files=tuple(files), notices=notices)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heads:
    """The heads of a run with the models whose features they take."""

    run: Path
    config: SituationConfig
    vocabulary: SituationVocabulary
    models: tuple[FrozenModel, ...]
    heads: Mapping[str, SituationHead]
    seen: SeenMedia
    notices: tuple[str, ...]
    on_progress: Progress | None

    @classmethod
    def load(
        cls, run: Path, *, cache: Path | None, device: str, on_progress: Progress | None
    ) -> _Heads:
        """Load config, vocabulary, heads and models, and check that they belong together."""
        info = read_head_info(run, task="situations")
        file = RunFolder(run).config
        config = configs.from_json(read_text(file), SituationConfig, where=str(file))
        vocabulary = vocabulary_from_json(info.vocabulary, where=str(run / "head.json"))
        models, notices = load_models_of_head(
            info, cache=cache, device=device, on_progress=on_progress
        )
        heads: dict[str, SituationHead] = {}
        for name in info.models:
            heads[name] = build_head(config, vocabulary, feature_dim=info.feature_dim)
            load_head(head_file(run, name), heads[name])
        seen_by = seen_by_heads(run, models)
        return cls(
            run=run,
            config=config,
            vocabulary=vocabulary,
            models=models,
            heads={name: head.to(device) for name, head in heads.items()},
            seen=reduce(or_, seen_by.values()),
            notices=(*notices, *unknown_notices(seen_by)),
            on_progress=on_progress,
        )

    def score(
        self,
        source: DataSource,
        truth: SituationTruth,
        *,
        out: Path,
        seed: int,
        cache: Path | None,
        leave_out_trained: bool,
    ) -> list[TaskResult]:
        """All heads on one data set, put side by side."""
        opened = {
            spec: without_seen(
                open_annotated(
                    source,
                    spec=spec,
                    frames_per_event=self.config.frames.per_event,
                    cache=cache,
                    on_progress=self.on_progress,
                ),
                self.seen,
                leave_out_trained=leave_out_trained,
                where=str(source.path),
            )
            for spec in dict.fromkeys(model.spec for model in self.models)
        }
        scored = {
            model.name: self._score_model(model, truth, opened[model.spec], out)
            for model in self.models
        }
        columns = {FRAMES_TASK: ADAPTED, CONTEXT_TASK: CONTEXTUALIZER}
        return [
            self._result(task, source, scored.get(BASE), scored[name], seed=seed)
            for task, name in columns.items()
            if name in scored
        ]

    def _score_model(
        self, model: FrozenModel, truth: SituationTruth, opened: OpenedSource, out: Path
    ) -> _Scored:
        """One head on one data set."""
        assert isinstance(opened.content, StoredVideos), "annotated events are stored videos"
        videos = _listed(truth, with_events_only(opened.content))
        truth, positions = _placed(truth, videos)
        features = model.event_features(videos, frames_per_event=self.config.frames.per_event)
        if self.on_progress is not None:
            self.on_progress(f"writing roles ({model.name})", 0, len(videos.records))
        predictions = predict_situations(
            self.heads[model.name], features, videos.records, self.vocabulary
        ).placed(positions)
        (out / "predictions").mkdir(exist_ok=True)
        ids = [video.id for video in truth.videos]
        write_atomically(out / "predictions" / "videos.json", json.dumps(ids, indent=2) + "\n")
        _write_predictions(out / "predictions" / model.name, predictions)
        return _Scored(
            model=model,
            opened=opened,
            truth=truth,
            video_ids=tuple(record.id for record in videos.records),
            parts=_score_parts(truth, predictions, self.config.loss),
        )

    def _result(
        self,
        task: str,
        source: DataSource,
        base: _Scored | None,
        adapted: _Scored,
        *,
        seed: int,
    ) -> TaskResult:
        """Two heads side by side."""
        opened, parts = adapted.opened, adapted.parts
        scored = set(adapted.video_ids)
        trained_on = tuple(one for one in trained_items(opened.content, self.seen) if one in scored)
        absent = _absent(adapted)
        left_out = {
            (one.item, one.reason): one
            for scores in parts.values()
            for one in scores.left_out
            if one.item not in absent and one.reason != NOT_PREDICTED
        }
        return TaskResult(
            task=task,
            face=source.face or "detail",
            data=DataInfo(
                name=source.name,
                source=source.path.name,
                split=opened.split,
                hash=opened.hash,
                pipeline=opened.pipeline,
                coverage=opened.coverage,
            ),
            settings={
                "features": FEATURES[task],
                "head": head_hash(head_file(self.run, adapted.model.name)),
                "truth": adapted.truth.hash,
            },
            counts={key: n for scores in parts.values() for key, n in scores.counts.items()},
            left_out=(
                *opened.left_out,
                *absent.values(),
                *left_out.values(),
            ),
            base=None if base is None else base.model.info,
            adapted=adapted.model.info,
            metrics=compare(
                (None if base is None else base.summary, adapted.summary),
                (None if base is None else base.items, adapted.items),
                seed=seed,
            ),
            base_items=None if base is None else base.items,
            adapted_items=adapted.items,
            notices=(
                *trained_notice(
                    trained_on, num_scored=len(adapted.video_ids), test=f"{task} on {source.name}"
                ),
                *(f"{source.name}: {notice}" for notice in opened.notices),
                *(f"{task}, {part}: {notice}" for part, s in parts.items() for notice in s.notices),
            ),
            seed=seed,
            trained_on=trained_on,
            knows_training=self.seen.is_whole,
        )


@dataclass(frozen=True, slots=True)
class _Scored:
    """What one head got.

    Attributes:
        model: Whose features it takes.
        opened: The data.
        truth: What annotators say of the whole split.
        video_ids: Ids of the scored videos.
        parts: Scores of verbs, roles and relations, by name.
    """

    model: FrozenModel
    opened: OpenedSource
    truth: SituationTruth
    video_ids: tuple[str, ...]
    parts: Mapping[str, PredictionScores]

    @property
    def summary(self) -> dict[str, Score]:
        """All scores, by part and name."""
        return {
            f"{part} {name}": score
            for part, scores in self.parts.items()
            for name, score in scores.scores.items()
        }

    @property
    def items(self) -> tuple[ItemScores, ...]:
        """Per-item values under the names of their scores."""
        return tuple(
            replace(
                block,
                block=f"{part} {block.block}",
                values={f"{part} {name}": values for name, values in block.values.items()},
            )
            for part, scores in self.parts.items()
            for block in scores.items
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


def _absent(scored: _Scored) -> dict[str, LeftOut]:
    """The annotated videos of the split that are not there, by id; not those that do not decode."""
    known = {*scored.video_ids, *(one.item for one in scored.opened.left_out)}
    return {
        one.id: LeftOut(item=one.id, reason="the video is missing")
        for one in scored.truth.videos
        if one.annotations and one.id not in known
    }
