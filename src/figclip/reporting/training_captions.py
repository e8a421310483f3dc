"""Show one video of the training data as the losses see it: frames, captions, hard negatives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from figclip.annotations.captions import TEMPLATES
from figclip.annotations.texts import MASKED, TextTable, build_text_table
from figclip.annotations.vidsitu import load_source
from figclip.config import RunConfig
from figclip.errors import DataError
from figclip.evaluation.sources import DataSource
from figclip.records import Event, VideoRecord
from figclip.reporting.examples import only_file
from figclip.reporting.previews import PIXELS, jpeg_address
from figclip.reporting.result_files import damage_named
from figclip.video.decoding import decode_frames
from figclip.video.media_folder import VIDEO_SUFFIXES, MediaFolder
from figclip.video.sampling import event_times_s
from figclip.video.store import FrameStore, is_store
from figclip.video.stored import StoredVideos, open_stored_videos

MAX_EVENTS = 6
MAX_FRAMES = 4
MAX_NEGATIVES = 4
_SIDE_PX = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionedEvent:
    """One event; frames are `data:` addresses, and negatives texts that are false of it."""

    start_s: float
    end_s: float
    frames: tuple[str, ...]
    caption: str
    negatives: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionedVideo:
    """A video of the training data; its first `MAX_EVENTS` events of `num_events`.

    `has_negatives`: whether the recipe writes hard negatives by rule at all.
    """

    id: str
    num_events: int
    has_negatives: bool
    events: tuple[CaptionedEvent, ...]


def caption_training_video(
    store: Path, config: RunConfig, data: Mapping[str, Any], *, data_file: Path
) -> CaptionedVideo:
    """The first training video of a store, with the very texts of the run."""
    with damage_named(data_file):
        trained_on = set(map(str, data["train"]))
    videos = open_stored_videos([store], size=FrameStore.open(store).spec.size)
    train = [i for i, head in enumerate(videos.heads) if head.id in trained_on]
    if not train:
        raise DataError(
            "holds no training video of the run",
            where=str(store),
            fix=f"{data_file} names the stores it was trained on",
        )
    videos = videos.subset(train).in_memory()
    texts = build_text_table(
        videos.records,
        template=TEMPLATES[config.text.template],
        policy=config.text.negative_policy,
        verb_negatives=config.text.verb_negatives,
        filler_negatives_per_event=config.text.filler_negatives,
        seed=config.train.seed,
    )
    events = videos.records[0].annotations[0].events
    return CaptionedVideo(
        id=videos.records[0].id,
        num_events=len(events),
        has_negatives=bool(config.text.verb_negatives or config.text.filler_negatives),
        events=tuple(
            _captioned(videos, texts, event_idx, event, config.data.frames_per_event)
            for event_idx, event in enumerate(events[:MAX_EVENTS])
        ),
    )


def _captioned(
    videos: StoredVideos, texts: TextTable, event_idx: int, event: Event, frames_per_event: int
) -> CaptionedEvent:
    """An event of the first video."""
    rows = texts.event_texts(0, 0)
    negatives = [texts.texts[row] for row in rows.negative_PK[event_idx] if row != MASKED]
    times_s = event_times_s(event, frames_per_event)[:MAX_FRAMES]
    return CaptionedEvent(
        start_s=event.start_s,
        end_s=event.end_s,
        frames=tuple(jpeg_address(one, max_px=_SIDE_PX) for one in videos.read(0, times_s)),
        caption=texts.texts[rows.caption_P[event_idx]],
        negatives=tuple(dict.fromkeys(negatives))[:MAX_NEGATIVES],
    )


FrameReader = Callable[[VideoRecord, Sequence[float]], UInt8[np.ndarray, "N S S 3"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedVideos:
    """Videos with annotations; `read` gives frames at exact times, where there are videos."""

    where: str
    path: Path
    records: Mapping[str, VideoRecord]
    read: FrameReader | None


def open_annotated_videos(source: DataSource) -> AnnotatedVideos:
    """The videos of `--data`, of a frame store or as files, without frames if neither is given."""
    if is_store(source.path):
        return open_store(source.path)
    if source.store is not None and source.store.exists():
        return replace(open_store(source.store), path=source.path)
    records = load_source(source.path).records
    folder = None
    if source.videos is not None:
        folder = MediaFolder(source.videos, suffixes=VIDEO_SUFFIXES)

    def read(record: VideoRecord, times_s: Sequence[float]) -> UInt8[np.ndarray, "N S S 3"]:
        assert folder is not None
        path = only_file(folder.find(record.video), f"video {record.video!r}", folder)
        return decode_frames(path, times_s, pipeline=PIXELS).frames_NHWC

    return AnnotatedVideos(
        where=f"--data {source.name}:{source.path}",
        path=source.path,
        records={record.id: record for record in records},
        read=None if folder is None else read,
    )


def open_store(path: Path) -> AnnotatedVideos:
    """The videos of a frame store; a `StoreError` if it cannot be used."""
    videos = open_stored_videos([path], size=FrameStore.open(path).spec.size).in_memory()
    position = {record.id: i for i, record in enumerate(videos.records)}
    return AnnotatedVideos(
        where=str(path),
        path=path,
        records={record.id: record for record in videos.records},
        read=lambda record, times_s: videos.read(position[record.id], times_s),
    )
