"""Whole videos with dense captions: which are there, and frozen features of their frames."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from figclip.datasets.dense_captions import (
    REFERENCE_READERS,
    DenseCaptionReferences,
    ReferenceVideo,
)
from figclip.datasets.records import LeftOut
from figclip.datasets.retrieval import youtube_video
from figclip.errors import ConfigError, DataError
from figclip.evaluation.seen_items import left_out_reason, part_hash, split_items
from figclip.evaluation.sources import DataSource, OpenedData
from figclip.heads.captioning.head import FrameRows
from figclip.heads.features import FEATURES, FeatureSource
from figclip.heads.sources import check_footage
from figclip.model.folder import SeenMedia, medium_hash
from figclip.runtime.progress import Progress
from figclip.video.stored import StoredClips


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionedVideo:
    """A video that is there, with what annotators say of it."""

    id: str
    annotations: tuple[ReferenceVideo, ...]
    clip_idx: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedCaptions(OpenedData):
    """Dense captions with those of their videos that are there."""

    references: tuple[DenseCaptionReferences, ...]
    videos: tuple[CaptionedVideo, ...]
    clips: StoredClips

    @property
    def content_hash(self) -> str:
        """Hash of annotations and pixels, or features."""
        return self.hash

    def file_hash(self, video_idx: int) -> str:
        """Content hash of a video's file, or of its features."""
        return self.clips.key_of[self.videos[video_idx].clip_idx]

    def without_seen(
        self, seen: SeenMedia, *, leave_out_trained: bool, where: str
    ) -> OpenedCaptions:
        """As `evaluation.seen_items.without_seen`."""
        reasons = [
            left_out_reason(
                [medium_hash(self.file_hash(i))], seen, leave_out_trained=leave_out_trained
            )
            for i in range(len(self.videos))
        ]
        if not any(reasons):
            return self
        split = split_items([video.id for video in self.videos], reasons, where=where)
        name = f"without {[one.item for one in split.left_out]}"
        return replace(
            self,
            videos=tuple(self.videos[i] for i in split.kept),
            left_out=(*self.left_out, *split.left_out),
            hash=part_hash(self.hash, name),
            notices=(*self.notices, *split.notices),
        )

    def trained_on(self, seen: SeenMedia) -> tuple[str, ...]:
        """Ids of the videos that a model was trained on."""
        return tuple(
            video.id
            for i, video in enumerate(self.videos)
            if medium_hash(self.file_hash(i)) in seen.trained_on
        )


@dataclass(frozen=True, slots=True)
class VideoFeatures:
    """L2-normalised features of whole videos, [S, D], of each as many frames as it has.

    `times_s` are the times of the frames, at the midpoints of equal segments of the video.
    """

    rows: tuple[Float32[Tensor, "_ D"], ...]
    times_s: tuple[tuple[float, ...], ...]

    def duration_s(self, video_idx: int) -> float:
        """Length of a video: its last frame is as far from the end as the first from the start."""
        times_s = self.times_s[video_idx]
        return times_s[0] + times_s[-1]

    def subset(self, video_idxs: Sequence[int]) -> VideoFeatures:
        """Only these videos, renumbered in the order given."""
        return VideoFeatures(
            tuple(self.rows[i] for i in video_idxs), tuple(self.times_s[i] for i in video_idxs)
        )

    def padded(self, video_idxs: Sequence[int], device: torch.device) -> FrameRows:
        """Some videos as one batch."""
        durations_s = [self.duration_s(i) for i in video_idxs]
        places = [
            torch.tensor(self.times_s[i], dtype=torch.float64) / duration_s
            for i, duration_s in zip(video_idxs, durations_s, strict=True)
        ]
        present = [torch.ones(len(self.times_s[i]), dtype=torch.bool) for i in video_idxs]
        return FrameRows(
            pad_sequence([self.rows[i] for i in video_idxs], batch_first=True).to(device),
            pad_sequence(places, batch_first=True).float().to(device),
            torch.tensor(durations_s, dtype=torch.float32, device=device),
            pad_sequence(present, batch_first=True).to(device),
        )


def check_captioned(data: DataSource, *, features: Path | None, cache: Path | None) -> None:
    """Refuse data without dense captions, before any work."""
    if data.name not in REFERENCE_READERS:
        raise ConfigError(
            f"{data.name} has no dense captions",
            where="--data",
            fix=f"Dense captions are those of {' or '.join(REFERENCE_READERS)}; files of your own "
            "go by their name, too: activitynet:mine.json,videos=clips",
        )
    check_footage(data, features=features, cache=cache)


def open_captions(
    data: DataSource,
    *,
    source: FeatureSource,
    per_second: float,
    cache: Path | None,
    on_progress: Progress | None,
) -> OpenedCaptions:
    """Dense captions, with the videos that a source can give features of."""
    references = REFERENCE_READERS[data.name](data.path, data.split)
    annotated: dict[str, list[ReferenceVideo]] = {}
    for each in references:
        for video in each.videos:
            annotated.setdefault(video.id, []).append(video)
    media = {name: youtube_video(name) for name in annotated}
    clips = source.open_clips(
        {name: annotations[0].duration_s for name, annotations in annotated.items()},
        videos=data.videos,
        per_second=per_second,
        cache=cache,
        on_progress=on_progress,
    )
    if not clips.clip_of:
        first, reason = next(iter(clips.absent.items()))
        raise DataError(
            f"none of the {len(media):,} videos can be used",
            where=str(data.videos or source.info.name),
            fix=f"The first one looked for is {first.name!r}: {reason}",
        )
    videos = tuple(
        CaptionedVideo(id=name, annotations=tuple(annotated[name]), clip_idx=clips.clip_of[medium])
        for name, medium in media.items()
        if medium in clips.clip_of
    )
    content = hashlib.blake2b(repr(references).encode(), digest_size=16)
    content.update(clips.content_hash.encode())
    return OpenedCaptions(
        references=references,
        videos=videos,
        clips=clips,
        split=data.split,
        left_out=tuple(
            LeftOut(item=name, reason=clips.absent[medium])
            for name, medium in media.items()
            if medium in clips.absent
        ),
        coverage=clips.coverage,
        hash=content.hexdigest(),
        pipeline=FEATURES if source.spec is None else source.spec.pipeline,
        notices=(
            *(f"{each.name}: {one}" for each in references for one in each.notices),
            *source.unread(media),
        ),
    )


def whole_video_features(
    source: FeatureSource, clips: StoredClips, clip_idxs: Sequence[int]
) -> VideoFeatures:
    """Features of all frames of some videos."""
    times_s = tuple(clips.times_s[clip_idx] for clip_idx in clip_idxs)
    return VideoFeatures(source.clip_features(clips, clip_idxs), times_s)
