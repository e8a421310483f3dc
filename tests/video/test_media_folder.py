"""Files by the names that annotations and benchmarks give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from figclip.errors import DataError
from figclip.video.media_folder import IMAGE_SUFFIXES, VIDEO_SUFFIXES, MediaFolder


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_bytes(b"x")


def anywhere(root: Path, name: str, *, images: bool = False) -> list[str]:
    folder = MediaFolder(root, suffixes=IMAGE_SUFFIXES if images else VIDEO_SUFFIXES)
    return [
        str(path.relative_to(root)) for path in folder.find_anywhere(name, any_suffix=not images)
    ]


def test_a_path_is_found_before_anything_else(tmp_path: Path):
    make(tmp_path, "a/v.mp4", "v.mp4", "b/v.avi")
    assert anywhere(tmp_path, "a/v.mp4") == ["a/v.mp4"]
    assert anywhere(tmp_path, "v.mp4") == ["v.mp4"]


@pytest.mark.parametrize("name", ["dive/v.avi", "v.avi", "v", "other/v.mp4", "x/y/v"])
def test_a_video_is_found_in_any_layout_and_container(tmp_path: Path, name: str):
    make(tmp_path, "hmdb/dive/v.MP4", "hmdb/dive/v.txt", "hmdb/dive/v.jpg", "hmdb/dive/vv.mp4")
    assert anywhere(tmp_path, name) == ["hmdb/dive/v.MP4"]


def test_a_folder_too_far_up_does_no_harm(tmp_path: Path):
    make(tmp_path, "clips/a.mp4", "clips/train/b.mp4", "clips/valid/c.mp4", "old/a.mp4")
    folder = MediaFolder(tmp_path, suffixes=VIDEO_SUFFIXES)
    assert folder.find("train/b.mp4") == [tmp_path / "clips/train/b.mp4"]
    assert folder.find("train/c.mp4") == folder.find("b.mp") == []
    assert folder.find("a.mp4") == [tmp_path / "clips/a.mp4", tmp_path / "old/a.mp4"]


def test_of_several_the_closest_is_taken(tmp_path: Path):
    make(tmp_path, "set/dive/v.mp4", "set/walk/v.mp4", "set/walk/v.avi")
    assert anywhere(tmp_path, "dive/v.avi") == ["set/walk/v.avi"]  # the very name counts most
    assert anywhere(tmp_path, "dive/v.mkv") == ["set/dive/v.mp4"]
    assert anywhere(tmp_path, "walk/v.mkv") == ["set/walk/v.avi", "set/walk/v.mp4"]
    assert anywhere(tmp_path, "v.mp4") == ["set/dive/v.mp4", "set/walk/v.mp4"]
    assert anywhere(tmp_path, "nap/v") == [
        "set/dive/v.mp4",
        "set/walk/v.avi",
        "set/walk/v.mp4",
    ]


def test_a_name_with_dots_is_no_suffix(tmp_path: Path):
    make(tmp_path, "x/take.2.mp4", "x/take.mp4")
    assert anywhere(tmp_path, "take.2") == ["x/take.2.mp4"]
    assert anywhere(tmp_path, "take") == ["x/take.mp4"]


def test_images_keep_their_suffix(tmp_path: Path):
    make(tmp_path, "val/1.jpg", "val/2.png", "train/3.jpg", "val/3.jpg")
    assert anywhere(tmp_path, "1.jpg", images=True) == ["val/1.jpg"]
    assert anywhere(tmp_path, "2.jpg", images=True) == []
    assert anywhere(tmp_path, "val/3.jpg", images=True) == ["val/3.jpg"]
    assert anywhere(tmp_path, "3.jpg", images=True) == ["train/3.jpg", "val/3.jpg"]


def test_a_folder_or_other_file_is_found_only_at_its_path(tmp_path: Path):
    make(tmp_path, "v/", "w.mp4/", "notes.txt")
    assert anywhere(tmp_path, "v") == ["v"]
    assert anywhere(tmp_path, "w.mp4") == ["w.mp4"]
    assert anywhere(tmp_path, "notes.txt") == ["notes.txt"]
    assert anywhere(tmp_path, "x/notes.txt") == []
    make(tmp_path, "deep/v.mp4", "deep/w.mp4")
    assert anywhere(tmp_path, "v") == ["deep/v.mp4"]
    assert anywhere(tmp_path, "w.mp4") == ["deep/w.mp4"]


@pytest.mark.parametrize("name", ["../out.mp4", "in/../../out.mp4", "/etc/passwd", "/out.mp4"])
@pytest.mark.parametrize("method", ["find", "find_anywhere"])
def test_names_do_not_lead_out_of_the_folder(tmp_path: Path, name: str, method: str):
    make(tmp_path, "out.mp4", "videos/in/a.mp4")
    folder = MediaFolder(tmp_path / "videos", suffixes=VIDEO_SUFFIXES)
    found = folder.find(name) if method == "find" else folder.find_anywhere(name, any_suffix=True)
    assert found == []


@pytest.mark.parametrize("name", ["a\0b.mp4", "\0", "x" * 5000, "a/" * 3000 + "b", "\ud800.mp4"])
def test_names_that_no_file_can_have_are_missing(tmp_path: Path, name: str):
    make(tmp_path, "a.mp4")
    assert anywhere(tmp_path, name) == []


def test_a_bare_name_is_found_by_its_stem_a_path_by_its_end(tmp_path: Path):
    make(tmp_path, "x/v.mp4", "y/v.mkv", "x/w.mp4")
    folder = MediaFolder(tmp_path, suffixes=VIDEO_SUFFIXES)
    assert folder.find("v") == [tmp_path / "x/v.mp4", tmp_path / "y/v.mkv"]
    assert folder.find("x/w.mp4") == [tmp_path / "x/w.mp4"]
    assert folder.find("w.mp4") == [tmp_path / "x/w.mp4"]
    assert folder.find("z/w") == folder.find("z/w.mp4") == []


def test_there_must_be_a_folder(tmp_path: Path):
    make(tmp_path, "file")
    for root in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(DataError, match="is not a folder"):
            MediaFolder(root, suffixes=VIDEO_SUFFIXES)
