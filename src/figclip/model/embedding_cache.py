"""A content-addressed cache of embeddings: one SQLite file, safe for many processes."""

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float32

from figclip.errors import StoreError
from figclip.runtime.process_group import ALONE, Processes

FORMAT = 1
_FLOAT_BYTES = 4
_CHECK_BYTES = 4
_BATCH = 500  # parameters of one SQL statement; SQLite's default limit is 999 in old builds
_OWN = {"embeddings", "sqlite_autoindex_embeddings_1"}  # the table, its key's index
_LOCK_TIMEOUT_S = 60.0  # how long to wait for other processes

Item = TypeVar("Item")


class EmbeddingCache:
    """Maps the hash of (model, content) to a float32 vector, with a checksum of both.

    Any number of processes may open, make and fill one file at the same time. Its journal is
    SQLite's plain one: WAL needs memory that all readers share, which no network file system has,
    and switching to it does not wait for others (3 of 30 fresh caches failed with 4 processes). A
    file that an earlier version made stays in WAL: SQLite does not leave it cleanly while others
    open the file (one of 500 kept a stray log). Delete it where several machines share it.

    The file is made when absent, with its folder. `model` is part of every key: `weights_hash` plus
    whatever else changes the result (precision, pixel pipeline).

    Raises:
        StoreError: the file is not such a cache, or of another format.
    """

    def __init__(self, path: Path, *, model: str) -> None:
        self._path = path
        # Hashed: blake2b's keys are at most 64 bytes, and names may differ only beyond that.
        self._model_digest = hashlib.blake2b(model.encode(), digest_size=32).digest()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(path, error) from error
        with _named_errors(path):
            with closing(self._connect()) as db:
                is_new = self._check(db)
            if is_new:
                self._create()

    def embed(
        self,
        items: Sequence[Item],
        *,
        contents: Sequence[bytes],
        dim: int,
        compute: Callable[[list[Item]], Float32[np.ndarray, "N D"]],
        chunk: int = 4096,
        processes: Processes = ALONE,
    ) -> Float32[np.ndarray, "N D"]:
        """Embeddings of all items, one row per item in order, computing only what was never seen.

        `contents` has one byte string per item that determines its embedding. `compute` embeds at
        most `chunk` items at once; its results are stored after each chunk, so an interrupted run
        loses at most one. Of several `processes`, which all embed the same items, the main one's
        file counts, the others' is left alone; all of them compute, and get the same rows.

        Raises:
            StoreError: the file cannot be read or written, holds something else than vectors, or a
                vector is damaged; those of before 2026-11-29 have no checksum.
        """
        keys = [self._key(content) for content in contents]
        known = self._read(keys, dim=dim) if processes.is_main else {}
        missing = processes.once(
            lambda: list({key: i for i, key in enumerate(keys) if key not in known}.values())
        )
        for start in range(0, len(missing), chunk):
            part = missing[start : start + chunk]
            vectors = compute([items[i] for i in part])
            fresh = {keys[i]: vectors[row] for row, i in enumerate(part)}
            if processes.is_main:
                self._write(fresh)
            known.update(fresh)

        def stack(start: int) -> Float32[np.ndarray, "N D"]:
            return np.stack([known[key] for key in keys[start : start + chunk]])

        # In chunks: all at once, pickling would take as much memory again.
        starts = range(0, len(keys), chunk)
        return np.concatenate([processes.once(partial(stack, start)) for start in starts])

    def _key(self, content: bytes) -> bytes:
        """Key of one content under this model."""
        return hashlib.blake2b(content, digest_size=16, key=self._model_digest).digest()

    def _read(self, keys: list[bytes], *, dim: int) -> dict[bytes, Float32[np.ndarray, " D"]]:
        """Vectors of the keys that are there."""
        found: dict[bytes, Float32[np.ndarray, " D"]] = {}
        with _named_errors(self._path), closing(self._connect()) as db:
            for start in range(0, len(keys), _BATCH):
                part = keys[start : start + _BATCH]
                marks = ",".join("?" * len(part))
                rows = db.execute(
                    f"SELECT key, vector FROM embeddings WHERE key IN ({marks})", part
                )
                for key, blob in rows:
                    found[key] = self._vector(key, blob, dim=dim)
        return found

    def _vector(self, key: bytes, blob: object, *, dim: int) -> Float32[np.ndarray, " D"]:
        """What a row holds, if its checksum says so, or it has none."""
        size = dim * _FLOAT_BYTES
        if not isinstance(blob, bytes) or len(blob) not in (size, size + _CHECK_BYTES):
            damage = f"holds a vector that has not {dim} numbers"
        elif blob[size:] not in (b"", _check(key, blob[:size])):
            damage = "holds a vector that does not match its checksum"
        else:
            return np.frombuffer(blob[:size], np.float32)
        raise StoreError(damage, where=str(self._path), fix="Delete the file; it only saves time.")

    def _write(self, vectors: dict[bytes, Float32[np.ndarray, " D"]]) -> None:
        """Add vectors in one transaction."""
        with _named_errors(self._path), self._writing() as db:
            db.executemany(
                "INSERT OR REPLACE INTO embeddings VALUES (?, ?)",
                [
                    (key, (content := np.asarray(v, np.float32).tobytes()) + _check(key, content))
                    for key, v in vectors.items()
                ],
            )

    def _check(self, db: sqlite3.Connection) -> bool:
        """Refuse what is no cache of this format; whether it is still to be made."""
        # One statement, one moment: between two of them another process can make the table.
        version, names = db.execute(
            "SELECT user_version, (SELECT json_group_array(name) FROM sqlite_master) "
            "FROM pragma_user_version"
        ).fetchone()
        if version == 0 and set(json.loads(names)) - _OWN:
            raise StoreError(
                "is a database of another program",
                where=str(self._path),
                fix="Choose another file for the embedding cache.",
            )
        if version not in (0, FORMAT):
            raise StoreError(
                f"embedding cache of format {version}, this version reads {FORMAT}",
                where=str(self._path),
                fix="Delete the file; it only saves time.",
            )
        return version == 0  # with the table, too: earlier versions could be killed half-way

    def _create(self) -> None:
        """Make the table, unless another process just did."""
        with self._writing() as db:
            if self._check(db):
                db.execute(
                    "CREATE TABLE IF NOT EXISTS embeddings (key BLOB PRIMARY KEY, vector BLOB)"
                )
                db.execute(f"PRAGMA user_version={FORMAT}")

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        """A transaction; others that want to write wait for its end."""
        with closing(self._connect()) as db:
            # Deferred, two that have both read would wait for each other, and one would fail.
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")  # closing without it undoes all

    def _connect(self) -> sqlite3.Connection:
        """A connection for one use: SQLite's must not cross processes or threads."""
        return sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT_S, isolation_level=None)


def _check(key: bytes, vector: bytes) -> bytes:
    """Checksum of a vector under its key: SQLite may find another row by a damaged index."""
    return zlib.crc32(key + vector).to_bytes(_CHECK_BYTES, "little")


@contextmanager
def _named_errors(path: Path) -> Generator[None]:
    """Turn SQLite's errors into StoreError."""
    try:
        yield
    except sqlite3.OperationalError as error:  # no place, no right, locked for too long
        raise _unusable(path, error) from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # of its message
        raise StoreError(
            f"is not an embedding cache ({error})",
            where=str(path),
            fix="Delete the file; it only saves time.",
        ) from error


def _unusable(path: Path, error: Exception) -> StoreError:
    """The error for a cache in a bad place."""
    return StoreError(
        f"the embedding cache cannot be read or written ({error})",
        where=str(path),
        fix="Give a cache folder with space that you may write into: FIGCLIP_CACHE=DIR",
    )
