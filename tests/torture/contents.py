"""What files say, without what differs from run to run; and whether they are whole."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from safetensors import safe_open

from figclip.runtime.checked_json import load_checked

DATABASES = (".store", ".sqlite", ".index")
"""Where SQLite lays rows depends on when they are committed."""
_TIMED = ("environment.json", "metrics.jsonl")
_MEASURED = re.compile(rb"[\d.]+ s\b|[\d,.]+ MiB of memory")
"""Times, and the most memory that a process has held, as a page tells them."""


def contents(folder: Path) -> dict[str, str]:
    """What all files below a folder say, by their paths; of the SQLite ones their rows."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _said_by(path) for path in files}


def digest(folder: Path) -> str:
    """A hash of every byte below a folder, but for times."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    found = hashlib.sha256(json.dumps(names).encode())
    for path in (folder / name for name in names):
        content = path.read_bytes() if path.is_file() else b""
        if path.name in _TIMED and content.endswith(b"\n"):
            content = _said_by(path).encode()
        found.update(hashlib.sha256(content).digest())
    return found.hexdigest()


def is_aside(name: Path) -> bool:
    """Whether a file below a folder is hidden, as what is being written."""
    return any(part.startswith(".") for part in name.parts)


def broken(folder: Path) -> list[str]:
    """Files that are half-written; hidden ones may be."""
    found = []
    for path in sorted(folder.rglob("*")):
        is_hidden = is_aside(path.relative_to(folder))
        if path.is_file() and not is_hidden and not path.name.endswith("-journal"):
            try:
                _said_by(path)
            except Exception as error:  # noqa: BLE001 - named by whoever asked
                found.append(f"{path.relative_to(folder)}: {error!r}")
    return found


def _said_by(path: Path) -> str:
    """A hash of what a file says."""
    if path.suffix in DATABASES:
        said = _rows(path)
    elif path.name == "environment.json":
        json.loads(path.read_bytes())
        said = "times"
    elif path.name == "metrics.jsonl":
        # A line that a kill cut short is left out, as its reader does.
        lines = [line for line in path.read_bytes().splitlines(True) if line.endswith(b"\n")]
        said = [load_checked(line.decode()) for line in lines]
        for record in said:
            del record["time"]
    elif path.suffix == ".safetensors":
        with safe_open(path, framework="np") as file:
            names = sorted(file.keys())
            digests = {name: hashlib.sha256(file.get_tensor(name)).hexdigest() for name in names}
            said = [digests, file.metadata()]
    elif path.suffix == ".json":
        said = json.loads(path.read_bytes())
    elif path.suffix == ".html":
        said = hashlib.sha256(_MEASURED.sub(b"", path.read_bytes())).hexdigest()
    else:
        said = hashlib.sha256(path.read_bytes()).hexdigest()
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _rows(path: Path) -> list[list[str]]:
    """All rows of a database that is whole, in an order that does not depend on their history."""
    if not path.stat().st_size:
        return []
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "is damaged"
        tables = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        return [
            [name, *sorted(map(repr, db.execute(f"SELECT * FROM {name}")))] for (name,) in tables
        ]
