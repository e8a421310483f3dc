"""Small annotated sets with frames, and embedders that are perfect, worst or blind."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from figclip.annotations.archive import pack_source
from figclip.annotations.captions import TEMPLATES, caption_event
from figclip.records import Event, Role, VideoRecord
from figclip.video.decoding import to_time_us
from figclip.video.sampling import frame_times_s
from figclip.video.store import FrameStoreWriter, StoreSpec
from figclip.video.stored import StoredVideos
from tests.small_runs import IMAGE_SIZE

TEMPLATE = TEMPLATES["default"]
DIM = 256
_OF_ANOTHER_SPLIT = {
    "video": "elsewhere.mp4",
    "split": "elsewhere",
    "events": [{"start_s": 0, "end_s": 1, "verb": "wait"}],
}
"""What the annotation file of a store holds; the records of tests say more than a file can."""


def dense_caption(event: Event) -> str:
    """In the template of the tests."""
    return caption_event(event, template=TEMPLATE)


def make_event(verb: str, who: str, whom: str, *, start_s: float = 0.0) -> Event:
    """A two-second event of two roles; an empty `whom` leaves one."""
    roles = [Role(name="agent", text=who, slot="Arg0")]
    if whom:
        roles.append(Role(name="patient", text=whom, slot="Arg1"))
    return Event(start_s=start_s, end_s=start_s + 2, verb=verb, roles=tuple(roles))


def without_frames(records: Sequence[VideoRecord]) -> StoredVideos:
    """Videos whose frames nobody reads."""
    return StoredVideos(
        stores=(),
        records=tuple(records),
        store_of=(0,) * len(records),
        key_of=tuple(record.id for record in records),
    )


def write_store(
    path: Path,
    records: Sequence[VideoRecord],
    *,
    frames_per_event: int = 2,
    pipeline: str = "pil",
    id_of: Callable[[VideoRecord], str] = lambda record: record.id,
) -> Path:
    """A frame store with random pixels for all events of all records, of videos by their ids."""
    with FrameStoreWriter(
        path, spec=StoreSpec(pipeline=pipeline, size=IMAGE_SIZE, codec="raw")
    ) as writer:
        for record in records:
            video_hash = hashlib.sha256(id_of(record).encode()).hexdigest()
            times_us = sorted(
                {
                    to_time_us(time_s)
                    for annotation in record.annotations
                    for time_s in frame_times_s(annotation, frames_per_event=frames_per_event)
                }
            )
            seed = int(video_hash[:8], 16)
            shape = (len(times_us), IMAGE_SIZE, IMAGE_SIZE, 3)
            frames = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
            writer.add_video(video_hash, record.video, frames, times_us=times_us, duration_s=60.0)
            writer.add_record(record, video_hash=video_hash)
        source = path.with_name(f"{path.name}.jsonl")
        source.write_text(json.dumps(_OF_ANOTHER_SPLIT) + "\n")
        writer.set_source(pack_source(source))
        source.unlink()
    return path


def with_split(records: Sequence[VideoRecord], split: str) -> list[VideoRecord]:
    """The records in another split."""
    return [dataclasses.replace(record, split=split) for record in records]


class KnowingEmbedder:
    """Knows which caption belongs to which frame: every text has its own random direction.

    Args:
        truth: +1 embeds a frame as its event's caption, -1 as the opposite.
        reads: What it takes in of a caption.
        wording: How it would put an event.
    """

    def __init__(
        self,
        *,
        truth: float = 1.0,
        reads: Callable[[str], str] = lambda text: text,
        wording: Callable[[Event], str] = dense_caption,
    ) -> None:
        self._truth = truth
        self._reads = reads
        self._wording = wording
        self.num_texts = 0
        self.num_frames = 0

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "N D"]:
        self.num_texts += len(texts)
        return np.stack([direction(self._reads(text)) for text in texts])

    def embed_frames(
        self, videos: StoredVideos, frames: Sequence[tuple[int, float]]
    ) -> Float32[np.ndarray, "N D"]:
        self.num_frames += len(frames)
        return np.stack([self._embed_frame(videos.records[v], time_s) for v, time_s in frames])

    def _embed_frame(self, record: VideoRecord, time_s: float) -> Float32[np.ndarray, " D"]:
        annotation = next(one for one in record.annotations if one.events)
        event = next(one for one in annotation.events if one.start_s <= time_s < one.end_s)
        return np.float32(self._truth) * direction(self._reads(self._wording(event)))


class BlindEmbedder:
    """Embeds everything alike."""

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "N D"]:
        return np.full((len(texts), DIM), DIM**-0.5, np.float32)

    def embed_frames(
        self, videos: StoredVideos, frames: Sequence[tuple[int, float]]
    ) -> Float32[np.ndarray, "N D"]:
        return np.full((len(frames), DIM), DIM**-0.5, np.float32)


def direction(text: str) -> Float32[np.ndarray, " D"]:
    """A random direction of length 1; those of different texts are nearly orthogonal."""
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
    row = np.random.default_rng(seed).normal(size=DIM)
    return (row / np.linalg.norm(row)).astype(np.float32)
