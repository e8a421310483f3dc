"""prepare: annotations and video files in, one frame store out, with coverage and quarantine."""

import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import UInt8

from figclip.annotations.archive import pack_source
from figclip.annotations.texts import masked_negatives
from figclip.annotations.vidsitu import load_source
from figclip.errors import DataError, VideoError
from figclip.records import AnnotationSet, VideoRecord
from figclip.runtime.files import check_room, missing_bytes, write_json
from figclip.runtime.fleet import run_on_ray
from figclip.runtime.locks import lock_file
from figclip.runtime.worker_pool import Lost, run_jobs
from figclip.video.container import hash_video
from figclip.video.decoding import decode_frames, to_time_us
from figclip.video.media_folder import VIDEO_SUFFIXES, MediaFolder
from figclip.video.sampling import frame_times_s
from figclip.video.store import FrameStore, FrameStoreWriter, QuarantinedVideo, StoreSpec

COVERAGE_FORMAT = 1
VIDEO_LIMIT_S = 120.0
"""Wall-clock seconds that one video may take before it is quarantined."""
_VIDEOS_AT_ONCE = 8
"""Handed to another machine together: frames of all of them come back at once, some 20 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitCoverage:
    """How much of one split there is. Each number is a part of the one before it.

    Attributes:
        listed: Videos that the split lists, annotated or not.
        annotated: Those with events.
        found: Those whose video file exists.
        stored: Those whose frames are in the store; the rest of `found` is quarantined.
        quarantined: Those left out with a reason.
    """

    listed: int
    annotated: int
    found: int
    stored: int
    quarantined: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationPlan:
    """What prepare is about to do, for an estimate before long work.

    Frames include those already there. `missing_bytes` is about how much more there should be on
    the disk; 0 when there is room.
    """

    num_videos: int
    num_frames: int
    store_bytes: int
    missing_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationReport:
    """What prepare did with annotations of `vidsitu` or `events`; also in the store and beside it.

    `quarantine` is what was left out, with reasons, by id; `num_reused` videos had their frames
    there already. `masked_negatives` is the share of hard negatives that could not be drawn from
    these videos. Notices are of what the annotation reader handled by rule. `missing` are the
    videos of each split that have no file, by the names that annotations give them.
    """

    name: str
    splits: Mapping[str, SplitCoverage]
    quarantine: tuple[QuarantinedVideo, ...]
    num_reused: int
    masked_negatives: float
    notices: tuple[str, ...]
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    @property
    def num_stored(self) -> int:
        """Videos that training can use."""
        return sum(split.stored for split in self.splits.values())


def prepare(
    source: Path,
    *,
    videos: Path,
    out: Path,
    spec: StoreSpec | None = None,
    frames_per_event: int = 4,
    split: str | None = None,
    num_workers: int | None = None,
    limit_s: float = VIDEO_LIMIT_S,
    ray: str | None = None,
    on_plan: Callable[[PreparationPlan], None] | None = None,
    on_video: Callable[[int, int, int], None] | None = None,
) -> PreparationReport:
    """Decode the frames of annotated videos into a store. Can be killed and run again.

    Args:
        source: A JSONL or CSV file, or a folder of official VidSitu files.
        videos: Folder with the video files; any part of them.
        out: The frame store, new or begun.
        spec: Pixels of the store.
        frames_per_event: T, frames at the midpoints of T equal segments of each event.
        split: Only the videos of this split; None: all.
        num_workers: Decoding processes; None: one per core. Not with `ray`.
        limit_s: Seconds that one video may take.
        ray: `local`, or the address of a Ray cluster, whose machines decode; they need the videos
            at the same paths.
        on_plan: Told once what is about to be done.
        on_video: Told after every video: done, of how many, quarantined so far.

    Returns:
        Coverage and quarantine.

    Raises:
        AnnotationError: the annotations have problems.
        DataError: no such folder of videos, or not one annotated video that can be used is in it.
        StoreError: `out` is not a store, or one of other pixels.
        OutputError: the disk has too little room, or another process writes `out`.
        FigclipError: decoding processes cannot start.
    """
    spec = spec or StoreSpec()
    archive = pack_source(source)
    found = find_videos(source, videos=videos, frames_per_event=frames_per_event, split=split)
    records, jobs, unusable = found.annotations.records, found.jobs, found.unusable
    plan = _estimate(jobs, spec, out)
    if on_plan is not None:
        on_plan(plan)
    _check_room(plan, spec, out)
    num_reused, num_quarantined = 0, len(unusable)
    with lock_file(out), FrameStoreWriter(out, spec=spec) as writer:
        # Coverage of an earlier run would make a half-done store look complete.
        writer.set_coverage({})
        writer.forget_records_except([records[job.record_idx].id for job in jobs])
        writer.set_source(archive)
        for quarantined in unusable:
            writer.quarantine(quarantined)
        if ray is None:
            decoded = _decode_here(jobs, writer, num_workers=num_workers, limit_s=limit_s)
        else:
            decoded = _decode_on_ray(jobs, writer, limit_s=limit_s, address=ray)
        with closing(decoded) as results:
            for done, (job, result) in enumerate(results, start=1):
                record = records[job.record_idx]
                path = _relative(job.path, videos)
                if isinstance(result, VideoError):
                    num_quarantined += 1
                    detail = ". ".join(filter(None, (result.what, result.fix)))
                    writer.quarantine(_left_out(record, path, detail))
                else:
                    num_reused += result.frames_NHWC is None
                    _store(writer, record, path, job, result)
                if on_video is not None:
                    on_video(done, len(jobs), num_quarantined)
        writer.commit()
        report = _report(found, out, num_reused=num_reused)
        _write_coverage(writer, report, source=source)
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoJob:
    """A video to decode. `times_us`: of the frames wanted, distinct, ascending."""

    record_idx: int
    path: Path
    times_us: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedVideo:
    """A decoded video, by the SHA-256 of its file.

    Frames are None, and the duration 0, when the store has them already.
    """

    video_hash: str
    frames_NHWC: UInt8[np.ndarray, "N S S 3"] | None  # noqa: N815
    duration_s: float


def decode_video(
    job: VideoJob,
    *,
    known_times_us: Callable[[str], Iterable[int]],
    spec: StoreSpec,
    limit_s: float,
) -> DecodedVideo | VideoError:
    """Hash a video, and decode it unless its frames at all times are known; or say why not."""
    try:
        video_hash = hash_video(job.path)
        if set(job.times_us) <= set(known_times_us(video_hash)):
            return DecodedVideo(video_hash=video_hash, frames_NHWC=None, duration_s=0.0)
        decoded = decode_frames(
            job.path,
            [time_us / 1e6 for time_us in job.times_us],
            pipeline=spec.pixels,
            deadline_s=limit_s,
        )
    except VideoError as error:
        return error
    except MemoryError:
        return VideoError("too-large: decoding it takes more memory than there is")
    return DecodedVideo(
        video_hash=video_hash, frames_NHWC=decoded.frames_NHWC, duration_s=decoded.duration_s
    )


def _decode_here(
    jobs: Sequence[VideoJob], writer: FrameStoreWriter, *, num_workers: int | None, limit_s: float
) -> Generator[tuple[VideoJob, DecodedVideo | VideoError]]:
    """What each video decodes to, in processes of this machine, which look into the store."""
    known = partial(_stored_times_us, store=writer.path)
    decode = partial(decode_video, known_times_us=known, spec=writer.spec, limit_s=limit_s)
    return decode_all(jobs, decode, num_workers=num_workers, limit_s=limit_s)


def _stored_times_us(video_hash: str, *, store: Path) -> tuple[int, ...]:
    """Times of the frames of a video that a store has."""
    with FrameStore.open(store) as stored:
        return stored.frame_times_us(video_hash)


def _decode_on_ray(
    jobs: Sequence[VideoJob], writer: FrameStoreWriter, *, limit_s: float, address: str
) -> Generator[tuple[VideoJob, DecodedVideo | VideoError]]:
    """The same on other machines, which are told what the store has: they cannot look into it."""
    with FrameStore.open(writer.path) as stored:
        hashes = {row.video_hash for row in stored.record_rows()}
        known = {one: stored.frame_times_us(one) for one in hashes}
    decode = partial(
        decode_video,
        known_times_us=partial(_times_us_in, known=known),
        spec=writer.spec,
        limit_s=limit_s,
    )
    parts = [jobs[i : i + _VIDEOS_AT_ONCE] for i in range(0, len(jobs), _VIDEOS_AT_ONCE)]
    work = partial(_decode_part, decode=decode, limit_s=limit_s)
    for results in run_on_ray(parts, work, address=address):
        yield from results


def _times_us_in(video_hash: str, *, known: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Times of the frames of a video that are known."""
    return known.get(video_hash, ())


def _decode_part(
    jobs: Sequence[VideoJob],
    num_cpus: int,
    *,
    decode: Callable[[VideoJob], DecodedVideo | VideoError],
    limit_s: float,
) -> list[tuple[VideoJob, DecodedVideo | VideoError]]:
    """Some videos, on some machine."""
    return list(decode_all(jobs, decode, num_workers=num_cpus, limit_s=limit_s))


Job = TypeVar("Job")
Decoded = TypeVar("Decoded")


def decode_all(
    jobs: Sequence[Job],
    decode: Callable[[Job], Decoded | VideoError],
    *,
    num_workers: int | None,
    limit_s: float,
) -> Generator[tuple[Job, Decoded | VideoError]]:
    """What each job decodes to in a worker process, or why it does not, as they are ready.

    `decode` stops itself after `limit_s` seconds, if it can.
    """
    workers = num_workers or os.cpu_count() or 1
    with closing(run_jobs(jobs, decode, num_workers=workers, limit_s=limit_s + 10)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, Lost):
                yield outcome.job, lost_video(outcome)
            else:
                yield outcome.job, outcome.result


def lost_video(outcome: Lost[Any]) -> VideoError:
    """The error for a video whose decoder did not survive it."""
    return VideoError(f"{outcome.reason}: the decoder: {outcome.detail}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundVideos:
    """What annotations and the names of files tell, before anything is decoded.

    `with_file` are the indices of the records whose video file exists; what is `unusable` cannot be
    used whatever its pixels are.
    """

    annotations: AnnotationSet
    with_file: frozenset[int]
    jobs: tuple[VideoJob, ...]
    unusable: tuple[QuarantinedVideo, ...]

    @property
    def records(self) -> list[VideoRecord]:
        """The records of the jobs."""
        return [self.annotations.records[job.record_idx] for job in self.jobs]


def find_videos(
    source: Path, *, videos: Path, frames_per_event: int, split: str | None = None
) -> FoundVideos:
    """Read annotations, and find their video files; arguments and errors are those of `prepare`."""
    annotations = load_source(source)
    chosen = tuple(record for record in annotations.records if split in (None, record.split))
    if not chosen:
        raise DataError(f"there are no videos of split {split!r}", where=str(source))
    annotations = replace(annotations, records=chosen)
    records = annotations.records
    folder = MediaFolder(videos, suffixes=VIDEO_SUFFIXES)
    found = {record_idx: folder.find(record.video) for record_idx, record in enumerate(records)}
    paths = {record_idx: matches for record_idx, matches in found.items() if matches}
    jobs, unusable = _plan_jobs(records, paths, videos, frames_per_event)
    if not jobs:
        raise _nothing_to_do(records, unusable, videos)
    return FoundVideos(
        annotations=annotations,
        with_file=frozenset(paths),
        jobs=tuple(jobs),
        unusable=tuple(unusable),
    )


def format_coverage(report: PreparationReport) -> list[str]:
    """One sentence per split: `VidSitu valid: 12 of 1,324 segments have a file, …`."""
    name, noun = ("VidSitu", "segments") if report.name == "vidsitu" else ("events", "videos")
    lines: list[str] = []
    for split, part in sorted(report.splits.items()):
        line = f"{name} {split}: {part.found:,} of {part.listed:,} {noun} have a file"
        if part.annotated < part.listed:
            line += f" ({part.annotated:,} are annotated)"
        lines.append(f"{line}, {part.stored:,} stored, {part.quarantined:,} quarantined")
        if missing := report.missing.get(split):
            lines.append(f"  without a file: {name_some(missing)}")
    return lines


def name_some(names: Sequence[str]) -> str:
    """Up to three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if names[3:] else "")


def _relative(path: Path, videos: Path) -> str:
    """A path as the store has it."""
    return path.relative_to(videos).as_posix()


def _plan_jobs(
    records: Sequence[VideoRecord],
    paths: Mapping[int, list[Path]],
    videos: Path,
    frames_per_event: int,
) -> tuple[list[VideoJob], list[QuarantinedVideo]]:
    """What to decode, and what cannot be used whatever its pixels are."""
    jobs: list[VideoJob] = []
    unusable: list[QuarantinedVideo] = []
    for record_idx, matches in paths.items():
        record = records[record_idx]
        # "?" for bytes that are not UTF-8.
        names = [_relative(path, videos).encode(errors="replace").decode() for path in matches]
        if not all(annotation.events for annotation in record.annotations):
            detail = "no-events: an annotation has captions only; adaptation needs events"
        elif len(matches) > 1:
            detail = (
                f"ambiguous: several files have this name: {', '.join(names[:3])}. "
                "Keep one of them."
            )
        elif names[0] != _relative(matches[0], videos):
            detail = "bad-name: the path is not UTF-8. Rename the file or its folder."
        else:
            times_us = {
                to_time_us(time_s)
                for annotation in record.annotations
                for time_s in frame_times_s(annotation, frames_per_event=frames_per_event)
            }
            job = VideoJob(record_idx=record_idx, path=matches[0], times_us=tuple(sorted(times_us)))
            jobs.append(job)
            continue
        unusable.append(_left_out(record, names[0], detail))
    return jobs, unusable


def _nothing_to_do(
    records: Sequence[VideoRecord], unusable: Sequence[QuarantinedVideo], videos: Path
) -> DataError:
    """The error for a folder without a single video to decode."""
    if unusable:
        first = unusable[0]
        return DataError(
            f"none of the {len(unusable):,} annotated videos found can be used",
            where=str(videos),
            fix=f"The first one is {first.path!r}: {first.detail}",
        )
    return DataError(
        f"holds none of the {len(records):,} annotated videos",
        where=str(videos),
        fix=f"The first one looked for is {records[0].video!r}.",
    )


def _store(
    writer: FrameStoreWriter, record: VideoRecord, path: str, job: VideoJob, decoded: DecodedVideo
) -> None:
    """Write a video's frames, if they are new, and its annotations."""
    if decoded.frames_NHWC is not None:
        writer.add_video(
            decoded.video_hash,
            path,
            decoded.frames_NHWC,
            times_us=job.times_us,
            duration_s=decoded.duration_s,
        )
    writer.add_record(record, video_hash=decoded.video_hash)


def _write_coverage(writer: FrameStoreWriter, report: PreparationReport, *, source: Path) -> None:
    """What was covered, into the store and beside it."""
    content = {"format": COVERAGE_FORMAT, "source": source.name, **asdict(report)}
    missing, _ = content.pop("missing"), content.pop("num_reused")
    writer.set_coverage(content)
    # Not in the store, whose coverage goes into every run's data.json.
    content["missing"] = missing
    write_json(writer.path.with_name(writer.path.name + ".coverage.json"), content)


def _left_out(record: VideoRecord, path: str, detail: str) -> QuarantinedVideo:
    """A quarantine entry; the first word of the detail is its reason."""
    reason = detail.partition(":")[0]
    return QuarantinedVideo(
        id=record.id, split=record.split, path=path, reason=reason, detail=detail
    )


def _report(found: FoundVideos, out: Path, *, num_reused: int) -> PreparationReport:
    """Coverage of every split that has annotations."""
    annotations = found.annotations
    store = FrameStore.open(out)
    stored_ids = {row.id for row in store.record_rows()}
    quarantine = tuple(store.quarantine())
    store.close()
    quarantined_ids = {entry.id for entry in quarantine}
    splits: dict[str, SplitCoverage] = {}
    missing: dict[str, tuple[str, ...]] = {}
    for split in sorted({record.split for record in annotations.records}):
        members = [i for i, r in enumerate(annotations.records) if r.split == split]
        ids = {annotations.records[i].id for i in members}
        without_file = (annotations.records[i].video for i in members if i not in found.with_file)
        missing[split] = tuple(dict.fromkeys(without_file))
        splits[split] = SplitCoverage(
            listed=annotations.split_sizes.get(split, len(members)),
            annotated=len(members),
            found=sum(i in found.with_file for i in members),
            stored=len(ids & stored_ids),
            quarantined=len(ids & quarantined_ids),
        )
    return PreparationReport(
        name=annotations.name,
        splits=splits,
        quarantine=quarantine,
        num_reused=num_reused,
        masked_negatives=masked_negatives(
            [record for record in annotations.records if record.id in stored_ids]
        ),
        notices=annotations.notices,
        missing=missing,
    )


_BYTES_PER_PIXEL = {"raw": 3.0, "jpeg": 0.33}
"""Measured (LOG.md, pixel pipelines)."""
_LEAST_BYTES_PER_PIXEL = {"raw": 3.0, "jpeg": 0.05}
"""Of the plainest pictures."""


def _check_room(plan: PreparationPlan, spec: StoreSpec, out: Path) -> None:
    """Refuse to begin what the disk surely cannot hold; what it may not hold, the plan tells."""
    there = out.stat().st_size if out.exists() else 0
    check_room(out, _store_bytes(plan.num_frames, spec, _LEAST_BYTES_PER_PIXEL) - there)


def _store_bytes(num_frames: int, spec: StoreSpec, bytes_per_pixel: Mapping[str, float]) -> int:
    """Size of a store."""
    return int(num_frames * spec.size**2 * bytes_per_pixel[spec.codec])


def _estimate(jobs: Sequence[VideoJob], spec: StoreSpec, out: Path) -> PreparationPlan:
    """Size of the work."""
    num_frames = sum(len(job.times_us) for job in jobs)
    store_bytes = _store_bytes(num_frames, spec, _BYTES_PER_PIXEL)
    there = out.stat().st_size if out.exists() else 0
    return PreparationPlan(
        num_videos=len(jobs),
        num_frames=num_frames,
        store_bytes=store_bytes,
        missing_bytes=missing_bytes(out, store_bytes - there),
    )
