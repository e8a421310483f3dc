"""A content-addressed cache of embeddings: one SQLite file, safe for many processes."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float32

from figclip.errors import StoreError

FORMAT = 1
_INDEX = "sqlite_autoindex_embeddings_1"  # what SQLite calls the primary key's index
_FLOAT_BYTES = 4
_BATCH = 500  # parameters of one SQL statement; SQLite's default limit is 999 in old builds

Item = TypeVar("Item")


class EmbeddingCache:
    """Maps the hash of (model, content) to a float32 vector.

    Args:
        path: The SQLite file; made when absent, with its folder.
        model: What embeds: `weights_hash` plus whatever else changes the result (precision,
            pixel pipeline). Part of every key.

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
        with _named_errors(path), closing(self._connect()) as db, db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
            if version == 0 and tables - {"embeddings", _INDEX}:
                raise StoreError(
                    "is a database of another program",
                    where=str(path),
                    fix="Choose another file for the embedding cache.",
                )
            if version not in (0, FORMAT):
                raise StoreError(
                    f"embedding cache of format {version}, this version reads {FORMAT}",
                    where=str(path),
                    fix="Delete the file; it only saves time.",
                )
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("CREATE TABLE IF NOT EXISTS embeddings (key BLOB PRIMARY KEY, vector BLOB)")
            db.execute(f"PRAGMA user_version={FORMAT}")

    def embed(
        self,
        items: Sequence[Item],
        *,
        contents: Sequence[bytes],
        dim: int,
        compute: Callable[[list[Item]], Float32[np.ndarray, "N D"]],
        chunk: int = 4096,
    ) -> Float32[np.ndarray, "N D"]:
        """Embeddings of all items, computing only what was never seen.

        Args:
            items: What to embed.
            contents: One byte string an item that determines its embedding.
            dim: D, numbers in an embedding.
            compute: Embeds a list of items; its results are stored after every chunk, so an
                interrupted run loses at most one chunk.
            chunk: Items passed to `compute` at once.

        Returns:
            One row an item, in order.

        Raises:
            StoreError: the file cannot be read or written, or holds something else than vectors.
        """
        keys = [self._key(content) for content in contents]
        known = self._read(keys, dim=dim)
        missing = list({key: i for i, key in enumerate(keys) if key not in known}.values())
        for start in range(0, len(missing), chunk):
            part = missing[start : start + chunk]
            vectors = compute([items[i] for i in part])
            fresh = {keys[i]: vectors[row] for row, i in enumerate(part)}
            self._write(fresh)
            known.update(fresh)
        return np.stack([known[key] for key in keys])

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
                    if not isinstance(blob, bytes) or len(blob) != dim * _FLOAT_BYTES:
                        raise StoreError(
                            f"holds a vector that has not {dim} numbers",
                            where=str(self._path),
                            fix="Delete the file; it only saves time.",
                        )
                    found[key] = np.frombuffer(blob, np.float32)
        return found

    def _write(self, vectors: dict[bytes, Float32[np.ndarray, " D"]]) -> None:
        """Add vectors in one transaction."""
        with _named_errors(self._path), closing(self._connect()) as db, db:
            db.executemany(
                "INSERT OR REPLACE INTO embeddings VALUES (?, ?)",
                [
                    (key, np.ascontiguousarray(v, np.float32).tobytes())
                    for key, v in vectors.items()
                ],
            )

    def _connect(self) -> sqlite3.Connection:
        """A connection for one use: SQLite's must not cross processes or threads."""
        return sqlite3.connect(self._path, timeout=60)


@contextmanager
def _named_errors(path: Path) -> Generator[None]:
    """Turn SQLite's errors into StoreError."""
    try:
        yield
    except sqlite3.OperationalError as error:  # no place, no right, locked for too long
        raise _unusable(path, error) from error
    except sqlite3.DatabaseError as error:
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
