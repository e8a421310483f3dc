"""`figclip describe`: what a head for dense captioning says of one's own videos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from figclip.atomic import write_atomically
from figclip.captioned_videos import embed_whole_videos
from figclip.captioning_evaluation import CaptioningHeads
from figclip.captioning_prediction import predict_captions
from figclip.clip_preparation import prepare_video_files
from figclip.columns import Progress
from figclip.data.dense_caption_files import CaptionedSpan
from figclip.frozen_models import ADAPTED
from figclip.presets import FrameRate

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
        One a file, in the order given; a file that cannot be read has a problem instead of events.

    Raises:
        ModelError: the run is not finished, damaged, or its model is not the one it was trained on.
        StoreError: a store in the cache cannot be used.
    """
    heads = CaptioningHeads.load(run, cache=cache, device=device, on_progress=on_progress)
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
