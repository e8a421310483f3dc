"""What `--data NAME:PATH[,option=value…]` means, and the data it opens. See docs/data.md.

NAME says how PATH is read and which tasks can run on it:

- `events`: a JSONL or CSV file of own annotations (docs/annotations.md)
- `vidsitu`: the folder of the official VidSitu files
- those of `datasets.catalogue`: published benchmarks, and own files for their tasks

Files of `events` and `vidsitu` need `videos=DIR`, unless PATH is a frame store that `prepare`
made. Without `split=S` the videos of split `valid` are used, or all when the annotations have no
such split. Benchmarks need `images=DIR` or `videos=DIR`, whichever they are about.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast, get_args

from figclip.annotations.splits import EVALUATED_SPLIT
from figclip.datasets.actions import find_prompts
from figclip.datasets.catalogue import BENCHMARKS, load_benchmark
from figclip.datasets.records import (
    ActionSet,
    Benchmark,
    CompositionSet,
    LeftOut,
    Medium,
    RetrievalSet,
)
from figclip.errors import ConfigError, DataError, StoreError
from figclip.preparation.clips import find_media
from figclip.preparation.prepare import find_videos, name_some, prepare
from figclip.runtime.progress import Progress, no_progress
from figclip.tasks.base import Face
from figclip.tasks.media import MediaSet, files_of
from figclip.video.pixels import PixelPipeline
from figclip.video.store import FrameStore, StoreSpec, is_store
from figclip.video.stored import StoredClips, StoredVideos, open_stored_videos

ANNOTATED = ("events", "vidsitu")
"""NAMEs of annotated events."""

OWN = ("events", "retrieval", "actions", "pairs")
"""NAMEs of anyone's own files: these say nothing of what is tested, the file's own name may."""

NAMES = (*ANNOTATED, *BENCHMARKS)
FACES: tuple[Face, ...] = get_args(Face)
PATHS = ("videos", "images", "store")
OPTIONS = (*PATHS, "split", "face", "prompts")
_GRAMMAR = "see docs/data.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """One `--data`.

    Attributes:
        name: One of `NAMES`.
        path: Annotations, a frame store, or a benchmark's files.
        videos: Folder of the videos; None when `path` is a frame store or there are none.
        images: Folder of the images; None when there are none.
        split: Only this split; None for the default.
        store: Frame store to fill or reuse instead of one in the cache; of annotated events only.
        face: Whether the data test detail or what must be kept; None: as their task says.
        prompts: What class names are put into, see `datasets.actions`; None: as for all data. Only
            of sets of classes.

    Raises:
        ConfigError: prompts that there are not, or for data without classes.
    """

    name: str
    path: Path
    videos: Path | None = None
    images: Path | None = None
    split: str | None = None
    store: Path | None = None
    face: Face | None = None
    prompts: str | None = None

    def __post_init__(self) -> None:
        if self.prompts is not None:
            _check_prompts(self.prompts, name=self.name, where=f"{self.name}:{self.path}")

    @property
    def title(self) -> str:
        """What tells it from others of the same name in notices: `events:my.jsonl,split=val`."""
        return f"{self.name}:{self.path.name}" + (f",split={self.split}" if self.split else "")


def parse_source(text: str, *, option: str = "--data") -> DataSource:
    """Parse the value of `--data`, or of another option that takes data.

    Args:
        text: `NAME:PATH[,videos=DIR][,images=DIR][,split=S][,store=FILE][,face=F][,prompts=P]`.
        option: What it was given to, for messages.

    Raises:
        ConfigError: no NAME, an unknown one (the valid ones are listed), no PATH, or an option that
            is unknown, empty or given twice, an unknown face, or prompts that `DataSource` refuses.
            Paths and prompts with a comma cannot be written this way.
    """
    where = f"{option} {text}"
    name, colon, rest = text.partition(":")
    if not colon or name not in NAMES:
        fix = f"Write NAME:PATH with NAME one of {', '.join(NAMES)}; {_GRAMMAR}"
        if is_store(Path(text.split(",")[0])):
            fix = f"Write events:{text}, or vidsitu:{text} if it is of VidSitu"
        elif close := get_close_matches(name, NAMES, n=1):
            fix = f'Did you mean "{close[0]}"? {fix}'
        what = f"unknown data set {name!r}" if colon else "says no data set"
        raise ConfigError(what, where=where, fix=fix)
    path, *parts = rest.split(",")
    if not path:
        raise ConfigError("says no path", where=where, fix=f"Write {name}:PATH; {_GRAMMAR}")
    options: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or key not in OPTIONS:
            raise ConfigError(
                f"{part!r} is not an option",
                where=where,
                fix=f"Options are {', '.join(f'{one}=…' for one in OPTIONS)}. A path that has a "
                "comma in it cannot be given here: rename it, or make a link to it; prompts with a "
                f"comma only by --prompts; {_GRAMMAR}",
            )
        if not value or key in options:
            what = f"{key}= is {'given twice' if value else 'empty'}"
            raise ConfigError(what, where=where, fix=f"Write {key}=… once; {_GRAMMAR}")
        options[key] = value
    if "prompts" in options:
        _check_prompts(options["prompts"], name=name, where=where)
    if (face := options.get("face")) not in (None, *FACES):
        fix = f"Faces are {' and '.join(FACES)}"
        raise ConfigError(f"unknown face {face!r}", where=where, fix=fix)
    values: dict[str, Any] = {
        key: _path(value, where) if key in PATHS else value for key, value in options.items()
    }
    return DataSource(name=name, path=_path(path, where), **values)


def check_source(source: DataSource, *, cache: Path | None) -> None:
    """Find out whether a source can be opened, before any long work."""
    where = str(source.path)
    if not source.path.exists():
        files = BENCHMARKS[source.name].files if source.name in BENCHMARKS else ""
        fix = f"{source.name} reads: {files}" if files else ""
        raise DataError("does not exist", where=where, fix=fix)
    if source.name in ANNOTATED:
        _check_annotated(source, where, cache=cache)
    else:
        _check_benchmark(source, where, cache=cache)


def _check_annotated(source: DataSource, where: str, *, cache: Path | None) -> None:
    """Options of annotated events."""
    if source.images is not None:
        raise DataError(f"{source.name} is about videos, not images", where=where)
    if is_store(source.path):
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


def _check_benchmark(source: DataSource, where: str, *, cache: Path | None) -> None:
    """Options of a benchmark."""
    kinds = BENCHMARKS[source.name].media
    folders = {"image": source.images, "video": source.videos}
    if source.store is not None:
        raise DataError("store= goes with annotated events only", where=where, fix="Leave it out")
    for kind, folder in folders.items():
        if folder is not None and kind not in kinds:
            raise DataError(f"{source.name} has no {kind}s", where=where, fix=f"Drop {kind}s=")
        if folder is not None and not folder.is_dir():
            raise DataError("is not a folder", where=str(folder))
    if not any(folders[kind] for kind in kinds):
        wanted = " or ".join(f",{kind}s=DIR" for kind in kinds)
        raise DataError(f"{source.name} needs its {kinds[0]}s", where=where, fix=f"Add {wanted}")
    if cache is None:
        raise DataError("there is no place for decoded pictures", fix="Give a cache folder")


def _check_prompts(prompts: str, *, name: str, where: str) -> None:
    """Refuse unknown prompts, and prompts for data without classes, before any work."""
    if name not in BENCHMARKS or BENCHMARKS[name].family != "actions":
        raise ConfigError(
            f"{name} has no classes to put into prompts", where=where, fix="Leave prompts= out"
        )
    find_prompts(prompts, where=where)


def _path(text: str, where: str) -> Path:
    """A path in which `~` may be somebody's home."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(str(error), where=where) from error


_OLD_STORE = (
    "the store was prepared before stores kept the annotation files, so the tests draw words from "
    "its own videos only: run `figclip prepare` again"
)

Content = StoredVideos | MediaSet[RetrievalSet] | MediaSet[ActionSet] | MediaSet[CompositionSet]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedData:
    """What is known of a source that was opened, besides its content.

    Attributes:
        split: The chosen one; None when everything was taken.
        left_out: Videos of the split that could not be decoded, of annotated events; tasks on
            benchmarks say themselves which items they leave out.
        coverage: Files of the split that are listed, found, stored, quarantined (videos also:
            annotated); empty for a store that `prepare` did not finish.
        hash: Hash of annotations, files and pixels of all that is in the content.
        pipeline: Name of the pixel pipeline of the frames.
        notices: What its reader handled by rule.
    """

    split: str | None
    left_out: tuple[LeftOut, ...]
    coverage: dict[str, int]
    hash: str
    pipeline: str
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSource(OpenedData):
    """The content of a source: the videos or items of the chosen split."""

    content: Content


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSource:
    """What annotations and the names of files tell of a source, before anything is decoded.

    `source` says its split; `benchmark` is None for annotated events; `groups` have something that
    may be decodable.
    """

    source: DataSource
    benchmark: Benchmark | None
    groups: frozenset[str]


def read_source(source: DataSource, *, frames_per_event: int, cache: Path | None) -> ReadSource:
    """Read annotations and look for their files; nothing is decoded."""
    check_source(source, cache=cache)
    if source.name in ANNOTATED:
        return read_annotated(source, frames_per_event=frames_per_event)
    benchmark = read_benchmark(source)
    absent = find_media(media_of(benchmark), images=source.images, videos=source.videos)
    if all(absent.values()):
        raise _none_usable(source, {medium: str(why) for medium, why in absent.items()})
    groups = frozenset(
        item.group
        for item in benchmark.items
        if all(absent[medium] is None for medium in files_of(item))
    )
    return ReadSource(source=source, benchmark=benchmark, groups=groups)


def read_annotated(source: DataSource, *, frames_per_event: int) -> ReadSource:
    """The chosen split, and its groups that have a video; a video without a group is its own.

    Nothing is decoded. `check_source` has passed the source.
    """
    if is_store(source.path):
        stored = open_stored_videos([source.path], size=FrameStore.open(source.path).spec.size)
        splits = [head.split for head in stored.heads]
        split = choose_split(source, {*splits, *_split_coverages(stored.stores[0])}, splits)
        videos = stored.subset([i for i, one in enumerate(splits) if split in (None, one)])
        videos.require_frames(frames_per_event)
        groups = frozenset(head.group for head in videos.heads)
        return ReadSource(source=replace(source, split=split), benchmark=None, groups=groups)
    assert source.videos is not None, "checked with the source"
    found = find_videos(source.path, videos=source.videos, frames_per_event=frames_per_event)
    annotated = {record.split for record in found.annotations.records}
    split = choose_split(source, annotated, [record.split for record in found.records])
    chosen = [record for record in found.records if split in (None, record.split)]
    groups = frozenset(record.group or f"file {record.video}" for record in chosen)
    return ReadSource(source=replace(source, split=split), benchmark=None, groups=groups)


def check_stores(source: DataSource, specs: Sequence[StoreSpec]) -> None:
    """Find out whether the store of annotated events holds the pixels that models take."""
    if is_store(source.path):
        held = FrameStore.open(source.path).spec
        for spec in specs:
            FrameStore.open(source.path, require=spec.like(held))
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
    on_progress: Progress | None = None,
) -> OpenedSource:
    """Annotated events, their videos decoded if they are not yet.

    A store that is given as PATH need only have the size of `spec`. Only the split that the source
    says is decoded into the cache; a store that it names gets all, to be trained on as well.
    """
    say = on_progress or no_progress

    def report(done: int, total: int, _: int) -> None:
        say("decoding videos", done, total)

    store, missing = _store(
        source, spec=spec, frames_per_event=frames_per_event, cache=cache, on_video=report
    )
    everything = open_stored_videos([store], size=spec.size)
    splits = [head.split for head in everything.heads]
    frames = everything.stores[0]
    split = choose_split(source, {*splits, *_split_coverages(frames)}, splits)
    chosen = [i for i, one in enumerate(splits) if split in (None, one)]
    videos = everything.subset(chosen).in_memory()
    left_out = tuple(
        LeftOut(item=one.id, reason=f"the video was not prepared: {one.reason}")
        for one in frames.quarantine()
        if split in (None, one.split)
    )
    absent = [name for part, names in missing.items() if split in (None, part) for name in names]
    notices = () if frames.keeps_source else (_OLD_STORE,)
    if absent:
        notices += (f"{len(absent):,} of the videos have no file: {name_some(absent)}.",)
    return OpenedSource(
        content=videos,
        split=split,
        left_out=left_out,
        coverage=_coverage(frames, split),
        hash=videos.content_hash,
        pipeline=frames.spec.pipeline,
        notices=notices,
    )


def read_benchmark(source: DataSource) -> Benchmark:
    """Read a benchmark's files; `check_source` has passed the source."""
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
    source: DataSource, benchmark: Benchmark, decoded: StoredClips, *, pipeline: str
) -> OpenedSource:
    """A benchmark with those of its media that are there.

    There may be others among those `decoded`; `pipeline` is that of video frames.
    """
    media = media_of(benchmark)
    clips = decoded.subset(media)
    if not clips.clip_of:
        raise _none_usable(source, clips.absent)
    of_pictures = PixelPipeline(name=pipeline).reference
    content_hash = hashlib.blake2b(repr(benchmark).encode(), digest_size=16)
    content_hash.update(clips.content_hash.encode())
    return OpenedSource(
        content=MediaSet(benchmark=cast(Any, benchmark), clips=clips),
        split=benchmark.split,
        left_out=(),
        coverage=clips.coverage,
        hash=content_hash.hexdigest(),
        pipeline=pipeline if any(one.kind == "video" for one in media) else of_pictures,
        notices=benchmark.notices,
    )


def media_of(benchmark: Benchmark) -> list[Medium]:
    """All different images and videos of a benchmark, in the order of its items."""
    return list(dict.fromkeys(medium for item in benchmark.items for medium in files_of(item)))


def choose_split(
    source: DataSource, annotated: Collection[str], splits: Sequence[str]
) -> str | None:
    """The split to take; `annotated` are all, `splits` those of the videos that are there."""
    # The default is chosen by the annotations, not by the videos found: training videos must not
    # stand in for a split that was asked for by default and has no video.
    split = source.split or (EVALUATED_SPLIT if EVALUATED_SPLIT in annotated else None)
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


def _store(
    source: DataSource,
    *,
    spec: StoreSpec,
    frames_per_event: int,
    cache: Path | None,
    on_video: Callable[[int, int, int], None],
) -> tuple[Path, Mapping[str, Sequence[str]]]:
    """The frame store of a source, filled if need be; and what has no file, if that is known."""
    if is_store(source.path):
        return source.path, {}
    assert source.videos is not None
    out = source.store
    if out is None:
        assert cache is not None
        # Named by the places, not by their content: changed annotations update their store.
        places = f"{source.path.resolve()}\0{source.videos.resolve()}"
        places_hash = hashlib.blake2b(places.encode(), digest_size=4).hexdigest()
        name = f"{source.name}-{source.path.stem}-{places_hash}"
        if source.split is not None:
            name += f"-split-{hashlib.blake2b(source.split.encode(), digest_size=4).hexdigest()}"
        out = cache / "stores" / f"{name}-{spec.pipeline}-{spec.size}-{spec.codec}.store"
    report = prepare(
        source.path,
        videos=source.videos,
        out=out,
        spec=spec,
        frames_per_event=frames_per_event,
        split=source.split if source.store is None else None,
        on_video=on_video,
    )
    return out, report.missing


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
