"""Fine-tune and score heads for dense captioning, base beside adapted; describe any videos."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from operator import or_
from pathlib import Path

from figclip.annotations.own_files import counted
from figclip.annotations.splits import TRAIN_SPLIT, held_back_groups, why_none_held_back
from figclip.config import CaptioningConfig
from figclip.datasets.dense_captions import CaptionedSpan, DenseCaptionPredictions
from figclip.datasets.records import Medium
from figclip.errors import ConfigError, ModelError
from figclip.evaluation.results import EvaluationResult
from figclip.evaluation.sources import DataSource
from figclip.heads.captioning.head import CaptioningHead
from figclip.heads.captioning.predict import predict_captions
from figclip.heads.captioning.training import (
    CaptioningTrainee,
    build_caption_vocabulary,
    sentence_words,
    span_within,
)
from figclip.heads.captioning.videos import (
    OpenedCaptions,
    VideoFeatures,
    check_captioned,
    open_captions,
    whole_video_features,
)
from figclip.heads.features import ADAPTED, BASE, FEATURES, FeatureSource
from figclip.heads.frozen_models import FrozenModel
from figclip.heads.run import CAPTIONING, CAPTIONING_RESULT, HeadTraining, read_head_info
from figclip.heads.sources import file_for
from figclip.heads.task import (
    HeadScores,
    HeadTask,
    TrainedHeads,
    compare_heads,
    load_heads,
    open_for_each,
    write_results,
)
from figclip.heads.vocabulary import Vocabulary
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings
from figclip.preparation.clips import prepare_files
from figclip.runtime.files import make_folder, write_json
from figclip.runtime.locks import one_writer
from figclip.runtime.progress import Progress
from figclip.scoring.dense_captions import (
    of_predicted_videos,
    score_dense_captions,
    write_captioning_predictions,
)
from figclip.training.batches import BatchPlan
from figclip.video.sampling import FrameRate

CaptioningHeads = TrainedHeads[CaptioningConfig, Vocabulary, CaptioningHead]


class CaptioningTask(HeadTask[CaptioningConfig, OpenedCaptions, Vocabulary, CaptioningHead]):
    """Spans and sentences of the events of whole videos.

    The contextualizer speaks of annotated events; here they are still to be found.
    """

    name = CAPTIONING
    config = CaptioningConfig
    has_context = False
    lists = ("words",)

    def check_training(
        self,
        data: DataSource,
        config: CaptioningConfig,
        *,
        features: Path | None,
        cache: Path | None,
    ) -> None:
        """As `check_captioned`; a split cannot be chosen."""
        check_captioned(data, features=features, cache=cache)
        if data.split is not None:
            raise ConfigError(
                f"heads are trained on split {TRAIN_SPLIT!r} only, or on one file",
                where=f"--data split={data.split}",
                fix="Leave split= out",
            )

    def open_training(
        self,
        data: DataSource,
        config: CaptioningConfig,
        *,
        source: FeatureSource,
        cache: Path | None,
        on_progress: Progress | None,
    ) -> OpenedCaptions:
        """The training videos: those of the split of a folder, or all of a file."""
        return open_captions(
            replace(data, split=None if data.path.is_file() else TRAIN_SPLIT),
            source=source,
            per_second=config.frames.per_second,
            cache=cache,
            on_progress=on_progress,
        )

    def prepare(
        self,
        config: CaptioningConfig,
        source: FeatureSource,
        *,
        videos: OpenedCaptions,
        device: str,
    ) -> HeadTraining:
        """A fresh head on the features of a source, and how it is trained."""
        ids = [video.id for video in videos.videos]
        names = held_back_groups(ids, val_fraction=config.train.val_fraction)
        train = [i for i, name in enumerate(ids) if name not in names]
        val = [i for i, name in enumerate(ids) if name in names]
        vocabulary = build_caption_vocabulary(
            [videos.videos[i] for i in train], min_word_count=config.head.min_word_count
        )
        features = whole_video_features(
            source, videos.clips, [video.clip_idx for video in videos.videos]
        )
        dim = features.rows[0].shape[1]
        head = self.fresh_head(config, vocabulary, feature_dim=dim).to(device)
        ordered = [videos.videos[i] for i in (*train, *val)]
        trainee = CaptioningTrainee(
            head, features.subset((*train, *val)), ordered, vocabulary=vocabulary, config=config
        )
        held_back = range(len(train), len(ordered))
        return HeadTraining(
            name=source.name,
            trainee=trainee,
            plan=BatchPlan(
                ordered[: len(train)],
                videos_per_batch=config.train.videos_per_batch,
                seed=config.train.seed,
            ),
            validator=(lambda: trainee.validate(held_back)) if held_back else None,
            train={ids[i]: videos.file_hash(i) for i in train},
            val={ids[i]: videos.file_hash(i) for i in val},
            feature_dim=dim,
            vocabulary={"words": vocabulary.words},
            notices=lambda: _notices(config, videos, features, train, vocabulary),
        )

    def build_vocabulary(self, *lists: tuple[str, ...]) -> Vocabulary:
        """The words."""
        return Vocabulary(marks=(), words=lists[0])

    def build_head(
        self, config: CaptioningConfig, vocabulary: Vocabulary, *, feature_dim: int
    ) -> CaptioningHead:
        """A head with the weights that torch's generator gives."""
        return CaptioningHead(
            feature_dim,
            num_tokens=len(vocabulary),
            size=config.head,
            queries=config.queries,
            rerank=config.sentences.rerank,
        )


TASK = CaptioningTask()
finetune_captioning = TASK.finetune


def _notices(
    config: CaptioningConfig,
    opened: OpenedCaptions,
    features: VideoFeatures,
    train: Sequence[int],
    vocabulary: Vocabulary,
) -> list[str]:
    annotated = [
        (event, features.duration_s(i))
        for i in train
        for one in opened.videos[i].annotations
        for event in one.events
    ]
    most = max(len(one.events) for i in train for one in opened.videos[i].annotations)
    lines = sentence_words(event.sentence for event, _ in annotated)
    longest, num_queries = config.head.max_words - 1, config.queries.num
    notices = [
        *opened.notices,
        *counted(
            len(opened.left_out),
            "video",
            f"of {opened.coverage['listed']:,} cannot be trained on, for example "
            f"{opened.left_out[0].item}: {opened.left_out[0].reason}."
            if opened.left_out
            else "",
        ),
        *counted(
            sum(span_within(event, end_s) is None for event, end_s in annotated),
            "event",
            "cannot be learnt: the span is empty, reversed, or outside the video.",
        ),
        *counted(
            sum(len(line.split()) > longest for line in lines),
            "sentence",
            f"of {len(lines):,} longer than {longest} words, cut there (head.max_words).",
        ),
    ]
    rare = {word for line in lines for word in line.split()} - set(vocabulary.words)
    notices += counted(
        len(rare),
        "word",
        f"rarer than {config.head.min_word_count} times, never written (head.min_word_count).",
    )
    if most > num_queries:
        notices.append(
            f"A video has {most:,} events; of each video the first {num_queries} are learnt "
            "(queries.num)."
        )
    fraction = config.train.val_fraction
    if fraction and len(train) == len(opened.videos):
        notices.append(
            why_none_held_back(len(train), val_fraction=fraction, setting="train.val_fraction")
        )
    return notices


@one_writer
def evaluate_captioning(
    run: Path,
    *,
    data: DataSource,
    out: Path,
    cache: Path | None = None,
    features: Path | None = None,
    leave_out_trained: bool = False,
    device: str = "cpu",
    embedding: EmbeddingSettings = DEFAULT_EMBEDDING,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> EvaluationResult:
    """Find and describe the events of whole videos, and score what was said.

    As `figclip.evaluate_situations`, with a run of `finetune_captioning`. `data` are dense captions
    with `videos=DIR`; of a folder without a split, all splits that heads are not trained on. Videos
    that are not there are left out of the scores, and named. METEOR is `meteor_exact`: `figclip
    score` gives the official one of the prediction files, `out/predictions/MODEL/NAME.json` in
    ActivityNet's format. Frames are decoded into `cache`, which only features do without.
    """
    file = file_for(read_head_info(run, task=CAPTIONING), features, run=run)
    check_captioned(data, features=file, cache=cache)
    heads = load_heads(
        TASK,
        run,
        features=features,
        cache=cache,
        device=device,
        embedding=embedding,
        on_progress=on_progress,
    )
    seen = reduce(or_, heads.seen_by().values())
    opened = open_for_each(
        heads.sources,
        lambda one: open_captions(
            data,
            source=one,
            per_second=heads.config.frames.per_second,
            cache=cache,
            on_progress=on_progress,
        ).without_seen(seen, leave_out_trained=leave_out_trained, where=str(data.path)),
    )
    scored: dict[str, HeadScores] = {}
    for source in heads.sources:
        there = opened[source.name]
        events = _describe_opened(heads, source, there, on_progress=on_progress)
        _write_predictions(events, out, data=data, source=source)
        references = of_predicted_videos(there.references, events)
        scored[source.name] = HeadScores(
            source=source,
            opened=there,
            video_ids=tuple(video.id for video in there.videos),
            trained_on=there.trained_on(seen),
            scores=score_dense_captions(
                DenseCaptionPredictions(name="predictions", events_by_video=events),
                [replace(each, notices=()) for each in references],
                name=data.name,
                source=data.path.name,
                split=data.split,
            ),
        )
    result = compare_heads(
        CAPTIONING_RESULT,
        data,
        base=scored.get(BASE),
        adapted=scored[heads.compared],
        settings={
            "features": "frames" if file is None else "file",
            "meteor": "exact",
            "head": heads.hash_of(heads.compared),
        },
        notices=(*scored[heads.compared].opened.notices, *scored[heads.compared].scores.notices),
        seen=seen,
        seed=seed,
    )
    return write_results([result], out, heads=heads)


def _write_predictions(
    events: Mapping[str, Sequence[CaptionedSpan]],
    out: Path,
    *,
    data: DataSource,
    source: FeatureSource,
) -> None:
    """What a head said of videos, in ActivityNet's format."""
    folder = out / "predictions" / source.name
    make_folder(folder)
    name = "-".join((data.name, *([data.split] if data.split else ())))
    write_captioning_predictions(
        folder / f"{name}.json", events, details=f"features of {source.info.name}"
    )


def _describe_opened(
    heads: CaptioningHeads,
    source: FeatureSource,
    opened: OpenedCaptions,
    *,
    on_progress: Progress | None,
) -> dict[str, tuple[CaptionedSpan, ...]]:
    features = whole_video_features(
        source, opened.clips, [video.clip_idx for video in opened.videos]
    )

    def report(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress(f"captioning ({source.name})", done, total)

    predicted = predict_captions(
        heads.heads[source.name],
        features,
        range(len(opened.videos)),
        vocabulary=heads.vocabulary,
        on_progress=report,
    )
    return {video.id: events for video, events in zip(opened.videos, predicted, strict=True)}


DESCRIPTION_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What is said of one video: its file as given, and the events in the order of their starts.

    Where it could not be read, `problem` says why, and the duration is 0.
    """

    video: Path
    duration_s: float
    events: tuple[CaptionedSpan, ...]
    problem: str | None = None


def describe(
    run: Path,
    videos: Sequence[Path],
    *,
    cache: Path,
    device: str = "cpu",
    embedding: EmbeddingSettings = DEFAULT_EMBEDDING,
    on_progress: Progress | None = None,
) -> tuple[Description, ...]:
    """Find and describe the events of videos with the head on the adapted model.

    Args:
        run: Run folder of `finetune_captioning`.
        videos: Files; repeats are described once.
        cache: Folder of embeddings and decoded frames.
        device: Where model and head run.
        embedding: How the model computes features.
        on_progress: Told what is being decoded, embedded or written.

    Returns:
        One per file, in their order; a file that cannot be read has a problem instead of events.

    Raises:
        ModelError: the run is not finished, damaged, or its model is not the one it was trained on;
            or it was trained on a file of features.
        StoreError: a store in the cache cannot be used.
    """
    info = read_head_info(run, task=CAPTIONING)
    if FEATURES in info.models:
        raise ModelError(
            f"was trained on the features of {info.model}, and videos have none of these",
            where=str(run),
            fix="Fine-tune heads on a model to describe videos: --model",
        )
    heads = load_heads(
        TASK, run, cache=cache, device=device, embedding=embedding, on_progress=on_progress
    )
    model = next(one for one in heads.sources if one.name == ADAPTED)
    assert isinstance(model, FrozenModel), "not the file of features"
    paths = list(dict.fromkeys(videos))
    clips = prepare_files(
        {Medium(kind="video", name=str(path)): path for path in paths},
        stores=cache / "stores",
        pipeline=model.spec.pipeline,
        size=model.spec.size,
        sampling=FrameRate(heads.config.frames.per_second),
        on_progress=on_progress,
    )
    clip_of = {medium.name: clip_idx for medium, clip_idx in clips.clip_of.items()}
    problem_of = {medium.name: reason for medium, reason in clips.absent.items()}
    readable = [path for path in paths if str(path) in clip_of]
    described: dict[Path, Description] = {}
    if readable:
        features = whole_video_features(model, clips, [clip_of[str(path)] for path in readable])
        head = heads.heads[model.name]
        events = predict_captions(head, features, range(len(readable)), vocabulary=heads.vocabulary)
        described = {
            path: Description(
                video=path, duration_s=features.duration_s(video_idx), events=events[video_idx]
            )
            for video_idx, path in enumerate(readable)
        }
    return tuple(
        described.get(path)
        or Description(video=path, duration_s=0.0, events=(), problem=problem_of[str(path)])
        for path in paths
    )


def write_descriptions(file: Path, descriptions: Sequence[Description]) -> None:
    """Write what was said as JSON: `{"format": 1, "videos": [{"video": …, "events": […]}]}`."""
    videos = [
        {**asdict(one), "video": str(one.video), "events": [asdict(e) for e in one.events]}
        for one in descriptions
    ]
    content = {"format": DESCRIPTION_FORMAT, "videos": videos}
    write_json(file, content)
