"""Embeds frames of many videos while they are decoded, on all cores, to the same bits on any."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from threading import Semaphore
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8

from figclip.errors import VideoError
from figclip.model.context_embedder import long_text_identity
from figclip.model.embedder import model_identity
from figclip.model.figclip import FiGCLIP
from figclip.model.pooling import Pooling, mean_of_both
from figclip.preparation.prepare import lost_video
from figclip.runtime.progress import CountProgress
from figclip.runtime.worker_pool import Lost, Part, stream_jobs
from figclip.search.index_file import IndexedVideo, IndexSpec
from figclip.search.reading import Cut, FrameBatch, VideoJob

_WAITING_PER_THREAD = 2
_WINDOWS_AT_ONCE = 64


def is_model_of(spec: IndexSpec, model: FiGCLIP) -> bool:
    """Whether a model makes the embeddings that an index holds, and none others."""
    is_same = model_identity(model.backbone) == spec.model_hash
    return is_same and spec.context_hash in ("", long_text_identity(model))


@dataclass(frozen=True, slots=True)
class EmbeddedFrames:
    """L2-normalised embeddings of frames, and those at strength 1 where windows have a context."""

    own_ND: Float32[np.ndarray, "N D"]
    trained_ND: Float32[np.ndarray, "N D"] | None


class FrameEmbedder:
    """Embeds batches of frames in threads; a context manager.

    With `in_context` windows are embedded in context too.

    On the CPU `num_threads`, one a core, each run the model for themselves: that scales better than
    one batch on all cores beside processes that decode, and embeddings do not depend on how many
    there are. Elsewhere one thread feeds the device.
    """

    def __init__(self, model: FiGCLIP, *, num_threads: int, in_context: bool = False) -> None:
        self._model, self._in_context = model, in_context
        if model.backbone.device.type != "cpu":
            num_threads = 1
        self._room = Semaphore(_WAITING_PER_THREAD * num_threads)
        self._threads_before = torch.get_num_threads()
        alone = partial(torch.set_num_threads, 1)
        self._pool = ThreadPoolExecutor(num_threads, initializer=alone)

    def __enter__(self) -> FrameEmbedder:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        # What one thread sets is what threads have that begin later.
        torch.set_num_threads(self._threads_before)

    @property
    def long_pooling(self) -> Pooling:
        """As of the model."""
        return self._model.long_pooling

    def submit(self, frames_NHWC: UInt8[np.ndarray, "N S S 3"]) -> Future[EmbeddedFrames]:
        """Embeddings of frames, later; waits while too many batches wait."""
        self._room.acquire()
        future = self._pool.submit(self._embed, frames_NHWC)
        future.add_done_callback(lambda _: self._room.release())
        return future

    def pool_in_context(
        self, frames_NTD: Float32[np.ndarray, "N T D"]
    ) -> Float32[np.ndarray, "N D"]:
        """Windows by the contextualizer; in the pool, so that their bits depend on no other."""
        starts = range(0, len(frames_NTD), _WINDOWS_AT_ONCE)
        parts = (torch.from_numpy(frames_NTD[i : i + _WINDOWS_AT_ONCE]) for i in starts)
        return np.concatenate(
            [one.numpy() for one in self._pool.map(self._model.pool_in_context, parts)]
        )

    def _embed(self, frames_NHWC: UInt8[np.ndarray, "N S S 3"]) -> EmbeddedFrames:
        """One batch."""
        own_ND = self._model.encode_frames(frames_NHWC).numpy()
        if not self._in_context:
            return EmbeddedFrames(own_ND, None)
        if self._model.trained is self._model.backbone:
            return EmbeddedFrames(own_ND, own_ND)
        trained_ND = self._model.encode_trained_frames(frames_NHWC).numpy()
        return EmbeddedFrames(own_ND, trained_ND)


def embed_videos(
    jobs: Sequence[VideoJob],
    read: Callable[[VideoJob], Generator[FrameBatch, None, Cut | VideoError]],
    *,
    model: FiGCLIP,
    num_workers: int,
    num_threads: int,
    limit_s: float,
    on_progress: CountProgress,
    in_context: bool = False,
) -> Generator[tuple[VideoJob, IndexedVideo | VideoError]]:
    """Read videos in worker processes, and embed them meanwhile; each as soon as it is done.

    `limit_s` is of a batch of frames. `on_progress` is told seconds of video. `in_context`: windows
    get an embedding by the model's contextualizer too.
    """
    total_s, done_s = round(sum(job.survey.duration_us for job in jobs) / 1e6), 0
    done_us = {job.survey.hash: 0.0 for job in jobs}
    under_way: dict[str, _Embedding] = {}
    streams = stream_jobs(jobs, read, num_workers=num_workers, limit_s=limit_s)
    embedding = FrameEmbedder(model, num_threads=num_threads, in_context=in_context)
    with embedding as embedder, closing(streams) as outcomes:
        for outcome in outcomes:
            survey = outcome.job.survey
            video = under_way.setdefault(survey.hash, _Embedding(outcome.job))
            if isinstance(outcome, Part):
                if outcome.value.first == 0:
                    video.batches.clear()
                if len(outcome.value.frames_NHWC):
                    video.batches.append(embedder.submit(outcome.value.frames_NHWC))
                done_us[survey.hash] = outcome.value.done * survey.duration_us
            else:
                video.cut = lost_video(outcome) if isinstance(outcome, Lost) else outcome.result
                done_us[survey.hash] = survey.duration_us
            before_s, done_s = done_s, round(sum(done_us.values()) / 1e6)
            if done_s > before_s:
                on_progress(done_s, total_s)
            for name in [name for name, one in under_way.items() if one.is_done]:
                yield under_way.pop(name).result(embedder)
        for video in under_way.values():
            yield video.result(embedder)


@dataclass(slots=True)
class _Embedding:
    """A video whose frames are being embedded, and what became of it when all are there."""

    job: VideoJob
    batches: list[Future[EmbeddedFrames]] = field(default_factory=list[Any])
    cut: Cut | VideoError | None = None

    @property
    def is_done(self) -> bool:
        """Whether `result` need not wait."""
        return self.cut is not None and all(batch.done() for batch in self.batches)

    def result(self, embedder: FrameEmbedder) -> tuple[VideoJob, IndexedVideo | VideoError]:
        """The windows, once all frames are embedded."""
        assert self.cut is not None
        if isinstance(self.cut, VideoError):
            return self.job, self.cut
        frames = [batch.result() for batch in self.batches]
        own_FD = np.concatenate([one.own_ND for one in frames])
        vectors_ND = _pooled(own_FD, self.cut.frame_idx_NT)
        trained = [one.trained_ND for one in frames if one.trained_ND is not None]
        context_ND = None
        if trained:
            frames_NTD = np.concatenate(trained)[self.cut.frame_idx_NT]
            context_ND = embedder.pool_in_context(frames_NTD)
            if embedder.long_pooling == "both":
                both_ND = mean_of_both(torch.from_numpy(vectors_ND), torch.from_numpy(context_ND))
                context_ND = both_ND.numpy()
        return self.job, IndexedVideo(
            hash=self.job.survey.hash,
            duration_s=self.job.survey.duration_us / 1e6,
            spans_us=self.cut.spans_us,
            vectors_ND=vectors_ND,
            thumbnails=self.cut.thumbnails,
            context_ND=context_ND,
        )


def _pooled(
    frames_ND: Float32[np.ndarray, "F D"], frame_idx_NT: Int64[np.ndarray, "N T"]
) -> Float32[np.ndarray, "N D"]:
    """The normalised mean of the normalised embeddings of each window's frames."""
    means_ND = frames_ND[frame_idx_NT].mean(axis=1)
    return means_ND / np.linalg.norm(means_ND, axis=1, keepdims=True)
