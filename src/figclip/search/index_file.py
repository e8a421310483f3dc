"""The index: one SQLite file with the windows of videos and their embeddings.

Tables: `meta` (format, model, how windows are cut), `videos` (by content: spans and vectors of
their windows), `thumbnails` (a small JPEG a window), `files` (what was read at which path: a video,
or the reason why not). Each row ends in a CRC-32 of its values. One writer; killed at any moment,
the file is whole and lacks what was written in the second before. Any number of readers.

The same videos give the same rows, in whatever order and by however many processes they are made.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import time
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float32, Int64

from figclip.errors import StoreError, VideoError
from figclip.runtime.files import make_folder
from figclip.runtime.sqlite_file import (
    connect,
    is_sqlite,
    named_errors,
    roll_back_interrupted_write,
    row_check,
)

FORMAT_VERSION = 1
Unit = Literal["windows", "shots"]

_KIND = "index"
_APPLICATION_ID = 0x66696749  # "figI" in SQLite's header
_COMMIT_EVERY_S = 1.0
_REMAKE = "Delete it, and run `figclip index` again"
_COUNTED = ("videos", "files")
_HAS_FILE = "WHERE hash IN (SELECT hash FROM files)"
_SET_META = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE videos (
    hash TEXT PRIMARY KEY, duration_s REAL NOT NULL, spans BLOB NOT NULL, vectors BLOB NOT NULL,
    crc32 INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE thumbnails (
    hash TEXT NOT NULL REFERENCES videos (hash) ON DELETE CASCADE, number INTEGER NOT NULL,
    jpeg BLOB NOT NULL, crc32 INTEGER NOT NULL, PRIMARY KEY (hash, number)
) WITHOUT ROWID;
CREATE TABLE files (
    path BLOB PRIMARY KEY, num_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    hash TEXT NOT NULL, problem TEXT NOT NULL, crc32 INTEGER NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSpec:
    """What an index holds; one of another spec cannot be gone on with.

    Attributes:
        model: Where the model was found: folder or hub id.
        model_hash: Of all that decides embeddings of frames and texts, whatever the folder.
        pipeline: Pixel pipeline of the frames.
        dim: Numbers of an embedding.
        unit: Windows of `window_s` seconds every `stride_s` seconds, or whole shots.
        frames: Frames of a window, at the midpoints of equal segments; their mean is embedded.
        context_hash: `long_text_identity` of the model, whose long sentences are compared with a
            second embedding of each window. Empty where there is none.
        precision: What the rows were computed in: `fp32`, `bf16` or `fp16`. Empty in an index of an
            earlier version, which does not say and takes any.
    """

    model: str
    model_hash: str
    pipeline: str
    dim: int
    unit: Unit = "windows"
    window_s: float = 2.0
    stride_s: float = 1.0
    frames: int = 4
    context_hash: str = ""
    precision: str = ""

    @property
    def row_width(self) -> int:
        """Numbers of a window: its embedding, and that in context."""
        return self.dim * (2 if self.context_hash else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedVideo:
    """A video by the SHA-256 of its file.

    Attributes:
        spans_us: Start and end of each window in microseconds, by start.
        vectors_ND: L2-normalised embeddings of the windows.
        context_ND: Those in context, where the index has them.
        thumbnails: A JPEG of each window.
    """

    hash: str
    duration_s: float
    spans_us: Int64[np.ndarray, "N 2"]
    vectors_ND: Float32[np.ndarray, "N D"]  # noqa: N815
    thumbnails: tuple[bytes, ...]
    context_ND: Float32[np.ndarray, "N D"] | None = None  # noqa: N815


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedFile:
    """A file as it was last read: `hash` of its video, or the `problem` why there is none.

    `num_bytes` and `mtime_ns` tell whether it has changed since. The path is absolute, or an
    address, see `search.addresses`.
    """

    path: Path
    num_bytes: int
    mtime_ns: int
    hash: str = ""
    problem: str = ""

    def set_aside(self, error: VideoError) -> IndexedFile:
        """The same file, which is no video for this reason."""
        return replace(self, hash="", problem=". ".join(filter(None, (error.what, error.fix))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """All windows of an index that have a file, those of a video together, by hash and start.

    Attributes:
        hashes: The videos.
        video_idx_N: Of each window, its video in `hashes`.
        number_N: Of each window, its place within its video.
        spans_us_N2: Start and end in microseconds.
        vectors_ND: L2-normalised embeddings.
        context_ND: Those in context, for long sentences; None where the index has none.
    """

    hashes: tuple[str, ...]
    video_idx_N: Int64[np.ndarray, " N"]  # noqa: N815
    number_N: Int64[np.ndarray, " N"]  # noqa: N815
    spans_us_N2: Int64[np.ndarray, "N 2"]  # noqa: N815
    vectors_ND: Float32[np.ndarray, "N D"]  # noqa: N815
    context_ND: Float32[np.ndarray, "N D"] | None = None  # noqa: N815


class IndexFile:
    """Reads an index; a context manager, for one thread at a time.

    Raises:
        StoreError: Of all that reads: no index, of a newer format, or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise StoreError(
                "no such index", where=str(path), fix="Make it with `figclip index MODEL VIDEOS…`"
            )
        if not is_sqlite(self.path):
            raise StoreError("is no index", where=str(path), fix="Give what `figclip index` wrote")
        roll_back_interrupted_write(self.path, kind=_KIND)
        with named_errors(self.path, kind=_KIND):
            self._connection = connect(self.path, mode="ro")
            try:
                self.spec = _read_spec(self._connection, path=self.path)
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> IndexFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @contextmanager
    def held(self) -> Generator[None]:
        """What is read within belongs together: a writer waits until the end."""
        with named_errors(self.path, kind=_KIND):
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def files(self) -> list[IndexedFile]:
        """All files that were read, by path."""
        rows = self._rows("SELECT * FROM files ORDER BY path")
        return [_file_of(row, where=self.path) for row in rows]

    def windows(self) -> Windows:
        """The windows of all videos that a file still has."""
        hashes: list[str] = []
        spans: list[Int64[np.ndarray, "N 2"]] = []
        vectors: list[Float32[np.ndarray, "N D"]] = []
        for video_hash, span, vector in self._videos():
            hashes.append(video_hash)
            spans.append(span)
            vectors.append(vector)
        counts = [len(one) for one in spans]
        numbers = [np.arange(count, dtype=np.int64) for count in counts]
        none_N2 = np.empty((0, 2), np.int64)
        rows_NW = np.concatenate([*vectors, np.empty((0, self.spec.row_width), np.float32)])
        # A copy of each half: products with every second row would be slow.
        own_ND, context_ND = map(np.ascontiguousarray, np.split(rows_NW, [self.spec.dim], axis=1))
        return Windows(
            hashes=tuple(hashes),
            video_idx_N=np.repeat(np.arange(len(hashes), dtype=np.int64), counts),
            number_N=np.concatenate([*numbers, np.empty(0, np.int64)]),
            spans_us_N2=np.concatenate([*spans, none_N2]),
            vectors_ND=own_ND,
            context_ND=context_ND if self.spec.context_hash else None,
        )

    def thumbnail(self, video_hash: str, number: int) -> bytes:
        """The JPEG of a window."""
        sql = "SELECT * FROM thumbnails WHERE hash = ? AND number = ?"
        for *values, check in self._rows(sql, video_hash, number):
            if check == row_check(*values) and values[:2] == [video_hash, number]:
                return values[2]
        raise _damaged(f"the thumbnail of window {number}", self.path, video_hash)

    def content_hash(self) -> str:
        """Of the windows that `windows` gives: what is made of them says by it that it fits."""
        rows = self._rows(f"SELECT hash, crc32 FROM videos {_HAS_FILE} ORDER BY hash")
        return f"{row_check(*rows):08x}-{len(rows)}"

    def _videos(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Hash, spans and rows of vectors of videos that a file has; all rows are checked."""
        # In SQL, a row whose name is damaged would be one that no file has.
        wanted = {file.hash for file in self.files()}
        with named_errors(self.path, kind=_KIND):
            rows = self._connection.execute("SELECT * FROM videos ORDER BY hash")
            for video_hash, duration_s, spans, vectors, check in rows:
                if check != _video_check(video_hash, duration_s, spans, vectors):
                    raise _damaged("the row of a video", self.path, str(video_hash))
                if video_hash in wanted:
                    row_NW = np.frombuffer(vectors, np.float32).reshape(-1, self.spec.row_width)
                    spans_us = np.frombuffer(spans, np.int64).reshape(len(row_NW), 2)
                    yield video_hash, spans_us, row_NW

    def _rows(self, sql: str, *values: object) -> list[Any]:
        """All rows of a query."""
        with named_errors(self.path, kind=_KIND):
            return self._connection.execute(sql, values).fetchall()


class IndexWriter:
    """Writes an index, new or begun; a context manager. One at a time.

    What is written soon after a commit waits for what follows, so that there is a commit a second
    at most; `commit` and leaving the context write it at once.

    Raises:
        StoreError: On opening: the file is no index, of a newer format, or of another spec. Of all
            that writes: it cannot be written.
    """

    def __init__(self, path: str | Path, *, spec: IndexSpec) -> None:
        self.path, self.spec = Path(path), spec
        is_new = not self.path.exists() or (self.path.is_file() and not self.path.stat().st_size)
        if not is_new and not is_sqlite(self.path):
            fix = "Choose another file for the index"
            raise StoreError("exists, and is no index", where=str(path), fix=fix)
        self._pending: list[tuple[str, Sequence[Sequence[object]]]] = []
        self._committed_s = -math.inf
        make_folder(self.path.parent)
        with named_errors(self.path, kind=_KIND):
            self._connection = connect(self.path, mode="rwc")
            try:
                self._create_or_check()
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> IndexWriter:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.commit()
        finally:
            self._connection.close()

    def files(self) -> list[IndexedFile]:
        """All files that were read before, by path."""
        with named_errors(self.path, kind=_KIND):
            rows = self._connection.execute("SELECT * FROM files ORDER BY path").fetchall()
        return [_file_of(row, where=self.path) for row in rows]

    def video_hashes(self) -> frozenset[str]:
        """The videos whose windows are there."""
        with named_errors(self.path, kind=_KIND):
            return frozenset(one for (one,) in self._connection.execute("SELECT hash FROM videos"))

    def add_video(self, video: IndexedVideo) -> None:
        """Write a video, in place of what there is of it."""
        spans = np.ascontiguousarray(video.spans_us, np.int64).tobytes()
        both = (video.vectors_ND, video.context_ND)
        row_NW = np.concatenate([one for one in both if one is not None], axis=1)
        assert row_NW.shape == (len(video.spans_us), self.spec.row_width)
        vectors = np.ascontiguousarray(row_NW, np.float32).tobytes()
        assert len(video.thumbnails) == len(video.spans_us)
        check = _video_check(video.hash, video.duration_s, spans, vectors)
        self._write("DELETE FROM videos WHERE hash = ?", (video.hash,))
        self._write(
            "INSERT INTO videos VALUES (?, ?, ?, ?, ?)",
            (video.hash, video.duration_s, spans, vectors, check),
        )
        rows = [(video.hash, number, jpeg) for number, jpeg in enumerate(video.thumbnails)]
        self._write(
            "INSERT INTO thumbnails VALUES (?, ?, ?, ?)", *((*row, row_check(*row)) for row in rows)
        )
        self._commit_when_due()

    def set_file(self, file: IndexedFile) -> None:
        """Note what is at a path; after `add_video`, where it has a video."""
        row = (os.fsencode(file.path), file.num_bytes, file.mtime_ns, file.hash, file.problem)
        self._write(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", (*row, row_check(*row))
        )
        self._commit_when_due()

    def forget_files(self, paths: Iterable[Path]) -> None:
        """Drop files; their videos stay until `drop_orphans`."""
        self._write("DELETE FROM files WHERE path = ?", *((os.fsencode(one),) for one in paths))
        self._commit_when_due()

    def drop_orphans(self) -> None:
        """Drop videos that no file has any more, and commit."""
        self._write("DELETE FROM videos WHERE hash NOT IN (SELECT hash FROM files)", ())
        self.commit()

    def commit(self) -> None:
        """Write what waits: all of it or, when it raises, nothing."""
        if not self._pending:
            return
        # Cleared first: what cannot be written must not come again on closing.
        pending, self._pending = self._pending, []
        with named_errors(self.path, kind=_KIND), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            for statement, rows in pending:
                self._connection.executemany(statement, rows)
            self._seal()
        self._committed_s = time.monotonic()

    def _write(self, statement: str, *rows: Sequence[object]) -> None:
        """Takes a statement down for the next commit."""
        self._pending.append((statement, rows))

    def _commit_when_due(self) -> None:
        """Commits, unless that was only just done."""
        if time.monotonic() - self._committed_s >= _COMMIT_EVERY_S:
            self.commit()

    def _seal(self) -> None:
        """Writes how many rows there are, and the checksum of `meta`."""
        counts = json.dumps(_count_rows(self._connection))
        self._connection.execute(_SET_META, ("counts", counts))
        meta = dict(self._connection.execute("SELECT key, value FROM meta").fetchall())
        self._connection.execute(_SET_META, ("check", _meta_check(meta)))

    def _create_or_check(self) -> None:
        """Write the tables into an empty file, or check that the file is such an index."""
        self._connection.execute("PRAGMA foreign_keys = ON")
        # DELETE, not WAL: an index that nobody writes is one file, readable on any file system.
        self._connection.execute("PRAGMA journal_mode = DELETE")
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            count = self._connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
            if count == (0,):
                for statement in _SCHEMA.strip().split(";\n"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                text = json.dumps(asdict(self.spec), sort_keys=True)
                rows = [("format_version", str(FORMAT_VERSION)), ("spec", text)]
                self._connection.executemany(_SET_META, rows)
                self._seal()
            found = _read_spec(self._connection, path=self.path)
            if difference := _difference(found, self.spec):
                raise StoreError(difference, where=str(self.path), fix="Choose another --out")
            if found.precision not in ("", self.spec.precision):
                raise StoreError(
                    f"its rows are in {found.precision}, and those to come in "
                    f"{self.spec.precision}",
                    where=str(self.path),
                    fix=f"Give --precision {found.precision}, or choose another --out",
                )


def read_index_spec(path: Path) -> IndexSpec:
    """What an index holds; a `StoreError` as of `IndexFile`."""
    with IndexFile(path) as index:
        return index.spec


def _read_spec(connection: sqlite3.Connection, *, path: Path) -> IndexSpec:
    """Check that this is an index that we can read, and say what it holds."""
    if connection.execute("PRAGMA application_id").fetchone() != (_APPLICATION_ID,):
        raise StoreError("is no index", where=str(path), fix="Give what `figclip index` wrote")
    meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    version = int(meta["format_version"])
    if version > FORMAT_VERSION:
        raise StoreError(
            f"index format {version} is newer than this program's {FORMAT_VERSION}",
            where=str(path),
            fix="Update figclip, or make the index again",
        )
    spec = IndexSpec(**json.loads(meta["spec"]))
    if meta["check"] != _meta_check(meta) or spec.unit not in get_args(Unit):
        raise _damaged("its description", path)
    if json.loads(meta["counts"]) != _count_rows(connection):
        raise StoreError("has lost rows", where=str(path), fix=_REMAKE)
    return spec


def _count_rows(connection: sqlite3.Connection) -> dict[str, int]:
    """How many videos and files there are."""
    found = (connection.execute(f"SELECT COUNT(*) FROM {one}").fetchone() for one in _COUNTED)
    return {table: count for table, (count,) in zip(_COUNTED, found, strict=True)}


def _meta_check(meta: Mapping[str, str]) -> str:
    """Checksum of an index's description."""
    return str(row_check(*sorted(item for item in meta.items() if item[0] != "check")))


def _difference(found: IndexSpec, wanted: IndexSpec) -> str:
    """Why an index cannot be gone on with; empty where it can. The folder of a model may move."""
    if found.model_hash != wanted.model_hash:
        return f"is of another model ({found.model}), not of {wanted.model}"
    if found.context_hash != wanted.context_hash:
        has = "no" if not found.context_hash else "other" if wanted.context_hash else "also"
        return f"has {has} embeddings in context (--pooling)"
    differing = [
        f"{key} {value}, not {asdict(wanted)[key]}"
        for key, value in asdict(found).items()
        if key not in ("model", "precision") and value != asdict(wanted)[key]
    ]
    return f"was made with {', '.join(differing)}" if differing else ""


def _file_of(row: Sequence[Any], *, where: Path) -> IndexedFile:
    """A row of `files`, checked."""
    *values, check = row
    if check != row_check(*values):
        raise _damaged("the row of a file", where)
    path, num_bytes, mtime_ns, video_hash, problem = values
    return IndexedFile(
        path=Path(os.fsdecode(path)),
        num_bytes=num_bytes,
        mtime_ns=mtime_ns,
        hash=video_hash,
        problem=problem,
    )


def _video_check(video_hash: str, duration_s: float, spans: bytes, vectors: bytes) -> int:
    """Checksum of a row of `videos`."""
    return zlib.crc32(vectors, zlib.crc32(spans, row_check(video_hash, duration_s)))


def _damaged(what: str, path: Path, video_hash: str = "") -> StoreError:
    where = f"{path}, video {video_hash[:12]}" if video_hash else str(path)
    return StoreError(f"{what} is damaged", where=where, fix=_REMAKE)
