"""Batches of videos: which videos a step sees, their frames from the stores, their texts as rows.

Everything but the frames is a pure function of (records, seed, step), so that every process knows
the whole global batch without being told, and a resumed run sees the same batches.
"""

from __future__ import annotations

import atexit
import hashlib
import multiprocessing
import os
import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int, Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from figclip.errors import ConfigError, FigclipError, TrainingError
from figclip.runtime.worker_pool import withheld_from_children
from figclip.video.stored import StoredFrames

_Batch = TypeVar("_Batch")


@runtime_checkable
class FrameReader(Protocol):
    """Reads the frames of annotations; picklable, so that loader workers can hold one."""

    def read_events(
        self, video_idx: int, annotation_idx: int, *, frames_per_event: int
    ) -> UInt8[np.ndarray, "N H W C"]:
        """Frames of all events of an annotation, event by event."""
        ...


@runtime_checkable
class AnnotatedVideo(Protocol):
    """What a plan needs to know of a video."""

    @property
    def id(self) -> str:
        """Unique among the videos."""
        ...

    @property
    def annotations(self) -> Sequence[object]:
        """At least one, of which an epoch draws one."""
        ...


@dataclass(frozen=True, slots=True)
class PlannedVideo:
    """A video whose annotations are known by number only; an `AnnotatedVideo`."""

    id: str
    annotations: range


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One video of a batch, with the annotation that its epoch drew."""

    video_idx: int
    annotation_idx: int


@dataclass(frozen=True, slots=True)
class PictureBatch:
    """The unlabelled pictures of a step, with the RGB frames of this process.

    Its pictures are contiguous, from index `first` in `picture_idxs`; it may have none.
    """

    picture_idxs: tuple[int, ...]
    first: int
    frames_NHWC: UInt8[Tensor, "N H W C"]

    def pin_memory(self) -> PictureBatch:
        """As `ClipBatch.pin_memory`."""
        return replace(self, frames_NHWC=self.frames_NHWC.pin_memory())


@dataclass(frozen=True, slots=True)
class ClipBatch:
    """A global batch, with the frames of this process.

    Attributes:
        step: Counted from 1.
        items: All videos of the global batch.
        first: Index in `items` of this process's first video.
        num_local: Videos of this process; they are contiguous.
        frames_NHWC: RGB frames of this process's videos, by video, event, frame.
        pictures: What the model is held to its base on; None without.
    """

    step: int
    items: tuple[BatchItem, ...]
    first: int
    num_local: int
    frames_NHWC: UInt8[Tensor, "N H W C"]
    pictures: PictureBatch | None = None

    def pin_memory(self) -> ClipBatch:
        """The same, where a GPU can copy it from while it computes; a DataLoader calls this."""
        pictures = self.pictures and self.pictures.pin_memory()
        return replace(self, frames_NHWC=self.frames_NHWC.pin_memory(), pictures=pictures)


class BatchPlan:
    """The videos of every step.

    An epoch visits every video once, with one of its annotations, of which each has at least one.
    Its `steps_per_epoch` batches differ in size by at most one video and never exceed
    `videos_per_batch`; none is dropped, none is tiny.
    """

    def __init__(
        self, records: Sequence[AnnotatedVideo], *, videos_per_batch: int, seed: int
    ) -> None:
        assert records, "a plan needs videos"
        self._annotations_of = [(record.id, len(record.annotations)) for record in records]
        self._seed = seed
        self.steps_per_epoch = -(-len(records) // videos_per_batch)
        self.smallest_batch = len(records) // self.steps_per_epoch

    def batch(self, step: int) -> tuple[BatchItem, ...]:
        """Videos of a step, counted from 1."""
        epoch, batch_idx = divmod(step - 1, self.steps_per_epoch)
        order = _drawn_order((self._seed, epoch), len(self._annotations_of))
        # The first batches have a video more where they cannot all be equal.
        num_larger = len(order) % self.steps_per_epoch
        first = batch_idx * self.smallest_batch + min(batch_idx, num_larger)
        chosen = order[first : first + self.smallest_batch + (batch_idx < num_larger)]
        return tuple(BatchItem(int(v), self._draw_annotation(epoch, int(v))) for v in chosen)

    def _draw_annotation(self, epoch: int, video_idx: int) -> int:
        """Pure in seed, epoch and id: the videos beside it do not change a video's annotation."""
        video_id, count = self._annotations_of[video_idx]
        key = f"{self._seed}/{epoch}/{video_id}".encode()
        return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest()) % count


@lru_cache(maxsize=4)
def _drawn_order(seeds: tuple[int, ...], num: int) -> Int64[np.ndarray, " N"]:
    """An order of so many; kept, as all steps of an epoch ask for the same."""
    return np.random.default_rng(list(seeds)).permutation(num)


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePlan:
    """The unlabelled pictures of every step: all in turn, in another order each time round.

    `pictures` has the index of the video or clip, and the time in seconds, of each; at least one.
    `num_a_step` is the most of a step.
    """

    source: StoredFrames
    pictures: Sequence[tuple[int, float]]
    num_a_step: int
    seed: int

    def draw(self, step: int) -> tuple[int, ...]:
        """Indices of a step's pictures, counted from 1; no more than there are."""
        total = len(self.pictures)
        num = min(self.num_a_step, total)
        places = range((step - 1) * num, step * num)
        # The 1: other numbers than those that order the videos.
        return tuple(
            int(_drawn_order((self.seed, place // total, 1), total)[place % total])
            for place in places
        )

    def read(self, step: int, *, rank: int, num_ranks: int) -> PictureBatch:
        """A process's share of a step's pictures."""
        drawn = self.draw(step)
        first, last = rank_slice(len(drawn), rank=rank, num_ranks=num_ranks)
        chosen = [self.pictures[i] for i in drawn[first:last]]
        frames = [self.source.read(idx, [time_s]) for idx, time_s in chosen]
        # A process without a share reads one for its shape.
        frames = frames or [self.source.read(self.pictures[0][0], [self.pictures[0][1]])[:0]]
        return PictureBatch(drawn, first, torch.as_tensor(np.concatenate(frames)))


@dataclass(frozen=True, kw_only=True)
class BatchLoader(Dataset[ClipBatch | FigclipError]):
    """Reads the batches of a run, ahead of training, in worker processes.

    T frames of each event are read, by so many workers (0: in this process). `num_ranks` processes
    share each batch, with which unlabelled pictures may come. `pinned` batches go to a GPU faster.

    Raises:
        ConfigError: More processes than videos in the smallest batch.
    """

    plan: BatchPlan
    frames: FrameReader
    num_steps: int
    frames_per_event: int
    workers: int
    rank: int = 0
    num_ranks: int = 1
    pictures: PicturePlan | None = None
    pinned: bool = False

    def __post_init__(self) -> None:
        if self.plan.smallest_batch < self.num_ranks:
            raise ConfigError(
                f"a batch of {self.plan.smallest_batch} videos cannot be shared by "
                f"{self.num_ranks} processes",
                fix="Use fewer processes, or raise data.videos_per_batch",
            )

    def __getitem__(self, step: int) -> ClipBatch | FigclipError:
        """This process's part of a step's batch, or why it cannot be read.

        An error is returned, not raised: what a worker raises comes out of a DataLoader with the
        worker's traceback as its message.
        """
        items = self.plan.batch(step)
        first, last = rank_slice(len(items), rank=self.rank, num_ranks=self.num_ranks)
        try:
            frames = [
                self.frames.read_events(
                    item.video_idx, item.annotation_idx, frames_per_event=self.frames_per_event
                )
                for item in items[first:last]
            ]
            pictures = self.pictures and self.pictures.read(
                step, rank=self.rank, num_ranks=self.num_ranks
            )
        except FigclipError as error:
            return error
        frames_NHWC = torch.as_tensor(np.concatenate(frames))
        return ClipBatch(step, items, first, last - first, frames_NHWC, pictures)

    def iterate(self, first_step: int) -> AbstractContextManager[Iterator[ClipBatch]]:
        """Batches of the steps after `first_step`, to the end of the run.

        Leaving the context ends the worker processes.

        Raises:
            StoreError: When a batch is asked for: its frames are missing or damaged.
            TrainingError: As `load_steps`.
        """
        steps = range(first_step + 1, self.num_steps + 1)
        return load_steps(self, steps, workers=self.workers, pinned=self.pinned)


@contextmanager
def load_steps(
    batches: Dataset[_Batch | FigclipError], steps: range, *, workers: int, pinned: bool = False
) -> Generator[Iterator[_Batch]]:
    """Batches of these steps, read ahead by so many processes, which end with the context.

    An error in place of a batch is raised when it is its turn.

    SIGINT and SIGTERM are blocked when the processes start, and they inherit that for life: a
    terminal's Ctrl-C and torchrun signal the whole process group, and workers that died of it
    would take the step being waited for with them, before the main process can save it.

    Raises:
        TrainingError: One of the processes died, as where memory ends.
    """
    loader: DataLoader[_Batch | FigclipError] = DataLoader(
        batches,
        batch_size=None,
        sampler=list(steps),
        num_workers=workers,
        pin_memory=pinned,
        # fork would copy the locks of a process that already runs torch's threads.
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=_end_without_finalizing,
        # Its own: a DataLoader takes a number from torch's, which would move with each resume.
        generator=torch.Generator(),
    )
    atexit.register(_kill_workers)
    with withheld_from_children(signal.SIGINT, signal.SIGTERM):
        started = _raising(iter(loader))
    try:
        yield started
    except RuntimeError as error:
        # torch raises it wherever the main process is, from the signal that a child has ended.
        if not str(error).startswith("DataLoader worker (pid"):
            raise
        raise TrainingError(
            f"a process that reads frames is gone: {error}",
            fix="If memory ended, lower data.loader_workers or data.videos_per_batch; --resume "
            "goes on from the last checkpoint",
        ) from error
    finally:
        started.close()


def _raising(loader: Iterator[_Batch | FigclipError]) -> Generator[_Batch]:
    """Batches; the first error is raised."""
    try:
        for one in loader:
            if isinstance(one, FigclipError):
                raise one
            yield one
    finally:
        # The traceback of an error would keep it, and with it the workers.
        del loader


def _end_without_finalizing(_worker: int) -> None:
    """Have a worker process end as soon as its work has.

    A worker that is left early may still be packing a batch in a thread. Before Python 3.14, an
    interpreter that shuts down ends such a thread inside torch's C++, which aborts the process:
    "terminate called without an active exception", and an error in the main process.
    """
    atexit.register(os._exit, 0)


def _kill_workers() -> None:
    """End the workers that an error's traceback has kept.

    At the interpreter's end multiprocessing asks them by SIGTERM, which they have blocked, and
    would wait for ever.
    """
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()


def rank_slice(num_items: int, *, rank: int, num_ranks: int) -> tuple[int, int]:
    """First and past-the-last index of a process's share; shares differ by at most one."""
    return rank * num_items // num_ranks, (rank + 1) * num_items // num_ranks


def segment_index(counts_B: Sequence[int]) -> Int[Tensor, " N"]:
    """Segment of each row, when segment b has counts_B[b] consecutive rows."""
    return torch.repeat_interleave(torch.arange(len(counts_B)), torch.tensor(list(counts_B)))
