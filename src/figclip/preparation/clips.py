"""Decodes the images and videos that a benchmark names into frame stores: media in, clips out."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
from jaxtyping import UInt8

from figclip.datasets.records import Box, Medium, MediumKind
from figclip.errors import DataError, VideoError
from figclip.preparation.prepare import VIDEO_LIMIT_S, decode_all
from figclip.runtime.progress import Progress, no_progress
from figclip.video.container import hash_video, video_duration_s
from figclip.video.decoding import decode_frames, to_time_us
from figclip.video.images import read_image
from figclip.video.media_folder import IMAGE_SUFFIXES, VIDEO_SUFFIXES, MediaFolder
from figclip.video.pixels import image_to_pixels
from figclip.video.sampling import Sampling, clip_times_s
from figclip.video.store import FrameStore, FrameStoreWriter, StoreSpec
from figclip.video.stored import StoredClips


@dataclass(frozen=True, slots=True)
class _Clip:
    """Where the frames of a medium lie."""

    store: Path
    key: str
    times_s: tuple[float, ...]


def prepare_clips(
    media: Sequence[Medium],
    *,
    images: Path | None,
    videos: Path | None,
    stores: Path,
    pipeline: str,
    size: int,
    sampling: Sampling,
    num_workers: int | None = None,
    limit_s: float = VIDEO_LIMIT_S,
    on_progress: Progress | None = None,
) -> StoredClips:
    """Find and decode images and whole videos. Can be killed and run again.

    Images are stored exactly, as the model's own processor makes their pixels; video frames as
    JPEG, of this `pipeline`. Frames are named by the file's content and their time, so that any
    benchmarks and samplings share the two stores, and what is there is not decoded again.

    `stores` is made when absent. One process per core decodes, unless `num_workers` says how many,
    and one file may take `limit_s` seconds.

    Returns:
        The clips, in the order of `media`; and why the others are not there: `the image is
        missing`, `the video is ambiguous: several files have its name`, or `unreadable video:`
        with the reason word of `video.decoding`, `video.images` or `video.sampling`, or `hung` or
        `crashed`.

    Raises:
        DataError: no folder for one of the kinds of media.
        StoreError: `stores` holds something else under our names.
        FigclipError: decoding processes cannot start.
    """
    decoder = _Decoder(
        stores=stores,
        pipeline=pipeline,
        size=size,
        sampling=sampling,
        num_workers=num_workers,
        limit_s=limit_s,
        on_progress=on_progress or no_progress,
    )
    found: dict[Medium, _Clip | str] = {}
    for folder in _search(media, images=images, videos=videos):
        found |= folder.absent | decoder.clips(folder.paths, folder.root, kind=folder.kind)
    return _number({medium: found[medium] for medium in dict.fromkeys(media)})


def find_media(
    media: Sequence[Medium], *, images: Path | None, videos: Path | None
) -> dict[Medium, str | None]:
    """Look for images and whole videos, without reading them.

    None for those that are there; of the others why not, in the words of `prepare_clips`.
    """
    found: dict[Medium, str | None] = {}
    for folder in _search(media, images=images, videos=videos):
        found |= {**dict.fromkeys(folder.paths), **folder.absent}
    return {medium: found[medium] for medium in dict.fromkeys(media)}


def prepare_files(
    files: Mapping[Medium, Path],
    *,
    stores: Path,
    pipeline: str,
    size: int,
    sampling: Sampling,
    on_progress: Progress | None = None,
) -> StoredClips:
    """As `prepare_clips`, of files by their paths, wherever they are, in the order of `files`."""
    decoder = _Decoder(
        stores=stores,
        pipeline=pipeline,
        size=size,
        sampling=sampling,
        on_progress=on_progress or no_progress,
    )
    found: dict[Medium, _Clip | str] = {}
    for kind in get_args(MediumKind):
        paths = {medium: path for medium, path in files.items() if medium.kind == kind}
        found |= decoder.clips(paths, None, kind=kind)
    return _number({medium: found[medium] for medium in files})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipJob:
    """An image or a whole video to decode. `key`: its `clip_key`; `box`: see `Medium`."""

    key: str
    kind: MediumKind
    path: Path
    box: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedClip:
    """A decoded image or video; an image has one frame, at 0, and lasts 0 s.

    Times are distinct and ascending, one per frame.
    """

    times_us: tuple[int, ...]
    frames_NHWC: UInt8[np.ndarray, "N S S 3"]  # noqa: N815
    duration_s: float


def clip_key(file_hash: str, box: Box | None) -> str:
    """Name of a clip in stores: `<hash>`, or `<hash>#left,top,width,height` of a part."""
    return (
        file_hash if box is None else f"{file_hash}#{box.left},{box.top},{box.width},{box.height}"
    )


def clip_times_us(kind: MediumKind, duration_s: float, sampling: Sampling) -> tuple[int, ...]:
    """Times of a clip's frames in whole microseconds; a `VideoError` if they are `too-long`."""
    times_s = (0.0,) if kind == "image" else clip_times_s(duration_s, sampling)
    return tuple(to_time_us(time_s) for time_s in times_s)


def decode_clip(
    job: ClipJob, *, spec: StoreSpec, sampling: Sampling, limit_s: float
) -> DecodedClip | VideoError:
    """Decode an image or a whole video, which may take `limit_s`; or say why not."""
    deadline_s = time.monotonic() + limit_s
    try:
        if job.kind == "image":
            pixels_HWC = image_to_pixels(read_image(job.path, box=job.box), pipeline=spec.pixels)
            return DecodedClip(times_us=(0,), frames_NHWC=pixels_HWC[np.newaxis], duration_s=0.0)
        duration_s = video_duration_s(job.path, deadline_s=limit_s)
        times_us = clip_times_us(job.kind, duration_s, sampling)
        frames_NHWC = decode_frames(
            job.path,
            [time_us / 1e6 for time_us in times_us],
            pipeline=spec.pixels,
            deadline_s=deadline_s - time.monotonic(),
        ).frames_NHWC
    except VideoError as error:
        return error
    except MemoryError:
        return VideoError("too-large: decoding it takes more memory than there is")
    return DecodedClip(times_us=times_us, frames_NHWC=frames_NHWC, duration_s=duration_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Searched:
    """A folder of images or videos: the file of each medium, or why there is none."""

    kind: MediumKind
    root: Path
    paths: dict[Medium, Path]
    absent: dict[Medium, str]


def _search(
    media: Sequence[Medium], *, images: Path | None, videos: Path | None
) -> Iterator[_Searched]:
    """Look for the media of each kind in its folder."""
    kinds: tuple[tuple[MediumKind, Path | None, frozenset[str]], ...] = (
        ("image", images, IMAGE_SUFFIXES),
        ("video", videos, VIDEO_SUFFIXES),
    )
    for kind, root, suffixes in kinds:
        chosen = [medium for medium in dict.fromkeys(media) if medium.kind == kind]
        if not chosen:
            continue
        if root is None:
            raise DataError(
                f"no folder is given for the {kind} {chosen[0].name!r}",
                fix=f"Give the folder of {kind}s",
            )
        folder = MediaFolder(root, suffixes=suffixes)
        found = {medium: folder.find_medium(medium) for medium in chosen}
        yield _Searched(
            kind=kind,
            root=root,
            paths={medium: paths[0] for medium, paths in found.items() if len(paths) == 1},
            absent={
                medium: _reason(kind, "ambiguous" if paths else "missing")
                for medium, paths in found.items()
                if len(paths) != 1
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decoder:
    """Decodes what the stores lack; the fields are arguments of `prepare_clips`."""

    stores: Path
    pipeline: str
    size: int
    sampling: Sampling
    num_workers: int | None = None
    limit_s: float = VIDEO_LIMIT_S
    on_progress: Progress

    def clips(
        self, paths: Mapping[Medium, Path], root: Path | None, *, kind: MediumKind
    ) -> dict[Medium, _Clip | str]:
        """A clip of each file, or why it cannot be read."""
        jobs, unreadable = self._plan_jobs(paths, kind)
        by_key = {job.key: job for job in jobs.values()}
        clips = self._decode(by_key, root, kind=kind) if by_key else {}
        return unreadable | {medium: clips[job.key] for medium, job in jobs.items()}

    def _plan_jobs(
        self, paths: Mapping[Medium, Path], kind: MediumKind
    ) -> tuple[dict[Medium, ClipJob], dict[Medium, _Clip | str]]:
        """What to decode for each medium, or why its file cannot be read."""
        absent: dict[Medium, _Clip | str] = {}
        files = list(dict.fromkeys(paths.values()))
        # Threads: hashing lets go of the interpreter, and waits for the disk.
        hashes: dict[Path, str | VideoError] = {}
        with ThreadPoolExecutor(self.num_workers or os.cpu_count()) as pool:
            for path, file_hash in zip(files, pool.map(_hash, files), strict=True):
                hashes[path] = file_hash
                self.on_progress(f"reading {kind}s", len(hashes), len(files))
        jobs: dict[Medium, ClipJob] = {}
        for medium, path in paths.items():
            file_hash = hashes[path]
            if isinstance(file_hash, VideoError):
                absent[medium] = _reason(kind, _first_word(file_hash))
            else:
                key = clip_key(file_hash, medium.box)
                jobs[medium] = ClipJob(key=key, kind=kind, path=path, box=medium.box)
        return jobs, absent

    def _decode(
        self, jobs: Mapping[str, ClipJob], root: Path | None, *, kind: MediumKind
    ) -> dict[str, _Clip | str]:
        """A clip, or the reason why there is none, for each key."""
        spec = StoreSpec(pipeline=self.pipeline, size=self.size, codec="jpeg")
        if kind == "image":
            spec = StoreSpec(pipeline=spec.pixels.reference, size=self.size, codec="raw")
        store = self.stores / f"{kind}s-{spec.pipeline}-{spec.size}.store"
        decode = partial(decode_clip, spec=spec, sampling=self.sampling, limit_s=self.limit_s)
        with FrameStoreWriter(store, spec=spec) as writer:
            results: dict[str, _Clip | str] = {**_stored(jobs, store, self.sampling)}
            lacking = [job for key, job in jobs.items() if key not in results]
            decoded = decode_all(
                lacking, decode, num_workers=self.num_workers, limit_s=self.limit_s
            )
            with closing(decoded):
                for done, (job, result) in enumerate(decoded, start=1):
                    if isinstance(result, VideoError):
                        results[job.key] = _reason(kind, _first_word(result))
                    else:
                        _add(writer, job, result, root)
                        results[job.key] = _clip(store, job, result.times_us)
                    self.on_progress(f"decoding {kind}s", done, len(lacking))
        return results


def _hash(path: Path) -> str | VideoError:
    """Hash of a file, or why it cannot be read."""
    try:
        return hash_video(path)
    except VideoError as error:
        return error


def _stored(jobs: Mapping[str, ClipJob], store: Path, sampling: Sampling) -> dict[str, _Clip]:
    """Clips whose frames at all times are there already: no process need be started for them."""
    clips: dict[str, _Clip] = {}
    with FrameStore.open(store) as reader:
        for key, job in jobs.items():
            known = reader.find_video(key)
            if known is None:
                continue
            try:
                times_us = clip_times_us(job.kind, known.duration_s, sampling)
            except VideoError:
                continue  # too long for this sampling: the decoder says so
            if set(times_us) <= set(reader.frame_times_us(key)):
                clips[key] = _clip(store, job, times_us)
    return clips


def _clip(store: Path, job: ClipJob, times_us: Sequence[int]) -> _Clip:
    """Where a job's frames lie."""
    return _Clip(store=store, key=job.key, times_s=tuple(time_us / 1e6 for time_us in times_us))


def _add(writer: FrameStoreWriter, job: ClipJob, decoded: DecodedClip, root: Path | None) -> None:
    """Write a clip's frames."""
    # Stores hold no absolute paths: of a file given by its path, its name.
    label = Path(job.path.name) if root is None else job.path.relative_to(root)
    writer.add_video(
        job.key,
        # Only a label; bytes that are not UTF-8 would not go into the store.
        label.as_posix().encode(errors="backslashreplace").decode(),
        decoded.frames_NHWC,
        times_us=decoded.times_us,
        duration_s=decoded.duration_s,
    )


def _first_word(error: VideoError) -> str:
    """The reason that an error begins with."""
    return error.what.partition(":")[0]


def _reason(kind: MediumKind, word: str) -> str:
    """Why a medium is not there: few different sentences, so that they can be counted."""
    sentences = {
        "missing": f"the {kind} is missing",
        "ambiguous": f"the {kind} is ambiguous: several files have its name",
        "unreadable": f"unreadable {kind}",
    }
    return sentences.get(word, f"unreadable {kind}: {word}")


def _number(found: Mapping[Medium, _Clip | str]) -> StoredClips:
    """The clips in the order of their media, equal ones once."""
    clips = {medium: clip for medium, clip in found.items() if isinstance(clip, _Clip)}
    distinct = {clip: clip_idx for clip_idx, clip in enumerate(dict.fromkeys(clips.values()))}
    stores = list(dict.fromkeys(clip.store for clip in distinct))
    return StoredClips(
        stores=tuple(FrameStore.open(path) for path in stores),
        store_of=tuple(stores.index(clip.store) for clip in distinct),
        key_of=tuple(clip.key for clip in distinct),
        times_s=tuple(clip.times_s for clip in distinct),
        clip_of={medium: distinct[clip] for medium, clip in clips.items()},
        absent={medium: why for medium, why in found.items() if isinstance(why, str)},
    )
