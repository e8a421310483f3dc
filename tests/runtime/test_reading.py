"""Reading files that may be no files, or hold anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from figclip.errors import DataError
from figclip.runtime import reading
from figclip.runtime.reading import (
    damage_named,
    open_file,
    parse_json,
    read_bytes,
    read_utf8,
)


def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), Path("/dev/stdin")):
        with pytest.raises(OSError, match="is a pipe or a device|No such"):
            read_bytes(path)
    with pytest.raises(OSError, match="Is a directory"), open_file(tmp_path):
        pass


def test_long_files_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(b"12345")
    assert read_bytes(path, limit=5) == b"12345"
    with pytest.raises(OSError, match="is larger than 4 bytes"):
        read_bytes(path, limit=4)
    with path.open("r+b") as file:
        file.truncate(10**12)  # a sparse file: it takes no space
    with pytest.raises(OSError, match="is larger than 256,000,000 bytes"):
        read_bytes(path)


def test_values_are_counted_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_JSON_VALUES", 4)
    assert parse_json("[[],[]]") == [[], []]
    with pytest.raises(ValueError, match="more than 4 values"):
        parse_json("[[],[],[]]")


def test_what_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        read_utf8(path)


def test_mistakes_of_our_own_are_not_called_damage() -> None:
    with pytest.raises(AssertionError), damage_named("a", DataError, fix=""):
        raise AssertionError
    with pytest.raises(DataError, match="^b: is wrong$"), damage_named("a", DataError, fix=""):
        raise DataError("is wrong", where="b")
