"""Score a run's captioning heads, base beside adapted, and describe anyone's videos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from operator import or_
from pathlib import Path

from figclip.config import CaptioningConfig
from figclip.datasets.dense_captions import CaptionedSpan, DenseCaptionPredictions
from figclip.evaluation.results import EvaluationResult
from figclip.evaluation.sources import DataSource
from figclip.heads.captioning.finetune import TASK
from figclip.heads.captioning.head import CaptioningHead
from figclip.heads.captioning.predict import predict_captions
from figclip.heads.captioning.videos import (
    OpenedCaptions,
    check_captioned,
    embed_whole_videos,
    open_captions,
)
from figclip.heads.features import ADAPTED, BASE, FrozenModel
from figclip.heads.run import CAPTIONING_RESULT
from figclip.heads.task import HeadScores, TrainedHeads, compare_heads, load_heads, write_results
from figclip.heads.vocabulary import Vocabulary
from figclip.model.folder import SeenMedia
from figclip.preparation.clips import prepare_video_files
from figclip.runtime.files import check_writable, write_atomically
from figclip.runtime.progress import Progress
from figclip.scoring.dense_captions import (
    of_predicted_videos,
    score_dense_captions,
    write_captioning_predictions,
)
from figclip.video.sampling import FrameRate

CaptioningHeads = TrainedHeads[CaptioningConfig, Vocabulary, CaptioningHead]


def evaluate_captioning(
    run: Path,
    *,
    data: DataSource,
    out: Path,
    cache: Path,
    leave_out_trained: bool = False,
    device: str = "cpu",
    seed: int = 0,
    on_progress: Progress | None = None,
) -> EvaluationResult:
    """Find and describe the events of whole videos, and score what was said.

    Videos that are not there are left out of the scores, and named. METEOR is `meteor_exact`:
    `figclip score` gives the official one of the prediction files.

    Args:
        run: Run folder of `finetune_captioning`.
        data: Dense captions with `videos=DIR`; of a folder without a split all splits that heads
            are not trained on.
        out: Folder of the results; predictions in ActivityNet's format go to
            `out/predictions/MODEL/NAME.json`.
        cache: Folder of embeddings and decoded frames.
        leave_out_trained: Leave out videos that a head or its model was trained on; else they are
            scored, and told. What chose them is always left out.
        device: Where models and heads run.
        seed: Seed of the intervals.
        on_progress: Told what is being decoded, embedded or written.

    Raises:
        ModelError: the run is not finished, damaged, or its model is not the one it was trained on.
        ConfigError, DataError, AnnotationError, StoreError, MetricError: data that cannot be used.
    """
    check_writable(out)
    check_captioned(data, cache=cache)
    heads = load_heads(TASK, run, cache=cache, device=device, on_progress=on_progress)
    seen = reduce(or_, heads.seen_by().values())
    opened = {
        spec: open_captions(
            data,
            spec=spec,
            per_second=heads.config.frames.per_second,
            cache=cache,
            on_progress=on_progress,
        ).without_seen(seen, leave_out_trained=leave_out_trained, where=str(data.path))
        for spec in dict.fromkeys(model.spec for model in heads.models)
    }
    scored: dict[str, HeadScores] = {}
    for model in heads.models:
        there = opened[model.spec]
        events = _describe_opened(heads, model, there, on_progress=on_progress)
        folder = out / "predictions" / model.name
        folder.mkdir(parents=True, exist_ok=True)
        name = "-".join((data.name, *([data.split] if data.split else ())))
        write_captioning_predictions(
            folder / f"{name}.json", events, details=f"CLIP features, {model.info.name}"
        )
        scored[model.name] = _score(model, events, data, opened=there, seen=seen)
    result = compare_heads(
        CAPTIONING_RESULT,
        data,
        base=scored.get(BASE),
        adapted=scored[ADAPTED],
        settings={"features": "frames", "meteor": "exact", "head": heads.hash_of(ADAPTED)},
        notices=(*scored[ADAPTED].opened.notices, *scored[ADAPTED].notices),
        seen=seen,
        seed=seed,
    )
    return write_results([result], out, heads=heads)


def _describe_opened(
    heads: CaptioningHeads,
    model: FrozenModel,
    opened: OpenedCaptions,
    *,
    on_progress: Progress | None,
) -> dict[str, tuple[CaptionedSpan, ...]]:
    """What the head on a model's features says of each video."""
    features = embed_whole_videos(
        model.embedder, opened.clips, [video.clip_idx for video in opened.videos]
    )

    def report(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress(f"captioning ({model.name})", done, total)

    predicted = predict_captions(
        heads.heads[model.name],
        features,
        range(len(opened.videos)),
        heads.vocabulary,
        on_progress=report,
    )
    return {video.id: events for video, events in zip(opened.videos, predicted, strict=True)}


def _score(
    model: FrozenModel,
    events: dict[str, tuple[CaptionedSpan, ...]],
    source: DataSource,
    *,
    opened: OpenedCaptions,
    seen: SeenMedia,
) -> HeadScores:
    """By the protocol of ActivityNet Captions, of the videos that are there."""
    there = of_predicted_videos(opened.references, events)
    scores = score_dense_captions(
        DenseCaptionPredictions(name="predictions", events_by_video=events),
        [replace(each, notices=()) for each in there],
        name=source.name,
        source=source.path.name,
        split=source.split,
    )
    return HeadScores(
        model=model,
        opened=opened,
        video_ids=tuple(video.id for video in opened.videos),
        trained_on=opened.trained_on(seen),
        counts=scores.counts,
        left_out=(*opened.left_out, *scores.left_out),
        scores=scores.scores,
        items=scores.items,
        notices=scores.notices,
    )


DESCRIPTION_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What is said of one video.

    Attributes:
        video: Its file, as given.
        duration_s: Seconds; 0 when it could not be read.
        events: In the order of their starts.
        problem: Why it could not be read; None when it could.
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
    on_progress: Progress | None = None,
) -> tuple[Description, ...]:
    """Find and describe the events of videos with the head on the adapted model.

    Args:
        run: Run folder of `finetune_captioning`.
        videos: Files; repeats are described once.
        cache: Folder of embeddings and decoded frames.
        device: Where model and head run.
        on_progress: Told what is being decoded, embedded or written.

    Returns:
        One per file, in their order; a file that cannot be read has a problem instead of events.

    Raises:
        ModelError: the run is not finished, damaged, or its model is not the one it was trained on.
        StoreError: a store in the cache cannot be used.
    """
    heads = load_heads(TASK, run, cache=cache, device=device, on_progress=on_progress)
    model = next(one for one in heads.models if one.name == ADAPTED)
    paths = list(dict.fromkeys(videos))
    clips = prepare_video_files(
        paths,
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
        features = embed_whole_videos(
            model.embedder, clips, [clip_of[str(path)] for path in readable]
        )
        head = heads.heads[model.name]
        events = predict_captions(head, features, range(len(readable)), heads.vocabulary)
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
    write_atomically(file, json.dumps(content, indent=2) + "\n")
