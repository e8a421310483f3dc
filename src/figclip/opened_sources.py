"""Opened data of an evaluation: annotations read, pictures and videos decoded."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from figclip.clip_preparation import prepare_clips
from figclip.data.benchmarks.catalogue import load_benchmark
from figclip.data.benchmarks.records import (
    ActionSet,
    Benchmark,
    CompositionSet,
    Medium,
    RetrievalSet,
)
from figclip.data.clips import StoredClips
from figclip.data.frames import FrameStore, StoreSpec
from figclip.data.stored_videos import StoredVideos, open_stored_videos
from figclip.data_sources import ANNOTATED, DEFAULT_SPLIT, DataSource, check_source, is_store
from figclip.errors import DataError, StoreError
from figclip.preparation import prepare
from figclip.presets import Preset
from figclip.tasks.base import LeftOut
from figclip.tasks.media import MediaSet

_OLD_STORE = (
    "the store was prepared before stores kept the annotation files, so that what is asked is made "
    "of the words of its own videos only: run `figclip prepare` again"
)

Content = StoredVideos | MediaSet[RetrievalSet] | MediaSet[ActionSet] | MediaSet[CompositionSet]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSource:
    """The content of a source.

    Attributes:
        content: The videos or items of the chosen split.
        split: Its name; None when everything was taken.
        left_out: Videos of the split that could not be decoded, of annotated events; tasks on
            benchmarks say themselves which items they leave out.
        coverage: Files of the split that are listed, found, stored, quarantined (videos also:
            annotated); empty for a store that `prepare` did not finish.
        hash: Of annotations, files and pixels of all that is in `content`.
        pipeline: Name of the pixel pipeline of the frames.
        notices: What its reader handled by rule.
    """

    content: Content
    split: str | None
    left_out: tuple[LeftOut, ...]
    coverage: dict[str, int]
    hash: str
    pipeline: str
    notices: tuple[str, ...] = ()


def open_annotated(
    source: DataSource,
    *,
    spec: StoreSpec,
    frames_per_event: int,
    cache: Path | None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> OpenedSource:
    """Annotated events, their videos decoded if they are not yet.

    Args:
        source: What to open.
        spec: Pixels to decode; of a store that is given as PATH only the size must fit.
        frames_per_event: T, frames to decode for each event.
        cache: Folder of stores, needed for annotations without `store=`.
        on_progress: Told what is being done, how much of how much.

    Raises:
        DataError: PATH does not exist, options that contradict each other, or a split without
            videos.
        StoreError: a store that cannot be used.
    """

    def report(done: int, total: int, _: int) -> None:
        if on_progress is not None:
            on_progress("decoding videos", done, total)

    store = _store(
        source, spec=spec, frames_per_event=frames_per_event, cache=cache, on_video=report
    )
    everything = open_stored_videos([store], size=spec.size)
    splits = Counter(record.split for record in everything.records)
    frames = everything.stores[0]
    # Of the annotations, not of the videos found: training videos must not stand in for a split
    # that was asked for by default and has no video.
    annotated = {*splits, *_split_coverages(frames)}
    split = source.split or (DEFAULT_SPLIT if DEFAULT_SPLIT in annotated else None)
    if split is not None and split not in splits:
        listed = ", ".join(f"{name} ({count:,})" for name, count in sorted(splits.items()))
        raise DataError(
            f"there are no videos of split {split!r}",
            where=str(source.path),
            fix=f"Splits with videos are {listed}",
        )
    videos = everything.subset(
        [i for i, record in enumerate(everything.records) if split in (None, record.split)]
    )
    left_out = tuple(
        LeftOut(item=one.id, reason=f"the video was not prepared: {one.reason}")
        for one in frames.quarantine()
        if split in (None, one.split)
    )
    return OpenedSource(
        content=videos,
        split=split,
        left_out=left_out,
        coverage=_coverage(frames, split),
        hash=videos.content_hash,
        pipeline=frames.spec.pipeline,
        notices=() if frames.keeps_source else (_OLD_STORE,),
    )


def read_benchmark(source: DataSource, *, cache: Path | None) -> Benchmark | None:
    """Read a benchmark's files, before any long work.

    Args:
        source: What to read.
        cache: Folder of stores.

    Returns:
        The benchmark; None for annotated events, which are only checked.

    Raises:
        DataError: PATH does not exist, lacks the files, options that contradict each other, or a
            medium of a kind for which no folder is given.
        AnnotationError: the files have problems.
    """
    check_source(source, cache=cache)
    if source.name in ANNOTATED:
        return None
    benchmark = load_benchmark(source.name, source.path, split=source.split)
    folders = {"image": source.images, "video": source.videos}
    for medium in media_of(benchmark):
        if folders[medium.kind] is None:
            raise DataError(
                f"it holds the {medium.kind} {medium.name!r}, and no {medium.kind}s=DIR is given",
                where=str(source.path),
                fix=f"Add ,{medium.kind}s=DIR",
            )
    return benchmark


def open_benchmark(
    source: DataSource,
    benchmark: Benchmark,
    *,
    spec: StoreSpec,
    preset: Preset,
    cache: Path,
    on_progress: Callable[[str, int, int], None] | None,
) -> OpenedSource:
    """A benchmark with those of its media that are there, decoded if they are not yet.

    Args:
        source: Where it came from.
        benchmark: Its items.
        spec: Size and pipeline of video frames.
        preset: Which frames of a video.
        cache: Folder of stores.
        on_progress: Told what is being done, how much of how much.

    Raises:
        DataError: not one image or video is there and readable.
        StoreError: a store in the cache cannot be used.
    """
    media = media_of(benchmark)
    clips = prepare_clips(
        media,
        images=source.images,
        videos=source.videos,
        stores=cache / "stores",
        pipeline=spec.pipeline,
        size=spec.size,
        sampling=preset.sampling,
        on_progress=on_progress,
    )
    if not clips.clip_of:
        first, reason = next(iter(clips.absent.items()))
        raise DataError(
            f"none of the {len(media):,} files of {source.name} can be used",
            where=str(source.videos or source.images),
            fix=f"The first one looked for is {first.name!r}: {reason}",
        )
    content_hash = hashlib.blake2b(repr(benchmark).encode(), digest_size=16)
    content_hash.update(clips.content_hash.encode())
    return OpenedSource(
        content=_media_set(benchmark, clips),
        split=benchmark.split,
        left_out=(),
        coverage=clips.coverage,
        hash=content_hash.hexdigest(),
        pipeline=spec.pipeline if any(one.kind == "video" for one in media) else "pil",
        notices=benchmark.notices,
    )


def media_of(benchmark: Benchmark) -> list[Medium]:
    """All different images and videos of a benchmark, in the order of its items."""
    if isinstance(benchmark, CompositionSet):
        listed = [medium for item in benchmark.items for medium in item.media]
    else:
        listed = [item.medium for item in benchmark.items]
    return list(dict.fromkeys(listed))


def _media_set(benchmark: Benchmark, clips: StoredClips) -> Content:
    """The benchmark with its clips, typed by its kind."""
    if isinstance(benchmark, RetrievalSet):
        return MediaSet(benchmark=benchmark, clips=clips)
    if isinstance(benchmark, ActionSet):
        return MediaSet(benchmark=benchmark, clips=clips)
    return MediaSet(benchmark=benchmark, clips=clips)


def _store(
    source: DataSource,
    *,
    spec: StoreSpec,
    frames_per_event: int,
    cache: Path | None,
    on_video: Callable[[int, int, int], None],
) -> Path:
    """The frame store of a source, filled if need be."""
    if is_store(source.path):
        return source.path
    assert source.videos is not None
    out = source.store
    if out is None:
        assert cache is not None
        # Named by the places, not by their content: changed annotations update their store.
        places = f"{source.path.resolve()}\0{source.videos.resolve()}"
        name = f"{source.name}-{source.path.stem}-{_short_hash(places.encode())}"
        out = cache / "stores" / f"{name}-{spec.pipeline}-{spec.size}-{spec.codec}.store"
    prepare(
        source.path,
        videos=source.videos,
        out=out,
        spec=spec,
        frames_per_event=frames_per_event,
        on_video=on_video,
    )
    return out


def _split_coverages(store: FrameStore) -> dict[str, dict[str, int]]:
    """Coverage of each split, as `prepare` wrote it."""
    splits = store.coverage.get("splits", {})
    well_formed = isinstance(splits, dict) and all(
        isinstance(part, dict) and all(type(count) is int for count in part.values())
        for part in splits.values()
    )
    if not well_formed:
        raise StoreError(
            "its coverage is damaged", where=str(store.path), fix="Run `figclip prepare` again"
        )
    return splits


def _coverage(store: FrameStore, split: str | None) -> dict[str, int]:
    """Coverage of a split, or of all together."""
    total: Counter[str] = Counter()
    for name, part in _split_coverages(store).items():
        if split in (None, name):
            total.update(part)
    return dict(total)


def _short_hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=4).hexdigest()
