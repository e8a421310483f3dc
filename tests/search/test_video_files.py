"""Files, folders and patterns become a list of files, and what is not there is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from figclip.errors import DataError
from figclip.search.video_files import find_video_files, is_gone


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    (folder / "below" / "deep.mp4").mkdir(parents=True)
    for name in ("b.mp4", "a.MOV", "below/c.webm", "below/notes.txt", "below/deep.mp4/d.mkv"):
        (folder / name).write_bytes(b"x")
    return folder


def names(folder: Path, *given: str | Path) -> list[str]:
    return [str(one.path.relative_to(folder)) for one in find_video_files(given).files]


def test_folders_are_searched_by_suffix_and_files_taken_as_they_are(clips: Path):
    inside = ["a.MOV", "b.mp4", "below/c.webm", "below/deep.mp4/d.mkv"]
    assert names(clips, clips) == inside
    assert names(clips, clips / "below/notes.txt", clips / "b.mp4") == ["b.mp4", "below/notes.txt"]
    assert names(clips, clips, clips / "b.mp4", f"{clips}/below/../b.mp4") == inside


def test_patterns_are_searched_where_nothing_has_that_name(clips: Path):
    assert names(clips, f"{clips}/*.m*") == ["b.mp4"]
    assert names(clips, f"{clips}/**/*.m[pk]*") == ["b.mp4", "below/deep.mp4/d.mkv"]
    odd = clips / "[b].mp4"
    odd.write_bytes(b"x")
    assert names(clips, odd) == ["[b].mp4"]


def test_relative_paths_become_absolute(clips: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(clips)
    assert names(clips, "b.mp4", ".") == ["a.MOV", "b.mp4", "below/c.webm", "below/deep.mp4/d.mkv"]


def test_size_and_time_are_noted(clips: Path):
    (found,) = find_video_files([clips / "b.mp4"]).files
    status = (clips / "b.mp4").stat()
    assert (found.num_bytes, found.mtime_ns) == (status.st_size, status.st_mtime_ns)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nowhere.mp4", "nowhere.mp4: is not there"),
        ("*.avi", r"\*\.avi: matches nothing"),
        ("empty", "empty: holds no video"),
        ("e*", r"e\*: holds no video"),
    ],
)
def test_what_is_not_there_is_named(
    clips: Path, given: str, message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(clips)
    (clips / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        find_video_files(["b.mp4", given])


def test_a_link_to_nothing_is_found_for_the_reader_to_name(clips: Path):
    (clips / "a.mp4").symlink_to(clips / "nowhere.mp4")
    found = {one.path.name: one.num_bytes for one in find_video_files([clips]).files}
    assert found["a.mp4"] == 0


def test_folders_that_cannot_be_looked_into_are_told(clips: Path, monkeypatch: pytest.MonkeyPatch):
    scandir = os.scandir

    def closed(path: str):
        if str(path).endswith("below"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    found = find_video_files([clips])
    assert [one.path.name for one in found.files] == ["a.MOV", "b.mp4"]
    assert found.closed_folders == (clips / "below",)


def test_only_what_is_surely_not_there_is_gone(clips: Path, monkeypatch: pytest.MonkeyPatch):
    assert not is_gone(clips / "b.mp4")
    assert is_gone(clips / "x.mp4") and is_gone(clips / "b.mp4" / "x.mp4")

    def refuse(_: Path) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "lstat", refuse)
    assert not is_gone(clips / "x.mp4")
