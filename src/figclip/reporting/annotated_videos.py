"""Annotated videos whose events a report shows: annotations, and small frames where there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from figclip.data.frames import FrameStore
from figclip.data.media_files import VIDEO_SUFFIXES, MediaFolder
from figclip.data.pixels import PixelPipeline
from figclip.data.stored_videos import open_stored_videos
from figclip.data.video import decode_frames
from figclip.data.vidsitu import load_source
from figclip.data_sources import DataSource, is_store
from figclip.errors import DataError
from figclip.records import VideoRecord

FrameReader = Callable[[VideoRecord, Sequence[float]], UInt8[np.ndarray, "N S S 3"]]

_PIXELS = PixelPipeline(name="pil", size=224)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedVideos:
    """Videos with annotations.

    Attributes:
        where: What was given, for errors.
        path: The annotations or the store.
        records: By id.
        read: Reads frames of a video at exact times; None without videos.
    """

    where: str
    path: Path
    records: Mapping[str, VideoRecord]
    read: FrameReader | None


def open_annotated_videos(source: DataSource) -> AnnotatedVideos:
    """The videos of `--data`, of a frame store or as files; nothing is written.

    Args:
        source: Of annotated events. With neither `videos` nor a store there are no frames.

    Raises:
        AnnotationError, StoreError, DataError: it cannot be read.
    """
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
        found = folder.find(record.video)
        if len(found) != 1:
            raise DataError(
                f"the video {record.video!r} is not there any more, or not once",
                where=str(folder.root),
                fix="Give the folder that `figclip eval` was given",
            )
        return decode_frames(found[0], times_s, pipeline=_PIXELS).frames_NHWC

    return AnnotatedVideos(
        where=f"--data {source.name}:{source.path}",
        path=source.path,
        records={record.id: record for record in records},
        read=None if folder is None else read,
    )


def open_store(path: Path) -> AnnotatedVideos:
    """The videos of a frame store.

    Raises:
        StoreError: it cannot be used.
    """
    videos = open_stored_videos([path], size=FrameStore.open(path).spec.size)
    position = {record.id: i for i, record in enumerate(videos.records)}
    return AnnotatedVideos(
        where=str(path),
        path=path,
        records={record.id: record for record in videos.records},
        read=lambda record, times_s: videos.read(position[record.id], times_s),
    )
