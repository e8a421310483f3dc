"""Features that others publish, in a file or a folder, in place of a model and of videos.

VidSitu publishes an array a segment, a row an event; PDVC an array a video, a row a moment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from figclip.annotations.own_files import counted
from figclip.annotations.vidsitu import load_source
from figclip.datasets.records import LeftOut, Medium
from figclip.datasets.retrieval import youtube_video
from figclip.errors import DataError, VideoError, shown
from figclip.evaluation.results import ModelColumn
from figclip.evaluation.sources import DataSource, OpenedSource, choose_split
from figclip.heads.feature_archive import FeatureArchive
from figclip.heads.features import FEATURES, EventFeatures, FeatureSource
from figclip.records import VideoRecord
from figclip.runtime.memory import free_memory_bytes
from figclip.runtime.progress import Progress, no_progress
from figclip.training.batches import BatchItem
from figclip.video.sampling import MAX_CLIP_FRAMES, FrameRate, clip_times_s
from figclip.video.stored import StoredClips, StoredVideos

SUFFIXES = ("", "_feats", "_resnet", "_bn", "_rgb", "_flow")
"""What published files add to the name of a video: VidSitu's, and those that PDVC reads."""
MISSING = "the array of its features is missing"
_OF_LENGTH_1 = 1e-5
_READING = "reading features"


@dataclass(frozen=True, kw_only=True)
class FeatureClips(StoredClips):
    """Whole videos whose features are known, and whose frames are not.

    A clip's key is the hash of its features; its frames are their rows.
    """

    @property
    def content_hash(self) -> str:
        """Hash of all that are there: features and times."""
        digest = hashlib.blake2b(digest_size=16)
        for medium, clip_idx in self.clip_of.items():
            digest.update(repr((medium, self.key_of[clip_idx], self.times_s[clip_idx])).encode())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureFile(FeatureSource):
    """A file of features, by the names that annotations give videos, with or without `v_`.

    Rows are brought to length 1, as ours are; those that have it stay as they are, to the bit, and
    zeros stay zeros. What reads them refuses, by a `DataError` that names the key, an array of
    another shape than the task takes, or of rows of other lengths than `dim` or the first array.

    `dim`: Numbers of a row that are taken; None: as many as the first array has.
    """

    archive: FeatureArchive
    dim: int | None

    @classmethod
    def open(cls, path: Path, *, dim: int | None = None) -> FeatureFile:
        """List the arrays, and hash the file; errors are those of `FeatureArchive`."""
        archive = FeatureArchive.open(path)
        info = ModelColumn(name=path.resolve().name, hash=archive.content_hash(), alpha=1.0)
        return cls(name=FEATURES, info=info, spec=None, archive=archive, dim=dim)

    def open_events(
        self,
        data: DataSource,
        *,
        frames_per_event: int,
        cache: Path | None,
        on_progress: Progress | None,
    ) -> OpenedSource:
        """The annotated videos of a split whose features it has, in the order of their ids."""
        annotations = load_source(data.path)
        records = sorted(annotations.records, key=lambda record: record.id)
        keys = self._keys_of(record.id for record in records)
        if not keys:
            raise DataError(
                f"has features of none of the {len(records):,} annotated videos",
                where=str(self.archive.path),
                fix=f"The first one looked for is {shown(records[0].id)}, and the first one there "
                f"{shown(min(self.archive.keys))}",
            )
        there = [record.split for record in records if record.id in keys]
        split = choose_split(data, {record.split for record in records}, there)
        listed = [record for record in records if split in (None, record.split)]
        annotated = [one for one in listed if any(each.events for each in one.annotations)]
        chosen = [record for record in annotated if record.id in keys]
        hashes: list[str] = []
        for rows_PTD in self._event_rows(chosen):
            hashes.append(_hash_rows(rows_PTD))
            (on_progress or no_progress)(_READING, len(hashes), len(chosen))
        # A video without a group is its own, by its content.
        grouped = [replace(r, group=r.group or h) for r, h in zip(chosen, hashes, strict=True)]
        videos = StoredVideos(
            stores=(), records=tuple(grouped), store_of=(0,) * len(chosen), key_of=tuple(hashes)
        )
        return OpenedSource(
            content=videos,
            split=split,
            left_out=tuple(
                LeftOut(item=one.id, reason=MISSING) for one in annotated if one.id not in keys
            ),
            coverage={
                "listed": annotations.split_sizes.get(split or "", len(listed)),
                "annotated": len(annotated),
                "found": len(chosen),
                "stored": len(chosen),
                "quarantined": 0,
            },
            hash=videos.content_hash,
            pipeline=FEATURES,
            notices=(*annotations.notices, *self.unread([record.id for record in records])),
        )

    def event_features(self, videos: StoredVideos, *, frames_per_event: int) -> EventFeatures:
        """Features of all events; an event has as many rows as the file gives it."""
        rows: dict[BatchItem, Tensor] = {}
        of_videos = zip(videos.records, self._event_rows(videos.records), strict=True)
        for video_idx, (record, rows_PTD) in enumerate(of_videos):
            for annotation_idx, annotation in enumerate(record.annotations):
                if annotation.events:
                    rows[BatchItem(video_idx, annotation_idx)] = rows_PTD
        return EventFeatures(rows, next(iter(rows.values())).shape[-1])

    def open_clips(
        self,
        durations_s: Mapping[str, float],
        *,
        videos: Path | None,
        per_second: float,
        cache: Path | None,
        on_progress: Progress | None,
    ) -> StoredClips:
        """Whole videos whose features it has.

        S rows are the midpoints of S equal segments of the annotated duration. Of more than 2,048,
        so many are taken, evenly.
        """
        names = list(self._keys_of(durations_s))
        hashes: list[str] = []
        times_s: list[tuple[float, ...]] = []
        clip_of: dict[Medium, int] = {}
        absent = {youtube_video(name): MISSING for name in durations_s if name not in {*names}}
        for done, (name, rows_SD) in enumerate(
            zip(names, self._clip_rows(names), strict=True), start=1
        ):
            try:
                rate = FrameRate(len(rows_SD) / durations_s[name])
                times_s.append(clip_times_s(durations_s[name], rate))
            except VideoError as error:
                absent[youtube_video(name)] = error.what
                continue
            clip_of[youtube_video(name)] = len(hashes)
            hashes.append(_hash_rows(rows_SD))
            (on_progress or no_progress)(_READING, done, len(names))
        return FeatureClips(
            stores=(),
            store_of=(0,) * len(hashes),
            key_of=tuple(hashes),
            times_s=tuple(times_s),
            clip_of=clip_of,
            absent=absent,
        )

    def clip_features(
        self, clips: StoredClips, clip_idxs: Sequence[int]
    ) -> tuple[Float32[Tensor, "_ D"], ...]:
        """The rows that stand for the times of each."""
        name_of = {clip_idx: medium.name for medium, clip_idx in clips.clip_of.items()}
        rows = self._clip_rows([name_of[clip_idx] for clip_idx in clip_idxs])
        return tuple(
            _spread(rows_SD, len(clips.times_s[clip_idx]))
            for clip_idx, rows_SD in zip(clip_idxs, rows, strict=True)
        )

    def unread(self, names: Collection[str]) -> tuple[str, ...]:
        """How many arrays are of none of these videos."""
        rest = self.archive.keys - set(self._keys_of(names).values())
        what = f"of {len(self.archive.keys):,} in {self.info.name} not read: no video of these "
        what += f"annotations is called so, for example {shown(min(rest, default=''))}."
        return counted(len(rest), "array", what)

    def _keys_of(self, names: Iterable[str]) -> dict[str, str]:
        """The key of each video that the file has."""
        found: dict[str, str] = {}
        for name in names:
            stems = dict.fromkeys((name, name.removeprefix("v_")))
            keys = [f"{stem}{suffix}" for stem in stems for suffix in SUFFIXES]
            keys = [key for key in keys if key in self.archive.keys]
            if len(keys) > 1:
                raise DataError(
                    f"has several arrays of {shown(name)}: {', '.join(map(shown, keys))}",
                    where=str(self.archive.path),
                    fix="Keep one kind of features in a file; docs/features.md joins two",
                )
            if keys:
                found[name] = keys[0]
        return found

    def _event_rows(self, records: Sequence[VideoRecord]) -> Iterator[Float32[Tensor, "P T D"]]:
        """Rows of the events of videos, in order; events have equally many everywhere."""
        num_rows = 0
        arrays = self._arrays([record.id for record in records])
        for record, (where, array) in zip(records, arrays, strict=True):
            spans = {
                tuple((event.start_s, event.end_s) for event in one.events)
                for one in record.annotations
                if one.events
            }
            if len(spans) > 1:
                raise DataError(
                    "has annotations of different spans, and features of one",
                    where=record.id,
                    fix="Give the annotations of a video the same events, or leave it out",
                )
            if array.ndim not in (2, 3) or len(array) != len(*spans):
                raise DataError(
                    f"is of shape {array.shape}, and the video has {len(*spans)} events",
                    where=where,
                    fix="Features of events are [events, D] or [events, rows, D]",
                )
            array_PTD = array.reshape(len(array), -1, array.shape[-1])
            num_rows = num_rows or array_PTD.shape[1]
            if array_PTD.shape[1] != num_rows or num_rows * len(array) > MAX_CLIP_FRAMES:
                raise DataError(
                    f"has {array_PTD.shape[1]:,} rows an event, and {num_rows:,} are expected",
                    where=where,
                    fix=f"Give every event equally many, a video at most {MAX_CLIP_FRAMES:,}",
                )
            yield _normalised(array_PTD)

    def _clip_rows(self, names: Sequence[str]) -> Iterator[Float32[Tensor, "S D"]]:
        """Rows of whole videos, in order."""
        for where, array in self._arrays(names):
            if array.ndim != 2:
                fix = "Features of a whole video are [rows, D]"
                raise DataError(f"is of shape {array.shape}", where=where, fix=fix)
            yield _normalised(array)

    def _arrays(self, names: Sequence[str]) -> Iterator[tuple[str, Float32[np.ndarray, "*shape"]]]:
        """Arrays that are not empty, of rows of one length, and where each is."""
        keys = self._keys_of(names)
        dim, room = self.dim, free_memory_bytes(torch.device("cpu"))
        for name, array in zip(names, self.archive.read(keys[name] for name in names), strict=True):
            where = f"{self.archive.path}: {keys[name]}"
            if array.size == 0 or array.ndim < 2:
                raise DataError(f"is of shape {array.shape}: no rows", where=where)
            dim, room = dim or array.shape[-1], room - array.nbytes
            if array.shape[-1] != dim:
                what = f"has rows of {array.shape[-1]:,} numbers, and {dim:,} are expected"
                raise DataError(what, where=where, fix="Give features of one model")
            if room < 0:
                raise DataError(
                    "is more than the memory that is free takes, with those before it",
                    where=where,
                    fix="Use fewer videos, or a larger machine",
                )
            yield where, array


def _normalised(array: Float32[np.ndarray, "*shape"]) -> Tensor:
    """Rows of length 1; zeros stay."""
    lengths = np.linalg.norm(array.astype(np.float64), axis=-1, keepdims=True)
    is_kept = (np.abs(lengths - 1) < _OF_LENGTH_1) | (lengths == 0)
    return torch.from_numpy((array / np.where(is_kept, 1.0, lengths)).astype(np.float32))


def _spread(rows_SD: Float32[Tensor, "S D"], num: int) -> Float32[Tensor, "_ D"]:
    """So many rows, those at the midpoints of equal parts."""
    num_rows = len(rows_SD)
    return rows_SD[[(2 * i + 1) * num_rows // (2 * num) for i in range(num)]]


def _hash_rows(rows: Tensor) -> str:
    """Hash of features, which stands for the content of a video."""
    digest = hashlib.blake2b(repr(tuple(rows.shape)).encode(), digest_size=16)
    digest.update(rows.numpy().tobytes())
    return digest.hexdigest()
