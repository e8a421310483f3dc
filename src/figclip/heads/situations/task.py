"""Fine-tune and score heads for verbs, roles and relations, base beside adapted."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

from figclip.annotations.own_files import counted
from figclip.annotations.splits import TRAIN_SPLIT, split_training, why_none_held_back
from figclip.config import SituationConfig, SituationLoss
from figclip.datasets.records import LeftOut
from figclip.datasets.situations import SituationTruth
from figclip.errors import ConfigError, DataError
from figclip.evaluation.results import EvaluationResult, TaskResult
from figclip.evaluation.seen_items import trained_items, without_seen
from figclip.evaluation.sources import (
    ANNOTATED,
    DataSource,
    OpenedSource,
    read_annotated,
)
from figclip.heads.features import BASE, CONTEXTUALIZER, FEATURES, FeatureSource, with_events_only
from figclip.heads.run import (
    CONTEXT_RESULT,
    FRAMES_RESULT,
    SITUATIONS,
    HeadTraining,
    read_head_info,
)
from figclip.heads.situations.head import (
    SituationHead,
    SituationPredictions,
    SituationVocabulary,
    build_situation_vocabulary,
    predict_situations,
    written_roles,
)
from figclip.heads.situations.training import SituationTrainee
from figclip.heads.sources import check_footage, file_for
from figclip.heads.task import (
    HeadScores,
    HeadTask,
    TrainedHeads,
    compare_heads,
    load_heads,
    open_for_each,
    write_results,
)
from figclip.heads.vocabulary import Vocabulary, encode_roles
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings
from figclip.model.folder import SeenMedia
from figclip.runtime.files import make_folder, write_atomically
from figclip.runtime.locks import one_writer
from figclip.runtime.progress import Progress
from figclip.runtime.reading import parse_json
from figclip.scoring.scores import PredictionScores
from figclip.scoring.situation_files import Predictions, write_situation_predictions
from figclip.scoring.situation_sources import open_truth
from figclip.scoring.situations import (
    NOT_PREDICTED,
    data_of,
    score_relations,
    score_roles,
    score_verbs,
)
from figclip.training.batches import BatchPlan
from figclip.video.stored import StoredVideos

SituationHeads = TrainedHeads[SituationConfig, SituationVocabulary, SituationHead]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedEvents:
    """Videos with annotated events, those annotations that have some, and what is to be told."""

    videos: StoredVideos
    notices: tuple[str, ...]

    @property
    def content_hash(self) -> str:
        """Hash of annotations, videos and pixels, or features."""
        return self.videos.content_hash


class SituationTask(HeadTask[SituationConfig, OpenedEvents, SituationVocabulary, SituationHead]):
    """Verbs, roles and relations of annotated events."""

    name = SITUATIONS
    config = SituationConfig
    has_context = True
    lists = ("verbs", "relations", "role_keys", "words", "frames")
    later_lists = frozenset({"frames"})

    def check_training(
        self,
        data: DataSource,
        config: SituationConfig,
        *,
        features: Path | None,
        cache: Path | None,
    ) -> None:
        """As `_check_annotated`; a split cannot be chosen, and there must be one to train on."""
        _check_annotated(data, features=features, cache=cache)
        if data.split is not None:
            raise ConfigError(
                f"heads are trained on split {TRAIN_SPLIT!r} only",
                where=f"--data split={data.split}",
                fix="Leave split= out",
            )
        if features is None:
            training = replace(data, split=TRAIN_SPLIT)
            read_annotated(training, frames_per_event=config.frames.per_event)

    def open_training(
        self,
        data: DataSource,
        config: SituationConfig,
        *,
        source: FeatureSource,
        cache: Path | None,
        on_progress: Progress | None,
    ) -> OpenedEvents:
        """The videos of the train split, with those annotations that have events."""
        opened = source.open_events(
            replace(data, split=TRAIN_SPLIT),
            frames_per_event=config.frames.per_event,
            cache=cache,
            on_progress=on_progress,
        )
        assert isinstance(opened.content, StoredVideos), "annotated events are stored videos"
        return OpenedEvents(
            videos=with_events_only(opened.content),
            notices=(*opened.notices, *_left_out_notice(opened)),
        )

    def prepare(
        self, config: SituationConfig, source: FeatureSource, *, videos: OpenedEvents, device: str
    ) -> HeadTraining:
        """A fresh head on the features of a source, and how it is trained."""
        annotated = videos.videos
        split = split_training(annotated.records, val_fraction=config.train.val_fraction)
        train, val = annotated.subset(split.train), annotated.subset(split.val)
        vocabulary = build_situation_vocabulary(
            train.records, min_word_count=config.head.min_word_count
        )
        features = source.event_features(
            annotated.subset((*split.train, *split.val)), frames_per_event=config.frames.per_event
        )
        head = self.fresh_head(config, vocabulary, feature_dim=features.dim).to(device)
        trainee = SituationTrainee(
            head, features, (*train.records, *val.records), vocabulary=vocabulary, config=config
        )
        held_back = [item for item in features.rows if item.video_idx >= len(train.records)]
        return HeadTraining(
            name=source.name,
            trainee=trainee,
            plan=BatchPlan(
                train.records,
                videos_per_batch=config.train.videos_per_batch,
                seed=config.train.seed,
            ),
            validator=(lambda: trainee.validate(held_back)) if held_back else None,
            train=train.hash_by_id,
            val=val.hash_by_id,
            feature_dim=features.dim,
            vocabulary={
                "verbs": vocabulary.verbs,
                "relations": vocabulary.relations,
                "role_keys": vocabulary.roles.marks,
                "words": vocabulary.roles.words,
                "frames": tuple(json.dumps(frame) for frame in vocabulary.frames),
            },
            notices=lambda: [
                *videos.notices,
                *_layer_notice(config, source),
                *_notices(config, train, val, vocabulary.roles),
            ],
        )

    def build_vocabulary(self, *lists: tuple[str, ...]) -> SituationVocabulary:
        """Verbs, relations, keys and words of roles, and the keys of each verb."""
        verbs, relations, keys, words, frames = lists
        parsed: list[Any] = [parse_json(frame) for frame in frames]
        if len(parsed) not in (0, len(verbs)) or not all(
            set(frame) <= set(keys) for frame in parsed
        ):
            raise ValueError("roles of verbs are not those that it has")
        return SituationVocabulary(
            verbs=verbs,
            relations=relations,
            roles=Vocabulary(marks=keys, words=words),
            frames=tuple(map(tuple, parsed)),
        )

    def build_head(
        self, config: SituationConfig, vocabulary: SituationVocabulary, *, feature_dim: int
    ) -> SituationHead:
        """A head with the weights that torch's generator gives."""
        return SituationHead(
            feature_dim,
            num_verbs=len(vocabulary.verbs),
            num_relations=len(vocabulary.relations),
            num_tokens=len(vocabulary.roles),
            num_marks=len(vocabulary.roles.marks),
            size=config.head,
            relations_read=config.inputs.relations,
        )


TASK = SituationTask()
finetune_situations = TASK.finetune


def _left_out_notice(opened: OpenedSource) -> tuple[str, ...]:
    """How many annotated videos of the split cannot be trained on."""
    if not opened.left_out:
        return ()
    first = opened.left_out[0]
    why = f"cannot be trained on, for example {first.item}: {first.reason}."
    return counted(len(opened.left_out), "video", why)


def _layer_notice(config: SituationConfig, source: FeatureSource) -> tuple[str, ...]:
    """That there may be a head less than usual."""
    if config.frames.layer == "embedding" or source.name == FEATURES:
        return ()
    layer = f"frames.layer={config.frames.layer}"
    return (f"No head is trained on a contextualizer, which reads embeddings ({layer}).",)


def _notices(
    config: SituationConfig, train: StoredVideos, val: StoredVideos, roles: Vocabulary
) -> list[str]:
    longest = config.head.max_words
    events = [e for r in train.records for one in r.annotations for e in one.events]
    num_cut = sum(len(encode_roles(written_roles(event), roles)) > longest for event in events)
    notices: list[str] = []
    if num_cut:
        notices.append(
            f"{num_cut:,} of {len(events):,} events have roles of more than {longest} tokens: "
            "cut there (head.max_words)."
        )
    fraction = config.train.val_fraction
    if fraction and not val.records:
        groups = {record.group for record in train.records}
        notices.append(
            why_none_held_back(len(groups), val_fraction=fraction, setting="train.val_fraction")
        )
    return notices


def _check_annotated(data: DataSource, *, features: Path | None, cache: Path | None) -> None:
    if data.name not in ANNOTATED:
        raise ConfigError(
            f"{data.name} has no annotated events",
            where="--data",
            fix=f"Situations are those of {' or '.join(ANNOTATED)}",
        )
    check_footage(data, features=features, cache=cache)


@one_writer
def evaluate_situations(
    run: Path,
    *,
    data: DataSource,
    out: Path,
    features: Path | None = None,
    leave_out_trained: bool = False,
    cache: Path | None = None,
    device: str = "cpu",
    embedding: EmbeddingSettings = DEFAULT_EMBEDDING,
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
        features: File of features of these videos, where the run was trained on one; by default
            that one. `data` come without `videos=DIR`.
        leave_out_trained: Leave out videos that a head or its model was trained on; else they are
            scored, and told. What chose them is always left out.
        cache: Folder of embeddings and decoded frames; None keeps none.
        device: Where models and heads run.
        embedding: How the models compute features.
        seed: Seed of the intervals.
        on_progress: Told what is being decoded, embedded or written.

    Returns:
        A result, `situations`; with a contextualizer another, `situations_context`,
        whose adapted column is the head on its outputs.

    Raises:
        ConfigError: features of a run that was trained on a model; HDF5 without h5py.
        ModelError: the run is not finished, damaged, or its model is not the one it was trained on.
        DataError, StoreError, AnnotationError, MetricError: data that cannot be used.
    """
    file = file_for(read_head_info(run, task=SITUATIONS), features, run=run)
    _check_annotated(data, features=file, cache=cache)
    truth = open_truth(data)
    heads = load_heads(
        TASK,
        run,
        features=features,
        cache=cache,
        device=device,
        embedding=embedding,
        on_progress=on_progress,
    )
    frames_per_event = heads.config.frames.per_event
    if file is None:
        read_annotated(data, frames_per_event=frames_per_event)
    seen = reduce(or_, heads.seen_by().values())
    make_folder(out / "predictions")
    opened = open_for_each(
        heads.sources,
        lambda one: without_seen(
            one.open_events(
                data, frames_per_event=frames_per_event, cache=cache, on_progress=on_progress
            ),
            seen,
            leave_out_trained=leave_out_trained,
            where=str(data.path),
        ),
    )
    scored = {
        one.name: _score_head(
            heads, one, truth, opened=opened[one.name], seen=seen, out=out, report=on_progress
        )
        for one in heads.sources
    }
    results = _compare(heads, data, scored, truth=truth, seen=seen, seed=seed)
    return write_results(results, out, heads=heads)


def _compare(
    heads: SituationHeads,
    source: DataSource,
    scored: Mapping[str, HeadScores],
    *,
    truth: SituationTruth,
    seen: SeenMedia,
    seed: int,
) -> list[TaskResult]:
    """Heads on frames side by side, or that on a file; and that on the contextualizer's outputs."""
    columns = (
        (FRAMES_RESULT, heads.compared, "file" if heads.compared == FEATURES else "frames"),
        (CONTEXT_RESULT, CONTEXTUALIZER, "contextualizer against base frames"),
    )
    return [
        compare_heads(
            task,
            source,
            base=scored.get(BASE),
            adapted=scored[name],
            settings={
                "features": looks_at,
                "head": heads.hash_of(name),
                "truth": truth.hash,
            },
            notices=[
                *(f"{source.name}: {notice}" for notice in scored[name].opened.notices),
                *(f"{task}, {notice}" for notice in scored[name].scores.notices),
            ],
            seen=seen,
            seed=seed,
        )
        for task, name, looks_at in columns
        if name in scored
    ]


def _score_head(
    heads: SituationHeads,
    source: FeatureSource,
    truth: SituationTruth,
    *,
    opened: OpenedSource,
    seen: SeenMedia,
    out: Path,
    report: Progress | None,
) -> HeadScores:
    """What one head got; its predictions are written."""
    assert isinstance(opened.content, StoredVideos), "annotated events are stored videos"
    truth, videos, positions = _listed(truth, with_events_only(opened.content))
    features = source.event_features(videos, frames_per_event=heads.config.frames.per_event)
    if report is not None:
        report(f"writing roles ({source.name})", 0, len(videos.records))
    predictions = predict_situations(
        heads.heads[source.name],
        features,
        videos.records,
        vocabulary=heads.vocabulary,
        positions=positions,
        annotators=[truth.videos[idx].annotations for idx in positions],
    )
    ids = [video.id for video in truth.videos]
    write_atomically(out / "predictions" / "videos.json", json.dumps(ids, indent=2) + "\n")
    folder = out / "predictions" / source.name
    make_folder(folder)
    for name in ("verbs", "roles", "roles_of_predicted_verbs", "relations"):
        if name != "relations" or predictions.relations:
            write_situation_predictions(folder / f"{name}.json", getattr(predictions, name))
    video_ids = tuple(record.id for record in videos.records)
    known = {*video_ids, *(one.item for one in opened.left_out)}
    return HeadScores(
        source=source,
        opened=opened,
        video_ids=video_ids,
        trained_on=tuple(i for i in trained_items(opened.content, seen) if i in {*video_ids}),
        scores=_joined(truth, _score_parts(truth, predictions, heads.config.loss), known=known),
    )


def _listed(
    truth: SituationTruth, videos: StoredVideos
) -> tuple[SituationTruth, StoredVideos, tuple[int, ...]]:
    """The videos that the split lists, in its order, their positions in it, and their groups.

    Own videos without a group are grouped by their content, which annotations do not tell.
    """
    row_of = {record.id: row for row, record in enumerate(videos.records)}
    positions = tuple(idx for idx, one in enumerate(truth.videos) if one.id in row_of)
    if not positions:
        raise DataError(
            f"lists none of the {len(videos.records):,} annotated videos that are there",
            where=f"{truth.source}, split {truth.split}",
            fix="Take the split file that belongs to the annotations",
        )
    group_of = {record.id: record.group for record in videos.records}
    named = tuple(replace(one, group=group_of.get(one.id, one.group)) for one in truth.videos)
    listed = videos.subset([row_of[truth.videos[idx].id] for idx in positions])
    return replace(truth, videos=named), listed, positions


def _score_parts(
    truth: SituationTruth, predictions: SituationPredictions, loss: SituationLoss
) -> dict[str, PredictionScores]:
    """All parts that were trained and that annotators say something of."""
    parts: dict[str, PredictionScores] = {}
    if loss.verbs:
        parts["verbs"] = score_verbs(truth, Predictions(videos=predictions.verbs, is_partial=True))
    if loss.roles:
        told = {"roles": predictions.roles}
        if loss.verbs:
            told["roles (predicted verb)"] = predictions.roles_of_predicted_verbs
        for part, roles in told.items():
            parts[part] = score_roles(truth, Predictions(videos=roles, is_partial=True))
    related = [one for one in predictions.relations if truth.videos[one.video_idx].has("relations")]
    if loss.relations and related:
        relations = Predictions(videos=predictions.relations, is_partial=True)
        parts["relations"] = score_relations(truth, relations)
    return parts


def _joined(
    truth: SituationTruth, parts: Mapping[str, PredictionScores], *, known: Collection[str]
) -> PredictionScores:
    """The scores of all parts; annotated videos that are not `known` are missing."""
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
    return PredictionScores(
        protocol=SITUATIONS,
        data=data_of(truth),
        counts={key: n for scores in parts.values() for key, n in scores.counts.items()},
        left_out=(*absent.values(), *unscored.values()),
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
