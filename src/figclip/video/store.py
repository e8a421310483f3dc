"""The frame store: one SQLite file with the pixels and annotations that training reads.

Tables: `meta` (format version, pipeline, size, codec, coverage), `videos`, `frames` (one blob a
frame), `records` (annotations as JSON), `quarantine` (what was left out and why), `source` (the
annotation files themselves, which stores of before 2026-11-28 lack). Each row has a CRC-32 of its
values, and `meta` says how many rows there are: SQLite does not see a flipped bit. Stores of before
2026-11-29 have only that of the pixels.
One writer. Killed at any moment, the file is whole and lacks what was written in the second before.
Any number of readers, in threads and processes. Paths inside are relative to the videos folder.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import threading
import time
import zipfile
import zlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, cast

import numpy as np
import simplejpeg  # pyright: ignore[reportMissingTypeStubs]
from jaxtyping import UInt8

from figclip.annotations.archive import open_source, record_from_json, record_to_json
from figclip.errors import ConfigError, StoreError
from figclip.records import VideoRecord
from figclip.runtime.files import make_folder
from figclip.runtime.garbage import uncollected
from figclip.runtime.sqlite_file import (
    connect,
    is_sqlite,
    named_errors,
    roll_back_interrupted_write,
    row_check,
)
from figclip.video.decoding import to_time_us
from figclip.video.pixels import PixelPipeline

FORMAT_VERSION = 1
CODECS = ("raw", "jpeg")

# Marks the file as ours in SQLite's header ("figC"), so that no other program's file is touched.
_APPLICATION_ID = 0x66696743
# Quality 95 moves a frame's embedding by 0.5 % of its distance to the next frame, with half colour
# resolution (131,994 bytes for 8 frames) as with full (166,728; 0.4 %): random ViT-B/32, 12 clips,
# 2026, benchmarks/pixel_pipelines.py. Most video has half colour resolution anyway.
_JPEG_QUALITY = 95
_JPEG_SUBSAMPLING = "420"
_KIND = "frame store"
# A commit waits for the disk, 10 ms where this was measured: as long as decoding a short clip.
_COMMIT_EVERY_S = 1.0
_SET_META = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE videos (
    hash TEXT PRIMARY KEY, path TEXT NOT NULL, duration_s REAL NOT NULL, num_frames INTEGER NOT NULL
);
CREATE TABLE frames (
    video_hash TEXT NOT NULL REFERENCES videos (hash), time_us INTEGER NOT NULL,
    crc32 INTEGER NOT NULL, pixels BLOB NOT NULL, UNIQUE (video_hash, time_us)
);
CREATE TABLE records (
    id TEXT PRIMARY KEY, video_hash TEXT NOT NULL REFERENCES videos (hash),
    split TEXT NOT NULL, group_name TEXT NOT NULL, json TEXT NOT NULL
);
CREATE TABLE quarantine (
    id TEXT PRIMARY KEY, split TEXT NOT NULL, path TEXT NOT NULL, reason TEXT NOT NULL,
    detail TEXT NOT NULL
);
"""
# Since 2026-11-28; older stores get it when they are prepared again.
_SOURCE_SCHEMA = "CREATE TABLE IF NOT EXISTS source (archive BLOB NOT NULL)"
# Since 2026-11-29 their rows end in a checksum of these columns, their key first; older stores get
# the column when they are prepared again, and rows with it.
_CHECKED = {
    "videos": ("hash", "path", "duration_s", "num_frames"),
    "records": ("id", "video_hash", "split", "group_name", "json"),
    "quarantine": ("id", "split", "path", "reason", "detail"),
}
_COUNTED = (*_CHECKED, "source")
_REMAKE = "Delete the store, and run what made it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSpec:
    """What pixels a store holds: pixel pipeline, side of the frames in pixels, codec.

    The codec is `jpeg` (quality 95, half colour resolution) or `raw` (exact, about 9 times larger).
    """

    pipeline: str = "pil"
    size: int = 224
    codec: str = "jpeg"

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise ConfigError(
                f"unknown frame codec {self.codec!r}", fix=f"Use one of {', '.join(CODECS)}"
            )
        PixelPipeline(name=self.pipeline, size=self.size)

    @property
    def pixels(self) -> PixelPipeline:
        """The pipeline to decode with."""
        return PixelPipeline(name=self.pipeline, size=self.size)

    def like(self, held: StoreSpec) -> StoreSpec:
        """The same pixels as another store may hold them: in its codec, and as fast or exact."""
        stands_for_the_same = held.pixels.reference == self.pixels.reference
        pipeline = held.pipeline if stands_for_the_same else self.pipeline
        return StoreSpec(pipeline=pipeline, size=self.size, codec=held.codec)

    @property
    def prepare_command(self) -> str:
        """The command that makes such a store."""
        return (
            "figclip prepare SOURCE --videos DIR --out STORE "
            f"--pipeline {self.pipeline} --size {self.size} --codec {self.codec}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVideo:
    """A video of a store, by the SHA-256 of its file; the path is relative to the videos folder."""

    hash: str
    path: str
    duration_s: float
    num_frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """Annotations with the hash of the video that they describe."""

    record: VideoRecord
    video_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRow:
    """A stored record as it lies in the file: `text` is what `record_to_json` wrote."""

    id: str
    video_hash: str
    split: str
    group: str
    text: str

    def parse(self) -> VideoRecord:
        """The record; a `StoreError` if it is damaged."""
        return record_from_json(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedVideo:
    """A record that was left out.

    `reason` is the first word of the error, `detail` the whole; the path is relative to the videos.
    """

    id: str
    split: str
    path: str
    reason: str
    detail: str


class FrameStore:
    """Reads a store; picklable, and safe to share between threads and forked or spawned processes.

    Each thread of each process has its own connection, opened on first use.
    """

    def __init__(self, path: Path, spec: StoreSpec) -> None:
        """Use `FrameStore.open`."""
        self.path = path
        self.spec = spec
        self._local = threading.local()

    @classmethod
    def open(cls, path: str | Path, *, require: StoreSpec | None = None) -> FrameStore:
        """Open a store for reading.

        Raises:
            StoreError: No store, one of a newer format, or one that holds other pixels than
                required; the error then shows the command that makes the right one.
        """
        path = Path(path)
        if not path.exists():
            raise StoreError(
                "no such frame store", where=str(path), fix="Make it with `figclip prepare`"
            )
        if not is_store(path):
            raise _not_a_store(path)
        roll_back_interrupted_write(path, kind=_KIND)
        with named_errors(path, kind=_KIND), closing(connect(path, mode="ro")) as connection:
            spec = _read_spec(connection, path=path)
        if require is not None and spec != require:
            raise StoreError(
                f"the store holds {_described(spec)}, but {_described(require)} is needed",
                where=str(path),
                fix=f"Run: {require.prepare_command}",
            )
        return cls(path, spec)

    def __reduce__(self) -> tuple[object, ...]:
        return (FrameStore, (self.path, self.spec))

    def __enter__(self) -> FrameStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close this thread's connection; the next read opens another."""
        opened = getattr(self._local, "opened", None)
        if opened is not None and opened[0] == os.getpid():
            opened[1].close()
        self._local.opened = None

    @property
    def coverage(self) -> dict[str, Any]:
        """What `prepare` covered, as its writer recorded it; empty before it finished."""
        with named_errors(self.path, kind=_KIND):
            return _json_object(_read_meta(self._connection(), path=self.path), "coverage")

    def records(self) -> list[StoredRecord]:
        """Annotations of all stored videos, by id: the order in which they were added is chance.

        Raises:
            StoreError: A record is damaged.
        """
        with uncollected():
            return [
                StoredRecord(record=row.parse(), video_hash=row.video_hash)
                for row in self.record_rows()
            ]

    def record_rows(self) -> Generator[RecordRow]:
        """All records by id, one at a time, without looking into their annotations.

        Raises:
            StoreError: One is damaged, or lost.
        """
        for values in self._table("records"):
            yield self._record_row(values)

    def find_records(self, ids: Sequence[str]) -> list[RecordRow]:
        """Records by their ids, in the order asked for.

        Raises:
            StoreError: One is damaged, or not there.
        """
        sql = "SELECT * FROM records WHERE id IN (SELECT value FROM json_each(?))"
        found: dict[str, RecordRow] = {}
        for values in self._rows(sql, json.dumps(list(ids))):
            row = self._record_row(self._checked("records", values))
            found[row.id] = row
        for name in ids:
            if name not in found:
                raise self._damaged("the record of a video", name)
        return [found[name] for name in ids]

    def find_video(self, video_hash: str) -> StoredVideo | None:
        """A stored video by its hash; a `StoreError` if its description is damaged."""
        for row in self._rows("SELECT * FROM videos WHERE hash = ?", video_hash):
            name, path, duration_s, num_frames = self._checked("videos", row)
            is_ours = name == video_hash and type(duration_s) is float and type(num_frames) is int
            if not is_ours:
                raise self._damaged("the description of a video", video_hash)
            return StoredVideo(hash=name, path=path, duration_s=duration_s, num_frames=num_frames)
        if self._rows("SELECT 1 FROM frames WHERE video_hash = ? LIMIT 1", video_hash):
            raise self._damaged("the description of a video", video_hash)  # no longer found
        return None

    def quarantine(self) -> list[QuarantinedVideo]:
        """Records that were left out, by id; a `StoreError` if one is damaged."""
        return [
            QuarantinedVideo(id=name, split=split, path=path, reason=reason, detail=detail)
            for name, split, path, reason, detail in self._table("quarantine")
        ]

    def source(self) -> zipfile.Path | None:
        """The annotations that were prepared, a file or VidSitu's folder, as they were.

        Returns:
            None for a store of clips, and for one that was prepared before these were kept.

        Raises:
            StoreError: they are damaged.
        """
        if not self.keeps_source:
            return None
        archives = self._rows("SELECT CAST(archive AS BLOB) FROM source")
        if len(archives) != 1:
            raise self._damaged(f"source with {len(archives)} archives")
        return open_source(archives[0][0], where=self.path)

    @property
    def keeps_source(self) -> bool:
        """Whether `source` has something to give."""
        with named_errors(self.path, kind=_KIND):
            counts = _json_object(_read_meta(self._connection(), path=self.path), "counts")
        if counts:
            return bool(counts.get("source"))
        has_table = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'source'"
        return bool(self._rows(has_table)) and bool(self._rows("SELECT 1 FROM source"))

    def content_key(self, video_hash: str, time_s: float) -> bytes:
        """What determines a frame's pixels: video, time, size, pipeline and codec."""
        spec = self.spec
        parts = (video_hash, to_time_us(time_s), spec.size, spec.pipeline, spec.codec)
        return "/".join(map(str, parts)).encode()

    def frame_times_us(self, video_hash: str) -> tuple[int, ...]:
        """Times of the stored frames of a video, ascending; empty for an unknown video.

        Raises:
            StoreError: One is damaged.
        """
        sql = "SELECT time_us FROM frames WHERE video_hash = ? ORDER BY time_us"
        times_us = tuple(time_us for (time_us,) in self._rows(sql, video_hash))
        if not all(isinstance(time_us, int) for time_us in times_us):
            raise self._damaged("the time of a frame", video_hash)
        return times_us

    def read_frames(self, video_hash: str, times_us: Sequence[int]) -> UInt8[np.ndarray, "N S S 3"]:
        """Frames of one video in the order asked for, in one query; checksums are verified.

        Times are those of `to_time_us`, and may repeat.

        Raises:
            StoreError: A frame is missing or damaged.
        """
        blobs = {
            time_us: (crc32, pixels)
            for time_us, crc32, pixels in self._rows(
                "SELECT time_us, crc32, pixels FROM frames WHERE video_hash = ? "
                "AND time_us IN (SELECT value FROM json_each(?))",
                video_hash,
                json.dumps(list(times_us)),
            )
        }
        if absent := [time_us for time_us in times_us if time_us not in blobs]:
            listed = ", ".join(f"{time_us / 1e6:g}" for time_us in absent[:5])
            raise StoreError(
                f"{len(absent)} of {len(times_us)} frames are not in the store, at {listed} s",
                where=f"{self.path}, video {video_hash[:12]}",
                fix="Run `figclip prepare` on the annotations that you train on",
            )
        size = self.spec.size
        frames_NHWC = np.empty((len(times_us), size, size, 3), dtype=np.uint8)
        for frame_idx, time_us in enumerate(times_us):
            crc32, blob = blobs[time_us]
            # Before 2026-11-29 it was that of the pixels alone.
            is_whole = isinstance(blob, bytes) and (
                crc32 == _frame_check(video_hash, time_us, blob) or crc32 == zlib.crc32(blob)
            )
            if not is_whole:
                raise self._damaged_frame(video_hash, time_us, "its checksum does not match")
            try:
                frames_NHWC[frame_idx] = _decode_blob(blob, spec=self.spec)
            except ValueError as error:
                raise self._damaged_frame(video_hash, time_us, str(error)) from error
        return frames_NHWC

    def _table(self, table: str) -> Generator[Sequence[Any]]:
        """The rows of a table by their key, checked, and counted at the end."""
        key = _CHECKED[table][0]
        with named_errors(self.path, kind=_KIND), closing(connect(self.path, mode="ro")) as db:
            db.execute("BEGIN")  # rows and their number at one moment
            meta = _read_meta(db, path=self.path)
            expected, names = _json_object(meta, "counts").get(table), set[str]()
            for row in db.execute(f"SELECT * FROM {table} ORDER BY {key}"):
                names.add(row[0])
                yield self._checked(table, row)
        if expected not in (None, len(names)):
            raise self._damaged(f"table {table}, which had {expected} rows,")

    def _checked(self, table: str, row: Sequence[Any]) -> Sequence[Any]:
        """The values of a row that matches its checksum, or has none."""
        num_values = len(_CHECKED[table])
        values, checks = row[:num_values], row[num_values:]
        if checks not in ((), (None,), (row_check(*values),)):
            raise self._damaged(f"a row of {table}", str(row[0]))
        return values

    def _record_row(self, values: Sequence[Any]) -> RecordRow:
        """A checked row of `records`."""
        name, video_hash, split, group, text = values
        if not all(isinstance(value, str) for value in values):
            raise self._damaged("a row of records", str(name))
        return RecordRow(id=name, video_hash=video_hash, split=split, group=group, text=text)

    def _damaged(self, what: str, key: str = "") -> StoreError:
        where = f"{self.path}, {key[:12]}" if key else str(self.path)
        return StoreError(f"{what} is damaged", where=where, fix=_REMAKE)

    def _damaged_frame(self, video_hash: str, time_us: int, what: str) -> StoreError:
        return StoreError(
            f"the frame at {time_us / 1e6:g} s is damaged: {what}",
            where=f"{self.path}, video {video_hash[:12]}",
            fix=_REMAKE,
        )

    def _rows(self, sql: str, *values: object) -> list[Any]:
        """All rows of a query on this thread's connection."""
        with named_errors(self.path, kind=_KIND):
            return self._connection().execute(sql, values).fetchall()

    def _connection(self) -> sqlite3.Connection:
        """The connection of this thread of this process."""
        opened = getattr(self._local, "opened", None)
        # SQLite forbids carrying a connection across a fork. The parent's is dropped here, not
        # closed: closing it would release the parent's locks.
        if opened is None or opened[0] != os.getpid():
            opened = (os.getpid(), connect(self.path, mode="ro"))
            self._local.opened = opened
        return opened[1]


class FrameStoreWriter:
    """Writes a store, new or begun; a context manager. One at a time.

    What is written soon after a commit waits for what follows, so that there is a commit a second
    at most; `commit` and leaving the context write it at once.

    Raises:
        StoreError: On opening: the file is no store, of a newer format, or holds other pixels. Of
            all that writes: the file cannot be written, or a record's video is not stored.
    """

    def __init__(self, path: str | Path, *, spec: StoreSpec) -> None:
        self.path = Path(path)
        is_new = not self.path.exists() or (self.path.is_file() and not self.path.stat().st_size)
        if not is_new and not is_store(self.path):
            fix = "Choose another file for the frame store"
            raise StoreError("exists, and is not a frame store", where=str(path), fix=fix)
        self.spec = spec
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

    def __enter__(self) -> FrameStoreWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Commit and close the file."""
        try:
            self.commit()
        finally:
            self._connection.close()

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

    def add_video(
        self,
        video_hash: str,
        path: str,
        frames_NHWC: UInt8[np.ndarray, "N S S 3"],
        *,
        times_us: Sequence[int],
        duration_s: float,
    ) -> None:
        """Store frames of a video, beside those that it may have; its path must be relative."""
        assert frames_NHWC.shape == (len(times_us), self.spec.size, self.spec.size, 3)
        if PurePath(path).is_absolute():
            raise StoreError(
                "paths in a store are relative to the videos folder",
                where=path,
                fix="Give the path below that folder",
            )
        blobs = [_encode_blob(frame_HWC, spec=self.spec) for frame_HWC in frames_NHWC]
        self._write(
            "INSERT INTO videos VALUES (?, ?, ?, 0, NULL) ON CONFLICT (hash) "
            "DO UPDATE SET path = excluded.path, duration_s = excluded.duration_s",
            (video_hash, path, duration_s),
        )
        self._write(
            "INSERT OR REPLACE INTO frames VALUES (?, ?, ?, ?)",
            *(
                (video_hash, time_us, _frame_check(video_hash, time_us, blob), blob)
                for time_us, blob in zip(times_us, blobs, strict=True)
            ),
        )
        self._write(
            "UPDATE videos SET num_frames = "
            "(SELECT COUNT(*) FROM frames WHERE video_hash = hash) WHERE hash = ?",
            (video_hash,),
        )
        self._write_check("videos", video_hash)
        self._commit_when_due()

    def add_record(self, record: VideoRecord, *, video_hash: str) -> None:
        """Store annotations of a stored video; others of the id go, also from quarantine."""
        text = record_to_json(record)
        self._write("DELETE FROM quarantine WHERE id = ?", (record.id,))
        self._write(
            "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, NULL)",
            (record.id, video_hash, record.split, record.group, text),
        )
        self._write_check("records", record.id)
        self._commit_when_due()

    def quarantine(self, video: QuarantinedVideo) -> None:
        """Note that a record is left out; a record of that id is forgotten."""
        self._write("DELETE FROM records WHERE id = ?", (video.id,))
        self._write(
            "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?, ?, NULL)",
            (video.id, video.split, video.path, video.reason, video.detail),
        )
        self._write_check("quarantine", video.id)
        self._commit_when_due()

    def forget_records_except(self, ids: Iterable[str]) -> None:
        """Drop records and quarantine of other ids, those of an earlier, longer source; commits."""
        kept = json.dumps(list(ids))
        for table in ("records", "quarantine"):
            self._write(
                f"DELETE FROM {table} WHERE id NOT IN (SELECT value FROM json_each(?))", (kept,)
            )
        self.commit()

    def set_source(self, archive: bytes) -> None:
        """Keep the annotation files, in place of others, and commit."""
        self._write("DELETE FROM source", ())
        self._write("INSERT INTO source VALUES (?)", (archive,))
        self.commit()

    def set_coverage(self, coverage: dict[str, Any]) -> None:
        """Record what was covered, as JSON, and commit; last, it marks the store as complete."""
        self._write(_SET_META, ("coverage", json.dumps(coverage, allow_nan=False)))
        self.commit()

    def _write(self, statement: str, *rows: Sequence[object]) -> None:
        """Takes a statement down for the next commit."""
        self._pending.append((statement, rows))

    def _write_check(self, table: str, key: str) -> None:
        """Takes down that a row gets its checksum."""
        columns = _CHECKED[table]
        self._write(
            f"UPDATE {table} SET crc32 = row_check({', '.join(columns)}) WHERE {columns[0]} = ?",
            (key,),
        )

    def _seal(self) -> None:
        """Writes how many rows there are, and the checksum of `meta`."""
        counts = json.dumps(_count_rows(self._connection))
        self._connection.execute(_SET_META, ("counts", counts))
        meta = dict(self._connection.execute("SELECT key, value FROM meta").fetchall())
        self._connection.execute(_SET_META, ("check", _meta_check(meta)))

    def _commit_when_due(self) -> None:
        """Commits, unless that was only just done."""
        if time.monotonic() - self._committed_s >= _COMMIT_EVERY_S:
            self.commit()

    def _create_or_check(self) -> None:
        """Write the tables into an empty file, or check that the file is such a store.

        In one transaction, as others may do the same, or commit rows meanwhile.
        """
        self._connection.execute("PRAGMA foreign_keys = ON")
        # DELETE, not WAL: a store that nobody writes is one file, readable on any file system.
        self._connection.execute("PRAGMA journal_mode = DELETE")
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            (num_tables,) = self._connection.execute(
                "SELECT COUNT(*) FROM sqlite_schema"
            ).fetchone()
            if num_tables == 0:
                for statement in _SCHEMA.strip().split(";\n"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                description = {
                    "format_version": FORMAT_VERSION,
                    "pipeline": self.spec.pipeline,
                    "size": self.spec.size,
                    "codec": self.spec.codec,
                }
                rows = [(key, str(value)) for key, value in description.items()]
                self._connection.executemany(_SET_META, rows)
            found = _read_spec(self._connection, path=self.path)
            if found != self.spec:
                raise StoreError(
                    f"the store holds {_described(found)}, not {_described(self.spec)}",
                    where=str(self.path),
                    fix="Choose another --out, or delete the store",
                )
            self._connection.execute(_SOURCE_SCHEMA)
            for table, columns in _CHECKED.items():
                info = self._connection.execute(
                    f"SELECT COUNT(*) FROM pragma_table_info('{table}')"
                )
                if info.fetchone() == (len(columns),):
                    self._connection.execute(f"ALTER TABLE {table} ADD COLUMN crc32 INTEGER")
            self._connection.create_function("row_check", -1, row_check, deterministic=True)
            expected = _json_object(_read_meta(self._connection, path=self.path), "counts")
            if expected and expected != _count_rows(self._connection):
                raise StoreError("has lost rows", where=str(self.path), fix=_REMAKE)


def is_store(path: Path) -> bool:
    """Whether a path is a file of the kind that frame stores are."""
    return is_sqlite(path)


def _not_a_store(path: Path) -> StoreError:
    """The error for something else; for what may be annotations, with the way to a store."""
    fix = "Give a file that `figclip prepare` wrote"
    if path.is_dir() or path.suffix.casefold() in (".jsonl", ".csv"):
        fix = f"Make one of it: figclip prepare {path} --videos DIR --out frames.store"
    return StoreError("is not a frame store", where=str(path), fix=fix)


def _described(spec: StoreSpec) -> str:
    """A spec in words."""
    return f"{spec.size} px frames of pipeline {spec.pipeline} as {spec.codec}"


def _encode_blob(frame_HWC: UInt8[np.ndarray, "S S 3"], *, spec: StoreSpec) -> bytes:
    """A frame as stored."""
    frame_HWC = np.ascontiguousarray(frame_HWC)
    if spec.codec == "raw":
        return frame_HWC.tobytes()
    return simplejpeg.encode_jpeg(
        frame_HWC, quality=_JPEG_QUALITY, colorsubsampling=_JPEG_SUBSAMPLING
    )


def _decode_blob(blob: bytes, *, spec: StoreSpec) -> UInt8[np.ndarray, "S S 3"]:
    """A frame from its stored form; ValueError when it is not one of that size."""
    if spec.codec == "raw":
        if len(blob) != spec.size * spec.size * 3:
            raise ValueError(f"{len(blob)} bytes instead of {spec.size * spec.size * 3}")
        return np.frombuffer(blob, dtype=np.uint8).reshape(spec.size, spec.size, 3)
    # The header first: a small blob can claim a picture of 65,535 x 65,535 pixels.
    height, width = simplejpeg.decode_jpeg_header(blob)[:2]
    if (height, width) != (spec.size, spec.size):
        raise ValueError(f"{width}x{height} px instead of {spec.size}x{spec.size}")
    return simplejpeg.decode_jpeg(blob)


def _read_spec(connection: sqlite3.Connection, *, path: Path) -> StoreSpec:
    """Check that this is a store that we can read, and say what it holds."""
    if connection.execute("PRAGMA application_id").fetchone() != (_APPLICATION_ID,):
        raise _not_a_store(path)
    meta = _read_meta(connection, path=path)
    try:
        version = int(meta["format_version"])
        if version <= FORMAT_VERSION:
            pipeline, size, codec = meta["pipeline"], int(meta["size"]), meta["codec"]
            return StoreSpec(pipeline=pipeline, size=size, codec=codec)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"the store's description is damaged ({error!r})",
            where=str(path),
            fix=_REMAKE,
        ) from error
    raise StoreError(
        f"frame store format {version} is newer than this program's {FORMAT_VERSION}",
        where=str(path),
        fix="Update figclip, or run `figclip prepare` with this version",
    )


def _read_meta(connection: sqlite3.Connection, *, path: Path) -> dict[str, str]:
    """The description of a store, if it matches its checksum, or has none that we know."""
    meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    is_ours = meta.get("format_version") == str(FORMAT_VERSION)
    if is_ours and meta.get("check", _meta_check(meta)) != _meta_check(meta):
        raise StoreError("the store's description is damaged", where=str(path), fix=_REMAKE)
    return meta


def _json_object(meta: Mapping[str, str], key: str) -> dict[str, Any]:
    """The object that is told under a key; empty where nothing is."""
    found: object = json.loads(meta.get(key, "{}"))
    if not isinstance(found, dict):
        raise json.JSONDecodeError(f"its {key} is no object", meta[key], 0)
    return cast(dict[str, Any], found)


def _count_rows(connection: sqlite3.Connection) -> dict[str, int]:
    """How many rows the tables have that are counted."""
    found = (connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone() for table in _COUNTED)
    return {table: count for table, (count,) in zip(_COUNTED, found, strict=True)}


def _meta_check(meta: Mapping[str, str]) -> str:
    """Checksum of a store's description."""
    return str(row_check(*sorted(item for item in meta.items() if item[0] != "check")))


def _frame_check(video_hash: str, time_us: int, blob: bytes) -> int:
    """Checksum of a frame and its place: SQLite may find another one by a damaged index."""
    return zlib.crc32(blob, zlib.crc32(f"{video_hash}/{time_us}".encode()))
