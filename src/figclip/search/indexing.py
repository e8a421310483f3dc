"""index: video files in, one index of their windows out."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from errno import EACCES, EIO, EPERM, ESTALE
from functools import partial
from pathlib import Path
from typing import Literal

from figclip.errors import ConfigError, VideoError
from figclip.model.context_embedder import long_text_identity
from figclip.model.embedder import model_identity
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings
from figclip.model.figclip import FiGCLIP
from figclip.preparation.prepare import VIDEO_LIMIT_S, decode_all
from figclip.runtime.files import check_room, missing_bytes
from figclip.runtime.locks import lock_file
from figclip.runtime.progress import Progress, no_progress
from figclip.search.embedding import embed_videos
from figclip.search.fleet import Reading, read_on_ray
from figclip.search.index_file import IndexedFile, IndexSpec, IndexWriter
from figclip.search.reading import VideoJob, read_video, survey_file
from figclip.search.shots import require_shot_detection
from figclip.search.video_files import FoundFiles, find_video_files, is_gone
from figclip.search.windows import count_windows
from figclip.video.decoding import to_time_us

IndexedPooling = Literal["mean", "auto"]

RETRIED = (
    *("hung: ", "too-slow: ", "crashed: ", "changed: ", "missing: "),
    *(f"unreadable: {os.strerror(code)}" for code in (EACCES, EPERM, EIO, ESTALE)),
)
"""How problems begin that may be those of the machine or the moment: such files are tried again,
though neither their size nor their time changes."""

_LIMIT_FACTOR = 5
"""Of the limit of a frame, for hashing a file, and for a batch of frames."""
_SHORTEST_S, _LONGEST_S = 0.1, 3600.0
_USUAL_SHOT_US = 4_000_000
_BYTES_PER_THUMBNAIL = 4_000
_LEAST_BYTES_PER_THUMBNAIL = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexingPlan:
    """What index is about to do, for an estimate before long work.

    Attributes:
        num_videos: Videos to decode; equal files count once.
        duration_s: How long they last together.
        num_windows: Their windows; of shots an estimate.
        num_bytes: About so much is added to the index.
        least_bytes: Surely so much.
        missing_bytes: How much more room there should be on the disk; 0 when there is enough.
    """

    num_videos: int
    duration_s: float
    num_windows: int
    num_bytes: int
    least_bytes: int
    missing_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexReport:
    """What index did.

    Attributes:
        num_files: Files that were given or found.
        num_unchanged: Those that are as they were at the last run, and were not read.
        num_known: Those whose content was there already: moved, or copies.
        num_videos: Videos that were decoded and embedded.
        num_windows: Their windows.
        quarantine: Those of the files that are no video, each with its problem.
        gone: Files of earlier runs that are no longer there, kept unless pruned.
        closed_folders: Folders that could not be looked into.
    """

    num_files: int
    num_unchanged: int
    num_known: int
    num_videos: int
    num_windows: int
    quarantine: tuple[IndexedFile, ...]
    gone: tuple[Path, ...]
    closed_folders: tuple[Path, ...]


def index(
    model: str | Path,
    videos: Sequence[str | Path],
    *,
    out: str | Path,
    window_s: float = 2.0,
    stride_s: float = 1.0,
    shots: bool = False,
    prune: bool = False,
    pooling: IndexedPooling = "auto",
    num_workers: int | None = None,
    limit_s: float = VIDEO_LIMIT_S,
    device: str = "cpu",
    embedding: EmbeddingSettings = DEFAULT_EMBEDDING,
    ray: str | None = None,
    on_plan: Callable[[IndexingPlan], None] | None = None,
    on_progress: Progress | None = None,
) -> IndexReport:
    """Cut videos into windows, and embed these into an index. Can be killed and run again.

    Four frames of each window, at the midpoints of equal segments, are embedded; what is kept is
    their normalised mean. Files that are as they were are not read again, and content that is there
    already is not decoded, wherever it lies now. Rows depend neither on what else is indexed nor,
    on the CPU, on the number of workers and cores.

    Args:
        model: Hub id, model folder or run folder.
        videos: Files, folders (searched through, by suffix), or patterns such as `clips/**/*.mp4`.
        out: The index, new or begun.
        window_s: Length of a window in seconds.
        stride_s: From the start of a window to the next; the last one ends with the video.
        shots: Whole shots instead of windows, by PySceneDetect; videos are decoded twice.
        prune: Forget files of earlier runs that are gone.
        pooling: `mean` keeps that of a window's frames only; `auto` also what the contextualizer
            makes of them, where that was found better for long sentences.
        num_workers: Decoding processes; None: one per core. Not with `ray`.
        limit_s: Seconds that reading a file may take up to the next frame.
        device: Where the model runs; not with `ray`.
        embedding: Its precision, also with `ray`, and how many frames of a video it embeds at once.
        ray: `local`, or the address of a Ray cluster, whose machines do the work; `videos` may then
            be addresses, too, such as `s3://bucket/clips`. See `search.fleet`.
        on_plan: Told once what is about to be done; not with `ray`.
        on_progress: Told how far it is: files read, then seconds of video.

    Raises:
        ConfigError: a window or stride of no possible length; shots without PySceneDetect, ray
            without Ray or without a cluster there.
        DataError: something of `videos` is not there, or a folder holds none.
        ModelError: the model cannot be used.
        StoreError: `out` is no index, or of another model or other windows.
        OutputError: the disk has too little room, or another process writes `out`.
        FigclipError: decoding processes cannot start.
    """
    _check_lengths(window_s=window_s, stride_s=stride_s)
    if shots:
        require_shot_detection()
    found = find_video_files(videos, addresses=ray is not None)
    clip = FiGCLIP.from_pretrained(model, device=device, embedding=embedding)
    spec = IndexSpec(
        model=str(model),
        model_hash=model_identity(clip.backbone),
        pipeline=clip.video_pipeline.name,
        dim=clip.backbone.dim,
        unit="shots" if shots else "windows",
        window_s=window_s,
        stride_s=stride_s,
        context_hash=long_text_identity(clip) if pooling == "auto" else "",
        precision=clip.backbone.resolved_precision,
    )
    with lock_file(Path(out)), IndexWriter(out, spec=spec) as writer:
        run = _Run(
            writer=writer,
            model=clip,
            num_workers=num_workers or os.cpu_count() or 1,
            limit_s=limit_s,
            on_plan=on_plan or no_progress,
            on_progress=on_progress or no_progress,
            ray=ray,
        )
        return run.bring_up_to_date(found, prune=prune)


@dataclass(slots=True, kw_only=True)
class _Run:
    """One run of `index`; files by the hash of their content, which they may share."""

    writer: IndexWriter
    model: FiGCLIP
    num_workers: int
    limit_s: float
    on_plan: Callable[[IndexingPlan], None]
    on_progress: Progress
    ray: str | None
    files_of: defaultdict[str, list[IndexedFile]] = field(default_factory=lambda: defaultdict(list))

    @property
    def batch_limit_s(self) -> float:
        """Seconds up to the next batch of frames; larger ones take longer."""
        factor = max(1.0, self.model.batch_size / DEFAULT_EMBEDDING.batch_size)
        return factor * _LIMIT_FACTOR * self.limit_s

    def bring_up_to_date(self, found: FoundFiles, *, prune: bool) -> IndexReport:
        """The whole run."""
        unread = self.choose(found.files)
        if self.ray is None:
            jobs, num_known = self.survey(unread)
            num_windows = self.embed(jobs)
        else:
            num_windows, num_known = self.read_on_ray(unread, address=self.ray)
        self.writer.commit()
        ours = {file.path for file in found.files}
        files = self.writer.files()
        gone = tuple(file.path for file in files if file.path not in ours and is_gone(file.path))
        if prune:
            self.writer.forget_files(gone)
        self.writer.drop_orphans()
        return IndexReport(
            num_files=len(found.files),
            num_unchanged=len(found.files) - len(unread),
            num_known=num_known,
            num_videos=len(num_windows),
            num_windows=sum(num_windows),
            quarantine=tuple(file for file in files if file.problem and file.path in ours),
            gone=gone,
            closed_folders=found.closed_folders,
        )

    def choose(self, files: Sequence[IndexedFile]) -> list[IndexedFile]:
        """Those that are new, have changed, or are worth another try."""
        known = {file.path: file for file in self.writer.files()}
        hashes = self.writer.video_hashes()

        def is_current(file: IndexedFile) -> bool:
            before = known.get(file.path)
            if before is None or replace(before, hash="", problem="") != file:
                return False
            return before.hash in hashes or (
                bool(before.problem) and not before.problem.startswith(RETRIED)
            )

        return [file for file in files if not is_current(file)]

    def survey(self, files: Sequence[IndexedFile]) -> tuple[list[VideoJob], int]:
        """Hash files; what is to be decoded, longest first, and how many files needed only that."""
        known = self.writer.video_hashes()
        look, num_known = partial(survey_file, spec=self.writer.spec, known=known), 0
        jobs: list[VideoJob] = []
        with closing(
            decode_all(
                files, look, num_workers=self.num_workers, limit_s=_LIMIT_FACTOR * self.limit_s
            )
        ) as results:
            for done, (file, result) in enumerate(results, start=1):
                if isinstance(result, VideoError):
                    self.writer.set_file(file.set_aside(result))
                elif result.hash in known:
                    self.writer.set_file(replace(file, hash=result.hash))
                    num_known += 1
                else:
                    if result.hash not in self.files_of:
                        jobs.append(VideoJob(file=file, survey=result))
                    self.files_of[result.hash].append(replace(file, hash=result.hash))
                self.on_progress("reading", done, len(files))
        # So that the last one, beside which cores have nothing to do, is a short one.
        jobs.sort(key=lambda job: (-job.survey.duration_us, job.survey.hash))
        return jobs, num_known

    def embed(self, jobs: Sequence[VideoJob]) -> list[int]:
        """Decode and embed videos; the number of windows of each that is no problem."""
        if not jobs:
            return []
        plan = _estimate(jobs, self.writer.spec, self.writer.path)
        self.on_plan(plan)
        check_room(self.writer.path, plan.least_bytes)
        num_windows: list[int] = []
        read = partial(
            read_video,
            spec=self.writer.spec,
            pipeline=self.model.video_pipeline,
            batch_size=self.model.batch_size,
            limit_s=self.limit_s,
        )
        videos = embed_videos(
            jobs,
            read,
            model=self.model,
            num_workers=self.num_workers,
            num_threads=os.cpu_count() or 1,
            limit_s=self.batch_limit_s,
            on_progress=partial(self.on_progress, "seconds of video"),
            in_context=bool(self.writer.spec.context_hash),
        )
        with closing(videos):
            for job, result in videos:
                files = self.files_of[job.survey.hash]
                if isinstance(result, VideoError):
                    files = [file.set_aside(result) for file in files]
                else:
                    num_windows.append(len(result.spans_us))
                    self.writer.add_video(result)
                for file in files:
                    self.writer.set_file(file)
        return num_windows

    def read_on_ray(self, files: Sequence[IndexedFile], *, address: str) -> tuple[list[int], int]:
        """All of it on other machines; results as of `embed`, and of `survey`."""
        reading = Reading(
            spec=self.writer.spec,
            known=self.writer.video_hashes(),
            batch_size=self.model.batch_size,
            limit_s=self.limit_s,
            batch_limit_s=self.batch_limit_s,
        )
        num_windows: dict[str, int] = {}
        num_known = num_done = 0
        with closing(read_on_ray(files, reading, address=address)) as results:
            for one in results:
                if one.video is not None:
                    num_windows[one.video.hash] = len(one.video.spans_us)
                    self.writer.add_video(one.video)
                for file in one.files:
                    self.writer.set_file(file)
                    num_known += file.hash in reading.known
                num_done += len(one.files)
                self.on_progress("files", num_done, len(files))
        return list(num_windows.values()), num_known


def _check_lengths(**lengths_s: float) -> None:
    """Refuse lengths that windows cannot have."""
    for name, length_s in lengths_s.items():
        if not _SHORTEST_S <= length_s <= _LONGEST_S:
            raise ConfigError(
                f"is {length_s:g}, must be {_SHORTEST_S:g} to {_LONGEST_S:g} seconds",
                where=f"--{name.removesuffix('_s')}",
            )


def _estimate(jobs: Sequence[VideoJob], spec: IndexSpec, out: Path) -> IndexingPlan:
    """Size of the work."""
    duration_s = sum(job.survey.duration_us for job in jobs) / 1e6
    window_us, stride_us = to_time_us(spec.window_s), to_time_us(spec.stride_s)
    if spec.unit == "shots":
        window_us = stride_us = _USUAL_SHOT_US
    num_windows = sum(
        count_windows(job.survey.duration_us, window_us=window_us, stride_us=stride_us)
        for job in jobs
    )
    num_bytes = num_windows * (4 * spec.row_width + _BYTES_PER_THUMBNAIL)
    return IndexingPlan(
        num_videos=len(jobs),
        duration_s=duration_s,
        num_windows=num_windows,
        num_bytes=num_bytes,
        least_bytes=num_windows * (4 * spec.row_width + _LEAST_BYTES_PER_THUMBNAIL),
        missing_bytes=missing_bytes(out, num_bytes),
    )
