"""What `--data NAME:PATH[,option=value…]` means, and the videos that it gives.

NAME says how PATH is read and which tasks can run on it:

- `events`: a JSONL or CSV file of own annotations (docs/annotations.md)
- `vidsitu`: the folder of the official VidSitu files

With `videos=DIR` the frames are decoded into a frame store, once; PATH may also be a frame store
that `figclip prepare` made. Without `split=S` the videos of split `valid` are used, or all when
the annotations have no such split.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from figclip.data.frames import FrameStore, StoreSpec
from figclip.data.stored_videos import StoredVideos, open_stored_videos
from figclip.errors import ConfigError, DataError, StoreError
from figclip.preparation import prepare
from figclip.tasks.base import LeftOut

NAMES = ("events", "vidsitu")
OPTIONS = ("videos", "split", "store")
DEFAULT_SPLIT = "valid"
_SQLITE_HEADER = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """One `--data`.

    Attributes:
        name: One of `NAMES`.
        path: Annotations, or a frame store.
        videos: Folder of the videos; None when `path` is a frame store.
        split: Only videos of this split; None for the default.
        store: Frame store to fill or reuse instead of one in the cache.
    """

    name: str
    path: Path
    videos: Path | None = None
    split: str | None = None
    store: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSource:
    """The videos of a source.

    Attributes:
        videos: Those of the chosen split.
        split: Its name; None when all videos were taken.
        left_out: Videos of the split that could not be decoded.
        coverage: Videos of the split that are listed, annotated, found, stored, quarantined, as
            `prepare` counted them; empty for a store that it did not finish.
        hash: Of annotations, videos and pixels of all that is in `videos`.
        pipeline: Name of the pixel pipeline of the frames.
    """

    videos: StoredVideos
    split: str | None
    left_out: tuple[LeftOut, ...]
    coverage: dict[str, int]
    hash: str
    pipeline: str


def parse_source(text: str) -> DataSource:
    """Parse the value of `--data`.

    Args:
        text: `NAME:PATH[,videos=DIR][,split=S][,store=FILE]`.

    Raises:
        ConfigError: no NAME, an unknown one (the valid ones are listed), no PATH, or an option that
            is unknown, empty or given twice. Paths with a comma cannot be written this way.
    """
    where = f"--data {text}"
    name, colon, rest = text.partition(":")
    if not colon or name not in NAMES:
        raise ConfigError(
            f"unknown data set {name!r}" if colon else "says no data set",
            where=where,
            fix=f"Write NAME:PATH with NAME one of {', '.join(NAMES)}",
        )
    path, *parts = rest.split(",")
    if not path:
        raise ConfigError("says no path", where=where, fix=f"Write {name}:PATH")
    options: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or key not in OPTIONS:
            raise ConfigError(
                f"{part!r} is not an option",
                where=where,
                fix=f"Options are {', '.join(f'{one}=…' for one in OPTIONS)}. A path that has a "
                "comma in it cannot be given here: rename it, or make a link to it",
            )
        if not value or key in options:
            raise ConfigError(f"{key}= is {'given twice' if value else 'empty'}", where=where)
        options[key] = value
    return DataSource(
        name=name,
        path=Path(path).expanduser(),
        videos=_path(options.get("videos")),
        split=options.get("split"),
        store=_path(options.get("store")),
    )


def open_source(
    source: DataSource, *, spec: StoreSpec, frames_per_event: int, cache: Path | None
) -> OpenedSource:
    """The videos of a source, decoded if they are not yet.

    Args:
        source: What to open.
        spec: Pixels to decode; of a store that is given as PATH only the size must fit.
        frames_per_event: T, frames to decode for each event.
        cache: Folder of stores, needed for annotations without `store=`.

    Raises:
        DataError: PATH does not exist, options that contradict each other, or a split without
            videos.
        StoreError: a store that cannot be used.
    """
    store = _store(source, spec=spec, frames_per_event=frames_per_event, cache=cache)
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
        videos=videos,
        split=split,
        left_out=left_out,
        coverage=_coverage(frames, split),
        hash=videos.content_hash,
        pipeline=frames.spec.pipeline,
    )


def check_source(source: DataSource, *, cache: Path | None) -> None:
    """Find out whether a source can be opened, before any long work.

    Raises:
        DataError: PATH does not exist, or options that contradict each other.
    """
    where = str(source.path)
    if not source.path.exists():
        raise DataError("does not exist", where=where)
    if _is_store(source.path):
        if source.videos or source.store:
            raise DataError(
                "is a frame store, which videos= and store= do not go with",
                where=where,
                fix="Leave these options out, or give the annotations as PATH",
            )
        return
    if source.videos is None:
        raise DataError(
            "is not a frame store, and annotations need their videos",
            where=where,
            fix="Add ,videos=DIR",
        )
    if source.store is None and cache is None:
        raise DataError(
            "there is no place for the decoded frames",
            where=where,
            fix="Add ,store=FILE, or give a cache folder",
        )


def _store(
    source: DataSource, *, spec: StoreSpec, frames_per_event: int, cache: Path | None
) -> Path:
    """The frame store of a source, filled if need be."""
    check_source(source, cache=cache)
    if _is_store(source.path):
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
        source.path, videos=source.videos, out=out, spec=spec, frames_per_event=frames_per_event
    )
    return out


def _is_store(path: Path) -> bool:
    """Whether a path is a file of the kind that frame stores are."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_SQLITE_HEADER)) == _SQLITE_HEADER


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


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text).expanduser()
