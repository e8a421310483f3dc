"""What `--data NAME:PATH[,option=value…]` means.

NAME says how PATH is read and which tasks can run on it:

- `events`: a JSONL or CSV file of own annotations (docs/annotations.md)
- `vidsitu`: the folder of the official VidSitu files
- those of `data.benchmarks.catalogue`: published benchmarks, and own files for their tasks

Files of `events` and `vidsitu` need `videos=DIR`, unless PATH is a frame store that `prepare`
made; without `split=S` the videos of split `valid` are used, or all when the annotations have no
such split. Benchmarks need `images=DIR` or `videos=DIR`, whichever they are about.

`face=detail` or `face=kept` says what the data test, where that is not what their task mostly does:
classes may be fine-grained, and the captions of a set for retrieval dense. `prompts=…` replaces
`--prompts` for one set of classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from figclip.data.benchmarks.catalogue import BENCHMARKS
from figclip.data.prompts import find_prompts
from figclip.errors import ConfigError, DataError
from figclip.tasks.base import Face

ANNOTATED = ("events", "vidsitu")
"""NAMEs of annotated events."""
DEFAULT_SPLIT = "valid"
"""Of annotated events, where they have it."""

OWN = ("events", "retrieval", "actions", "pairs")
"""NAMEs of anyone's own files: these say nothing of what is tested, the file's own name may."""

NAMES = (*ANNOTATED, *BENCHMARKS)
FACES: tuple[Face, ...] = get_args(Face)
PATHS = ("videos", "images", "store")
OPTIONS = (*PATHS, "split", "face", "prompts")
_SQLITE_HEADER = b"SQLite format 3\0"


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
        prompts: What class names are put into, see `data.prompts`; None: as for all data. Only of
            sets of classes.

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
                "comma in it cannot be given here: rename it, or make a link to it; prompts with a "
                "comma only by --prompts",
            )
        if not value or key in options:
            raise ConfigError(f"{key}= is {'given twice' if value else 'empty'}", where=where)
        options[key] = value
    if "prompts" in options:
        _check_prompts(options["prompts"], name=name, where=where)
    paths = {key: _path(value, where) for key, value in options.items() if key in PATHS}
    return DataSource(
        name=name,
        path=_path(path, where),
        videos=paths.get("videos"),
        images=paths.get("images"),
        split=options.get("split"),
        store=paths.get("store"),
        face=_face(options["face"], where) if "face" in options else None,
        prompts=options.get("prompts"),
    )


def check_source(source: DataSource, *, cache: Path | None) -> None:
    """Find out whether a source can be opened, before any long work.

    Raises:
        DataError: PATH does not exist, or options that contradict each other.
    """
    where = str(source.path)
    if not source.path.exists():
        files = BENCHMARKS[source.name].files if source.name in BENCHMARKS else ""
        fix = f"{source.name} reads: {files}" if files else ""
        raise DataError("does not exist", where=where, fix=fix)
    if source.name in ANNOTATED:
        _check_annotated(source, where, cache=cache)
    else:
        _check_benchmark(source, where, cache=cache)


def is_store(path: Path) -> bool:
    """Whether a path is a file of the kind that frame stores are."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_SQLITE_HEADER)) == _SQLITE_HEADER


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


def _face(text: str, where: str) -> Face:
    """A face by its name."""
    for face in FACES:
        if text == face:
            return face
    raise ConfigError(f"unknown face {text!r}", where=where, fix=f"Faces are {' and '.join(FACES)}")


def _path(text: str, where: str) -> Path:
    """A path in which `~` may be somebody's home."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(str(error), where=where) from error
