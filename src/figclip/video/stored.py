"""Read the videos of one or several frame stores as one numbered list, and clips likewise.

A clip is an image or a whole video: some frames in a store.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from jaxtyping import UInt8

from figclip.annotations.archive import record_to_json
from figclip.annotations.vidsitu import load_source
from figclip.datasets.records import Medium, MediumKind
from figclip.errors import StoreError
from figclip.records import VideoRecord
from figclip.runtime.garbage import uncollected
from figclip.video.decoding import to_time_us
from figclip.video.sampling import frame_times_s
from figclip.video.store import FrameStore, RecordRow, StoreSpec


@dataclass(frozen=True, kw_only=True)
class StoredFrames:
    """Videos or clips whose frames lie in stores.

    Attributes:
        store_of: Index in `stores` of each video or clip.
        key_of: Its key in that store: hash of its content, and of the part looked at.
    """

    stores: tuple[FrameStore, ...]
    store_of: tuple[int, ...]
    key_of: tuple[str, ...]

    def read(self, idx: int, times_s: Sequence[float]) -> UInt8[np.ndarray, "N S S 3"]:
        """Frames of a video or clip at exact times, in the order asked for.

        Raises:
            StoreError: a frame is missing or damaged.
        """
        store = self.stores[self.store_of[idx]]
        return store.read_frames(self.key_of[idx], [to_time_us(t) for t in times_s])

    def content_key(self, idx: int, time_s: float) -> bytes:
        """What determines a frame's pixels: video or clip, time, size, pipeline and codec."""
        return self.stores[self.store_of[idx]].content_key(self.key_of[idx], time_s)


@dataclass(frozen=True, slots=True)
class RecordHead:
    """What tells a record from others, without its annotations."""

    id: str
    split: str
    group: str


_ROWS_AT_ONCE = 256
_NO_GROUP = ',"group":"",'
"""In the JSON of a record that has none. Within a text, quotation marks follow a backslash."""


@dataclass(frozen=True, kw_only=True)
class StoredRecords(Sequence[VideoRecord]):
    """Records that are read from their stores whenever they are asked for.

    A head of each is in memory, some hundred bytes. Pickled, it is these: another process reads
    annotations for itself.

    Attributes:
        store_of: Index in `stores` of each record.
        heads: One without a group has its video's hash as group.
    """

    stores: tuple[FrameStore, ...]
    store_of: tuple[int, ...]
    heads: tuple[RecordHead, ...]

    def __len__(self) -> int:
        return len(self.heads)

    @overload
    def __getitem__(self, index: int) -> VideoRecord: ...
    @overload
    def __getitem__(self, index: slice) -> StoredRecords: ...
    def __getitem__(self, index: int | slice) -> VideoRecord | StoredRecords:
        if isinstance(index, slice):
            return self.subset(range(len(self))[index])
        head = self.heads[index]
        (row,) = self.stores[self.store_of[index]].find_records([head.id])
        return _parse(row, head)

    def __iter__(self) -> Iterator[VideoRecord]:
        return map(_parse, self._rows(), self.heads)

    def subset(self, idxs: Sequence[int]) -> StoredRecords:
        """Only these, in the order given."""
        return StoredRecords(
            stores=self.stores,
            store_of=tuple(self.store_of[i] for i in idxs),
            heads=tuple(self.heads[i] for i in idxs),
        )

    def texts(self) -> Iterator[str]:
        """`record_to_json` of each, which is what the stores hold."""
        for row, head in zip(self._rows(), self.heads, strict=True):
            group = f',"group":{json.dumps(head.group)},'
            yield row.text if row.group else row.text.replace(_NO_GROUP, group, 1)

    def _rows(self) -> Iterator[RecordRow]:
        """All rows in order."""
        for first in range(0, len(self), _ROWS_AT_ONCE):
            places = range(first, min(first + _ROWS_AT_ONCE, len(self)))
            found: dict[int, Iterator[RecordRow]] = {}
            for store_idx in {self.store_of[i] for i in places}:
                ids = [self.heads[i].id for i in places if self.store_of[i] == store_idx]
                found[store_idx] = iter(self.stores[store_idx].find_records(ids))
            yield from (next(found[self.store_of[i]]) for i in places)


def _parse(row: RecordRow, head: RecordHead) -> VideoRecord:
    """A record with its group."""
    record = row.parse()
    return record if record.group else dataclasses.replace(record, group=head.group)


@dataclass(frozen=True, kw_only=True)
class StoredVideos(StoredFrames):
    """Annotated videos; implements `batches.FrameReader`.

    `records`: In memory, or read when they are asked for. One without a group has its video's hash
    as group.
    """

    records: Sequence[VideoRecord]

    @property
    def heads(self) -> Sequence[RecordHead | VideoRecord]:
        """Id, split and group of each record; its annotations are not read."""
        return self.records.heads if isinstance(self.records, StoredRecords) else self.records

    def in_memory(self) -> StoredVideos:
        """The same with all records in memory, for going through them more than once.

        Raises:
            StoreError: a record is damaged.
        """
        with uncollected():
            return dataclasses.replace(self, records=tuple(self.records))

    def read_events(
        self, video_idx: int, annotation_idx: int, *, frames_per_event: int
    ) -> UInt8[np.ndarray, "N S S 3"]:
        """As `read`, T frames of each event of an annotation, event by event."""
        annotation = self.records[video_idx].annotations[annotation_idx]
        return self.read(video_idx, frame_times_s(annotation, frames_per_event=frames_per_event))

    def require_frames(self, frames_per_event: int) -> None:
        """Raise a `StoreError` if a store lacks frames of any annotated event, before long work."""
        for video_idx, record in enumerate(self.records):
            store = self.stores[self.store_of[video_idx]]
            stored = set(store.frame_times_us(self.key_of[video_idx]))
            for annotation in record.annotations:
                times_s = frame_times_s(annotation, frames_per_event=frames_per_event)
                if not stored.issuperset(map(to_time_us, times_s)):
                    raise StoreError(
                        f"video {record.id!r} lacks frames for {frames_per_event} an event",
                        where=str(store.path),
                        fix=f"Run: {store.spec.prepare_command} --frames {frames_per_event}",
                    )

    @property
    def hash_by_id(self) -> dict[str, str]:
        """Content hash of each record's video, by the record's id."""
        return {head.id: key for head, key in zip(self.heads, self.key_of, strict=True)}

    def record_texts(self) -> Iterator[str]:
        """`record_to_json` of each record, with what is its group here."""
        if isinstance(self.records, StoredRecords):
            return self.records.texts()
        return map(record_to_json, self.records)

    @property
    def content_hash(self) -> str:
        """Hash of all that decides a result: annotations, videos, pixels."""
        digest = hashlib.blake2b(digest_size=16)
        for store in self.stores:
            digest.update(repr(store.spec).encode())
        for text, video_hash in zip(self.record_texts(), self.key_of, strict=True):
            digest.update(f"{video_hash}{text}\n".encode())
        return digest.hexdigest()

    def whole_split(self) -> StoredVideos:
        """All annotated videos of the same splits by id, those that are not there included.

        What is asked about a video, and what is known of its words, must not depend on which others
        somebody has. A store that was prepared before stores kept the annotation files knows only
        its own videos.

        Returns:
            Videos whose frames cannot be read; those without a group are groups of their own.

        Raises:
            StoreError: the annotation files are damaged.
        """
        splits = {head.split for head in self.heads}
        listed: dict[str, VideoRecord] = {}
        for store in self.stores:
            files = store.source()
            found = [one.record for one in store.records()]
            for record in found if files is None else load_source(files).records:
                if record.split in splits:
                    group = record.group or record.video
                    listed[record.id] = dataclasses.replace(record, group=group)
        for record in self.records:
            # Its annotations may be older than the files, if `prepare` was interrupted.
            if record.id not in listed or listed[record.id].annotations != record.annotations:
                listed[record.id] = record
        records = tuple(listed[name] for name in sorted(listed))
        return StoredVideos(
            stores=(), records=records, store_of=(0,) * len(records), key_of=("",) * len(records)
        )

    def subset(self, video_idxs: Sequence[int]) -> StoredVideos:
        """Only these videos, renumbered in the order given."""
        records = self.records
        return StoredVideos(
            stores=self.stores,
            records=records.subset(video_idxs)
            if isinstance(records, StoredRecords)
            else tuple(records[i] for i in video_idxs),
            store_of=tuple(self.store_of[i] for i in video_idxs),
            key_of=tuple(self.key_of[i] for i in video_idxs),
        )


def open_stored_videos(
    paths: Sequence[Path], *, size: int, pipeline: str | None = None
) -> StoredVideos:
    """Open stores whose frames fit a model; records are read when they are asked for.

    Args:
        paths: Frame stores.
        size: Edge of the frames that the model takes, in pixels.
        pipeline: The model's own pixel pipeline, for which the stores' must stand; None: any.

    Raises:
        StoreError: not a store, frames of another size or of no such pipeline, stores of different
            pipelines, one id in two stores, or no video with events at all.
    """
    stores = [FrameStore.open(path) for path in paths]
    taken = stores[0].spec.pipeline
    if pipeline is not None:
        taken = StoreSpec(pipeline=pipeline, size=size).like(stores[0].spec).pipeline
    for store in stores:
        wanted = dataclasses.replace(store.spec, size=size, pipeline=taken)
        FrameStore.open(store.path, require=wanted)
    heads: list[RecordHead] = []
    store_of: list[int] = []
    key_of: list[str] = []
    first_seen: dict[str, Path] = {}
    for store_idx, store in enumerate(stores):
        for row in store.record_rows():
            if row.id in first_seen:
                raise StoreError(
                    f"video {row.id!r} is also in {first_seen[row.id]}",
                    where=str(store.path),
                    fix="Give each video in one store only.",
                )
            first_seen[row.id] = store.path
            heads.append(RecordHead(row.id, row.split, row.group or row.video_hash))
            store_of.append(store_idx)
            key_of.append(row.video_hash)
    if not heads:
        raise StoreError(
            "no video is ready",
            where=", ".join(map(str, paths)),
            fix="Look at the coverage that `figclip prepare` prints.",
        )
    records = StoredRecords(stores=tuple(stores), store_of=tuple(store_of), heads=tuple(heads))
    return StoredVideos(
        stores=records.stores, store_of=records.store_of, key_of=tuple(key_of), records=records
    )


@dataclass(frozen=True, kw_only=True)
class StoredClips(StoredFrames):
    """The media of a benchmark; an image is a clip of one frame.

    Attributes:
        times_s: Times of each clip's frames, at least one.
        clip_of: Index of the clip of each medium that is there. Equal files share a clip.
        absent: Why the others are not there, the same words for the same reason.
    """

    times_s: tuple[tuple[float, ...], ...]
    clip_of: Mapping[Medium, int]
    absent: Mapping[Medium, str]

    def subset(self, media: Sequence[Medium]) -> StoredClips:
        """Only these media, in the order given; clips are renumbered in it, repeats are allowed."""
        asked = dict.fromkeys(media)
        there = {one: self.clip_of[one] for one in asked if one in self.clip_of}
        number_of = {old: new for new, old in enumerate(dict.fromkeys(there.values()))}
        return StoredClips(
            stores=self.stores,
            store_of=tuple(self.store_of[old] for old in number_of),
            key_of=tuple(self.key_of[old] for old in number_of),
            times_s=tuple(self.times_s[old] for old in number_of),
            clip_of={medium: number_of[old] for medium, old in there.items()},
            absent={one: self.absent[one] for one in asked if one not in there},
        )

    @property
    def kind_of(self) -> dict[int, MediumKind]:
        """Kind of each clip; an image and a video are never the same clip."""
        return {clip_idx: medium.kind for medium, clip_idx in self.clip_of.items()}

    @property
    def coverage(self) -> dict[str, int]:
        """How many media there are, in the words of `prepare`'s coverage."""
        stored, absent = len(self.clip_of), len(self.absent)
        missing = sum(reason.endswith("is missing") for reason in self.absent.values())
        return {
            "listed": stored + absent,
            "found": stored + absent - missing,
            "stored": stored,
            "quarantined": absent - missing,
        }

    @property
    def content_hash(self) -> str:
        """Hash of all media that are there: files, parts, times and pixels."""
        digest = hashlib.blake2b(digest_size=16)
        for medium, clip_idx in self.clip_of.items():
            keys = [self.content_key(clip_idx, time_s) for time_s in self.times_s[clip_idx]]
            digest.update(repr((medium, keys)).encode())
        return digest.hexdigest()
