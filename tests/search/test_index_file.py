"""The index file: what is written comes back, whatever the order, and damage is named."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from figclip.errors import StoreError
from figclip.search.index_file import (
    IndexedFile,
    IndexedVideo,
    IndexFile,
    IndexSpec,
    IndexWriter,
)

SPEC = IndexSpec(model="models/mini", model_hash="abc", pipeline="pil", dim=4)


def video(name: str, num_windows: int = 3) -> IndexedVideo:
    rng = np.random.default_rng(sum(name.encode()))
    vectors = rng.normal(size=(num_windows, 4)).astype(np.float32)
    starts = np.arange(num_windows) * 1_000_000
    return IndexedVideo(
        hash=name,
        duration_s=num_windows + 1.0,
        spans_us=np.stack([starts, starts + 2_000_000], axis=1),
        vectors_ND=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        thumbnails=tuple(f"{name}{number}".encode() for number in range(num_windows)),
    )


def file(path: str, video_hash: str = "", problem: str = "") -> IndexedFile:
    return IndexedFile(
        path=Path(path), num_bytes=10, mtime_ns=2**60, hash=video_hash, problem=problem
    )


def write(path: Path, *names: str) -> Path:
    with IndexWriter(path, spec=SPEC) as writer:
        for name in names:
            writer.add_video(video(name))
            writer.set_file(file(f"/videos/{name}.mp4", name))
    return path


def test_windows_of_all_videos_come_back_by_hash(tmp_path: Path):
    with IndexFile(write(tmp_path / "one.index", "b", "a")) as index:
        windows = index.windows()
        assert index.spec == SPEC
        assert index.thumbnail("b", 2) == b"b2"
    assert windows.hashes == ("a", "b")
    assert windows.video_idx_N.tolist() == [0, 0, 0, 1, 1, 1]
    assert windows.number_N.tolist() == [0, 1, 2, 0, 1, 2]
    assert windows.spans_us_N2[4].tolist() == [1_000_000, 3_000_000]
    np.testing.assert_array_equal(windows.vectors_ND[3:], video("b").vectors_ND)


def test_the_order_of_writing_does_not_show(tmp_path: Path):
    one, other = write(tmp_path / "one", "a", "b"), write(tmp_path / "other", "b", "a", "b")
    with IndexFile(one) as first, IndexFile(other) as second:
        assert first.content_hash() == second.content_hash()
        assert first.files() == second.files()


def test_a_writer_waits_while_what_belongs_together_is_read(tmp_path: Path):
    path = write(tmp_path / "one", "a")
    with IndexFile(path) as index:
        with index.held():
            before = index.content_hash()
            writing = Thread(target=write, args=(path, "b"))
            writing.start()
            writing.join(0.2)
            assert writing.is_alive() and index.windows().hashes == ("a",)
            assert index.content_hash() == before
        writing.join()
        assert index.windows().hashes == ("a", "b")


def test_an_index_without_videos_has_no_windows(tmp_path: Path):
    with IndexFile(write(tmp_path / "none")) as index:
        windows = index.windows()
    assert windows.vectors_ND.shape == (0, 4) and windows.spans_us_N2.shape == (0, 2)


def test_a_video_without_a_file_is_not_found_and_dropped_as_an_orphan(tmp_path: Path):
    path = write(tmp_path / "one", "a", "b")
    with IndexWriter(path, spec=SPEC) as writer:
        writer.forget_files([Path("/videos/a.mp4")])
        writer.commit()
        assert writer.video_hashes() == {"a", "b"}
        with IndexFile(path) as index:
            assert index.windows().hashes == ("b",)
        writer.drop_orphans()
        assert writer.video_hashes() == {"b"}
    with IndexFile(path) as index, pytest.raises(StoreError, match="thumbnail of window 0"):
        index.thumbnail("a", 0)


def test_paths_that_are_no_text_and_problems_come_back(tmp_path: Path):
    path = tmp_path / "one"
    odd = file("/videos/\udcff.mp4", problem="empty: has 0 bytes")
    with IndexWriter(path, spec=SPEC) as writer:
        writer.set_file(odd)
    with IndexFile(path) as index:
        assert index.files() == [odd]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_hash": "x", "model": "other"}, r"another model \(models/mini\), not of other"),
        ({"stride_s": 0.5}, r"was made with stride_s 1\.0, not 0\.5"),
        ({"unit": "shots"}, "was made with unit windows, not shots"),
    ],
)
def test_an_index_of_another_spec_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
):
    path = write(tmp_path / "one", "a")
    with pytest.raises(StoreError, match=message):
        IndexWriter(path, spec=replace(SPEC, **change))
    IndexWriter(path, spec=replace(SPEC, model="moved")).__exit__()


def test_an_index_is_of_one_precision_where_it_says_so(tmp_path: Path):
    before, half = write(tmp_path / "before", "a"), replace(SPEC, precision="bf16")
    IndexWriter(before, spec=half).__exit__()  # of an earlier version
    IndexWriter(tmp_path / "now", spec=half).__exit__()
    IndexWriter(tmp_path / "now", spec=half).__exit__()
    with pytest.raises(StoreError, match=r"are in bf16, .* in fp32\. Give --precision bf16, or"):
        IndexWriter(tmp_path / "now", spec=replace(SPEC, precision="fp32"))


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE videos SET vectors = zeroblob(length(vectors))", "row of a video is damaged"),
        ("UPDATE videos SET hash = 'x' WHERE hash = 'a'", "row of a video is damaged"),
        ("UPDATE videos SET duration_s = 5", "row of a video is damaged"),
        ("UPDATE files SET problem = 'x'", "row of a file is damaged"),
        ("UPDATE thumbnails SET jpeg = x'00'", "thumbnail of window 0 is damaged"),
        ("DELETE FROM videos WHERE hash = 'a'", "has lost rows"),
        ("UPDATE meta SET value = '1' WHERE key = 'spec'", "cannot be read|damaged"),
        ("PRAGMA application_id = 1", "is no index"),
        ("UPDATE meta SET value = '2' WHERE key = 'format_version'", "is newer than"),
    ],
)
def test_damage_is_named(tmp_path: Path, statement: str, message: str):
    path = write(tmp_path / "one", "a", "b")
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)
        db.commit()
    with pytest.raises(StoreError, match=message), IndexFile(path) as index:
        index.files()
        index.windows()
        index.thumbnail("a", 0)


def test_what_is_no_index_is_refused_for_reading_and_writing(tmp_path: Path):
    text = tmp_path / "text"
    text.write_text("hello")
    with pytest.raises(StoreError, match="is no index"):
        IndexFile(text)
    with pytest.raises(StoreError, match="exists, and is no index"):
        IndexWriter(text, spec=SPEC)
    with pytest.raises(StoreError, match="no such index"):
        IndexFile(tmp_path / "absent")
    assert text.read_text() == "hello"
