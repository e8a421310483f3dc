"""Addresses: what is found there, copied for as long as it is read, and told where it is not."""

from __future__ import annotations

import sys
from pathlib import Path

import fsspec
import pytest

from figclip.errors import ConfigError, DataError, VideoError
from figclip.search.addresses import (
    address_of,
    find_addressed,
    is_address_gone,
    local_copy,
    place_of,
)
from figclip.search.index_file import IndexedFile
from figclip.search.video_files import find_video_files


@pytest.fixture
def bucket() -> str:
    system = fsspec.filesystem("memory")
    system.store.clear()
    for name in ("a.mp4", "below/b.MKV", "notes.txt"):
        system.pipe_file(f"/bucket/{name}", name.encode())
    return "memory://bucket"


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("s3://bucket/a.mp4", "s3://bucket/a.mp4"),
        (Path("s3://bucket/a.mp4"), "s3://bucket/a.mp4"),
        ("/videos/a.mp4", None),
        ("videos/a: b.mp4", None),
        ("C:a", None),
        ("file:///videos/a.mp4", None),
        (Path("gs:/bucket/line\nend.mp4"), "gs://bucket/line\nend.mp4"),
    ],
)
def test_an_address_comes_back_from_a_path(path: str | Path, address: str | None):
    assert address_of(path) == address
    assert place_of(Path(path)) == (address or str(Path(path)))


def names(files: list[IndexedFile]) -> list[str]:
    return [str(file.path).removeprefix("memory:/bucket/") for file in files]


def test_videos_below_an_address_are_found_by_suffix_and_pattern(bucket: str):
    assert names(find_addressed(bucket)) == ["a.mp4", "below/b.MKV"]
    assert names(find_addressed(f"{bucket}/*.txt")) == ["notes.txt"]
    (file,) = find_addressed(f"{bucket}/a.mp4")
    assert file.num_bytes == 5
    with pytest.raises(DataError, match=r"memory://bucket/\*\.avi: holds no video"):
        find_addressed(f"{bucket}/*.avi")
    with pytest.raises(DataError, match="cannot be looked at"):
        find_addressed(f"{bucket}/absent.mp4")


def test_a_file_that_changes_is_another_one(bucket: str):
    (before,) = find_addressed(f"{bucket}/a.mp4")
    assert find_addressed(f"{bucket}/a.mp4") == [before]
    fsspec.filesystem("memory").pipe_file("/bucket/a.mp4", b"other")
    (after,) = find_addressed(f"{bucket}/a.mp4")
    assert after.num_bytes == before.num_bytes and after.mtime_ns != before.mtime_ns


def test_a_copy_is_there_for_as_long_as_it_is_read(bucket: str, tmp_path: Path):
    (file,) = find_addressed(f"{bucket}/a.mp4")
    with local_copy(file) as copy:
        assert copy.path.read_bytes() == b"a.mp4" and copy.path.suffix == ".mp4"
    assert not copy.path.exists()
    here = IndexedFile(path=tmp_path / "a.mp4", num_bytes=1, mtime_ns=1)
    with local_copy(here) as copy:
        assert copy == here


def test_what_has_gone_is_told(bucket: str):
    (file,) = find_addressed(f"{bucket}/a.mp4")
    assert not is_address_gone(f"{bucket}/a.mp4")
    fsspec.filesystem("memory").rm("/bucket/a.mp4")
    assert is_address_gone(f"{bucket}/a.mp4")
    with pytest.raises(VideoError, match="unreadable: it cannot be copied"), local_copy(file):
        pass


def test_stores_that_are_not_installed_or_not_known_are_named(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match="nosuch://bucket"):
        find_addressed("nosuch://bucket")
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ConfigError, match=r"figclip\[ray\]"):
        find_addressed("memory://bucket")


def test_addresses_stand_beside_files_only_where_they_may(bucket: str, tmp_path: Path):
    (tmp_path / "here.mp4").write_bytes(b"x")
    found = find_video_files([tmp_path, bucket], addresses=True)
    assert [file.path.name for file in found.files] == ["here.mp4", "a.mp4", "b.MKV"]
    assert find_video_files([f"file://{tmp_path}"]) == find_video_files([tmp_path])
    with pytest.raises(DataError, match="is an address. Add --ray local"):
        find_video_files([bucket])
