"""Opened data of an evaluation: annotations read, pictures and videos decoded."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from figclip.clip_preparation import find_media, prepare_clips
from figclip.data.benchmarks.catalogue import load_benchmark
from figclip.data.benchmarks.records import (
    ActionSet,
    Benchmark,
    CaptionedMedium,
    CompositionSet,
    Contrast,
    LabelledMedium,
    Medium,
    RetrievalSet,
)
from figclip.data.clips import StoredClips
from figclip.data.frames import FrameStore, StoreSpec
from figclip.data.stored_videos import StoredVideos, open_stored_videos
from figclip.data_sources import ANNOTATED, DEFAULT_SPLIT, DataSource, check_source, is_store
from figclip.errors import DataError, StoreError
from figclip.preparation import find_videos, prepare
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSource:
    """What annotations and the names of files tell of a source, before anything is decoded.

    Attributes:
        benchmark: Its items; None for annotated events.
        groups: Groups of which something is there, whether it can be decoded or not.
    """

    benchmark: Benchmark | None
    groups: frozenset[str]


def read_source(source: DataSource, *, frames_per_event: int, cache: Path | None) -> ReadSource:
    """Read annotations and look for their files; nothing is decoded.

    Args:
        source: What to read.
        frames_per_event: T, frames of each annotated event.
        cache: Folder of stores.

    Raises:
        DataError: PATH does not exist, lacks the files, options that contradict each other, a
            split without videos, a medium of a kind for which no folder is given, or not one
            image or video is there.
        AnnotationError: the files have problems.
        StoreError: PATH is a store that cannot be used, or one of other frames an event.
    """
    check_source(source, cache=cache)
    if source.name in ANNOTATED:
        groups = read_annotated(source, frames_per_event=frames_per_event)
        return ReadSource(benchmark=None, groups=groups)
    benchmark = read_benchmark(source)
    absent = find_media(media_of(benchmark), images=source.images, videos=source.videos)
    if all(absent.values()):
        raise _none_usable(source, {medium: str(why) for medium, why in absent.items()})
    groups = frozenset(
        item.group
        for item in benchmark.items
        if all(absent[medium] is None for medium in files_of(item))
    )
    return ReadSource(benchmark=benchmark, groups=groups)


def read_annotated(source: DataSource, *, frames_per_event: int) -> frozenset[str]:
    """Find out whether annotated events can be opened, before anything is decoded.

    Args:
        source: Annotated events that `check_source` has passed.
        frames_per_event: T, frames of each event.

    Returns:
        Groups of the chosen split that have a video; of videos without a group, each its own.

    Raises:
        DataError: a split without videos.
        AnnotationError: the annotations have problems.
        StoreError: PATH is a store that cannot be used, or one of other frames an event.
    """
    if is_store(source.path):
        stored = open_stored_videos([source.path], size=FrameStore.open(source.path).spec.size)
        splits = [record.split for record in stored.records]
        split = _choose_split(source, {*splits, *_split_coverages(stored.stores[0])}, splits)
        videos = stored.subset([i for i, one in enumerate(splits) if split in (None, one)])
        videos.require_frames(frames_per_event)
        return frozenset(record.group for record in videos.records)
    assert source.videos is not None, "checked with the source"
    found = find_videos(source.path, videos=source.videos, frames_per_event=frames_per_event)
    annotated = {record.split for record in found.annotations.records}
    split = _choose_split(source, annotated, [record.split for record in found.records])
    chosen = [record for record in found.records if split in (None, record.split)]
    return frozenset(record.group or f"file {record.video}" for record in chosen)


def check_stores(source: DataSource, specs: Sequence[StoreSpec]) -> None:
    """Find out whether the store of annotated events holds the pixels that models take.

    Args:
        source: Annotated events.
        specs: Of the models, different ones.

    Raises:
        DataError: one store for models that take different pixels.
        StoreError: the store holds others.
    """
    if is_store(source.path):
        held = FrameStore.open(source.path).spec
        for spec in specs:  # its own pipeline and codec will do
            FrameStore.open(source.path, require=replace(held, size=spec.size))
    elif source.store is not None:
        if len(specs) > 1:
            raise DataError(
                "the models take different pixels, which one store cannot hold",
                where=f"{source.path},store={source.store}",
                fix="Leave store= out: each gets a store in the cache",
            )
        if source.store.exists() and source.store.stat().st_size:
            FrameStore.open(source.store, require=specs[0])


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
    splits = [record.split for record in everything.records]
    frames = everything.stores[0]
    split = _choose_split(source, {*splits, *_split_coverages(frames)}, splits)
    videos = everything.subset([i for i, one in enumerate(splits) if split in (None, one)])
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


def read_benchmark(source: DataSource) -> Benchmark:
    """Read a benchmark's files.

    Args:
        source: A benchmark that `check_source` has passed.

    Raises:
        DataError: PATH lacks the files, or a medium of a kind for which no folder is given.
        AnnotationError: the files have problems.
    """
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
        raise _none_usable(source, clips.absent)
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
    return list(dict.fromkeys(medium for item in benchmark.items for medium in files_of(item)))


def files_of(item: CaptionedMedium | LabelledMedium | Contrast) -> tuple[Medium, ...]:
    """The images and videos that an item is about."""
    return item.media if isinstance(item, Contrast) else (item.medium,)


def _choose_split(
    source: DataSource, annotated: Collection[str], splits: Sequence[str]
) -> str | None:
    """The split to take, of the annotations; None for all videos.

    The default is chosen by the annotations, not by the videos found: training videos must not
    stand in for a split that was asked for by default and has no video.

    Args:
        source: Says which split is asked for.
        annotated: All splits.
        splits: Of each video that is there.
    """
    split = source.split or (DEFAULT_SPLIT if DEFAULT_SPLIT in annotated else None)
    if split is None or split in splits:
        return split
    listed = ", ".join(f"{name} ({count:,})" for name, count in sorted(Counter(splits).items()))
    raise DataError(
        f"there are no videos of split {split!r}",
        where=str(source.path),
        fix=f"Splits with videos are {listed}",
    )


def _none_usable(source: DataSource, absent: Mapping[Medium, str]) -> DataError:
    """The error for a benchmark of which not one image or video is there and readable."""
    first, reason = next(iter(absent.items()))
    return DataError(
        f"none of the {len(absent):,} files of {source.name} can be used",
        where=str(source.videos or source.images),
        fix=f"The first one looked for is {first.name!r}: {reason}",
    )


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
