"""SQLite files that hold a user's work: opened as files from strangers, errors by name."""

import os
import sqlite3
import zlib
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from figclip.errors import StoreError
from figclip.runtime.reading import DAMAGES

_HEADER = b"SQLite format 3\0"
_LOCK_TIMEOUT_S = 60.0


def is_sqlite(path: Path) -> bool:
    """Whether a path is a file that SQLite wrote."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_HEADER)) == _HEADER


def connect(path: Path, *, mode: Literal["ro", "rw", "rwc"]) -> sqlite3.Connection:
    """A connection without implicit transactions."""
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}",
        uri=True,
        timeout=_LOCK_TIMEOUT_S,
        isolation_level=None,
        # close() may run at exit in another thread; users keep each to one thread.
        check_same_thread=False,
    )
    # A file from elsewhere must not run functions from its schema, nor trip over bad cells.
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def roll_back_interrupted_write(path: Path, *, kind: str) -> None:
    """Undo what a killed writer left half done; a reader without write access cannot."""
    if not path.with_name(path.name + "-journal").exists():
        return
    with named_errors(path, kind=kind), closing(connect(path, mode="rw")) as connection:
        connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()


def row_check(*values: object) -> int:
    """Checksum of the values of a row: SQLite does not see a flipped bit."""
    return zlib.crc32(repr(values).encode())


@contextmanager
def named_errors(path: Path, *, kind: str) -> Generator[None]:
    """Turn SQLite's errors, and what damaged content leads to, into a StoreError on `kind`."""
    try:
        yield
    except StoreError:
        raise
    except (sqlite3.Error, *DAMAGES) as error:
        is_full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        raise StoreError(
            f"the {kind} cannot be read or written ({error})",
            where=str(path),
            fix="Make room there, then run the same command again"
            if is_full
            else "Check the disk and the file's rights; if it is damaged, delete it and run what "
            "made it again",
        ) from error
