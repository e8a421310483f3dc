"""index: windows as a slow reading gives them, only what is new, the same rows in any way."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg

from figclip.errors import ConfigError, DataError, OutputError, StoreError, VideoError
from figclip.model.embedding_settings import EmbeddingSettings
from figclip.model.figclip import FiGCLIP
from figclip.runtime.locks import lock_file
from figclip.runtime.worker_pool import Done, Lost, Part
from figclip.search import indexing
from figclip.search.index import Index
from figclip.search.index_file import IndexFile
from figclip.search.indexing import IndexingPlan, index
from figclip.video.decoding import decode_frames, sample_midpoints
from tests.search.test_shots import draw_shots
from tests.small_runs import write_tiny_clip
from tests.videos import draw_video, regular_stamps


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Videos by name: 3.5 s, 1 s, 5 s at a frame a second, and one that is cut off."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_video(folder / "a.mp4", stamps=regular_stamps(35))
    draw_video(folder / "b.mp4", stamps=regular_stamps(10))
    draw_video(folder / "c.mp4", stamps=[10 * second for second in range(5)])
    files = {file.stem: file.read_bytes() for file in folder.iterdir()}
    return {**files, "cut": files["a"][:-1500]}


@pytest.fixture
def clips(tmp_path: Path, drawn: dict[str, bytes]) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.mp4").write_bytes(drawn[name])
    return folder


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Without worker processes; the paths of the files that are hashed, in order."""
    hashed: list[Path] = []

    def decode_here(files: Sequence[Any], look: Callable[[Any], Any], **_: object):
        for file in files:
            hashed.append(file.path)
            yield file, look(file)

    def stream_here(jobs: Sequence[Any], read: Callable[[Any], Any], **_: object):
        for job in jobs:
            parts = read(job)
            try:
                while True:
                    yield Part(job, next(parts))
            except StopIteration as end:
                yield Done(job, end.value)

    monkeypatch.setattr("figclip.search.indexing.decode_all", decode_here)
    monkeypatch.setattr("figclip.search.embedding.stream_jobs", stream_here)
    return hashed


def contents(path: Path) -> tuple[Any, ...]:
    """All that an index says."""
    with IndexFile(path) as opened:
        windows = opened.windows()
        pictures = [
            opened.thumbnail(windows.hashes[video_idx], int(number))
            for video_idx, number in zip(windows.video_idx_N, windows.number_N, strict=True)
        ]
        return opened.content_hash(), opened.files(), pictures


def test_windows_are_those_of_a_slow_reading(model: Path, clips: Path, tmp_path: Path):
    out = tmp_path / "new" / "my.index"
    report = index(model, [clips], out=out, num_workers=2)
    assert (report.num_files, report.num_videos, report.num_windows) == (3, 3, 3 + 1 + 4)
    clip = FiGCLIP.from_pretrained(model)
    with IndexFile(out) as opened:
        windows, files = opened.windows(), opened.files()
        assert [file.path for file in files] == [clips / f"{name}.mp4" for name in "abc"]
        path_of = {file.hash: file.path for file in files}
        spans_s: dict[str, list[tuple[float, float]]] = {}
        for row, vector_D in enumerate(windows.vectors_ND):
            name = windows.hashes[windows.video_idx_N[row]]
            start_s, end_s = (windows.spans_us_N2[row] / 1e6).tolist()
            spans_s.setdefault(path_of[name].stem, []).append((start_s, end_s))
            times_s = sample_midpoints(start_s, end_s, 4)
            frames = decode_frames(path_of[name], times_s, pipeline=clip.video_pipeline)
            mean_D = clip.encode_frames(frames.frames_NHWC).numpy().mean(axis=0)
            np.testing.assert_allclose(vector_D, mean_D / np.linalg.norm(mean_D), atol=1e-6)
            picture = simplejpeg.decode_jpeg(opened.thumbnail(name, int(windows.number_N[row])))
            assert picture.shape == (107, 160, 3)
    assert spans_s == {
        "a": [(0, 2), (1, 3), (1.5, 3.5)], "b": [(0, 1)], "c": [(0, 2), (1, 3), (2, 4), (3, 5)],
    }  # fmt: skip


@pytest.mark.slow
def test_rows_depend_on_nothing_else_that_is_indexed(model: Path, clips: Path, tmp_path: Path):
    # All 35 frames of `a`: more than a batch.
    lengths = {"window_s": 0.4, "stride_s": 0.2}
    index(model, [clips], out=tmp_path / "whole", num_workers=3, **lengths)
    for name in "cab":
        index(model, [clips / f"{name}.mp4"], out=tmp_path / "by one", num_workers=1, **lengths)
    assert contents(tmp_path / "whole") == contents(tmp_path / "by one")


def test_batches_and_precision_of_rows(here: list[Path], model: Path, clips: Path, tmp_path: Path):
    rows: dict[str, np.ndarray] = {}
    for name, settings in {
        "usual": {},
        "one by one": {"batch_size": 1, "precision": "fp32"},
        "half": {"precision": "bf16"},
    }.items():
        out, embedding = tmp_path / name, EmbeddingSettings(**settings)
        index(model, [clips], out=out, embedding=embedding)
        with IndexFile(out) as opened:
            assert opened.spec.precision == ("bf16" if name == "half" else "fp32")
            rows[name] = opened.windows().vectors_ND
    np.testing.assert_allclose(rows["one by one"], rows["usual"], atol=1e-6)
    distances_N = 1 - np.vecdot(rows["usual"].astype(float), rows["half"])
    assert 1e-9 < np.abs(distances_N).max() < 1e-2
    with pytest.raises(StoreError, match="Give --precision bf16"):
        index(model, [clips], out=tmp_path / "half")
    half = FiGCLIP.from_pretrained(model, embedding=EmbeddingSettings(precision="bf16"))
    exact, found = (
        Index.open(tmp_path / "half", model=one).search(text="a dog", k=1)[0].score
        for one in (None, half)
    )
    assert exact == pytest.approx(found, abs=1e-2)


def test_what_has_not_changed_is_not_read(
    here: list[Path], model: Path, clips: Path, tmp_path: Path
):
    out = tmp_path / "my.index"
    index(model, [clips], out=out)
    before = contents(out)
    here.clear()
    report = index(model, [clips], out=out)
    assert here == [] and report.num_unchanged == 3 and report.num_videos == 0
    assert contents(out) == before
    os.utime(clips / "a.mp4", ns=(1, 1))
    report = index(model, [clips], out=out)
    assert here == [clips / "a.mp4"]
    assert (report.num_unchanged, report.num_known, report.num_videos) == (2, 1, 0)


def test_copies_and_moved_files_are_not_decoded(
    here: list[Path], model: Path, clips: Path, drawn: dict[str, bytes], tmp_path: Path
):
    out = tmp_path / "my.index"
    (clips / "copy.mp4").write_bytes(drawn["a"])
    assert index(model, [clips], out=out).num_videos == 3
    (clips / "later.mp4").write_bytes(drawn["b"])
    (clips / "c.mp4").rename(clips / "moved.mp4")
    report = index(model, [clips], out=out)
    assert (report.num_unchanged, report.num_known, report.num_videos) == (3, 2, 0)
    assert report.gone == (clips / "c.mp4",)
    with IndexFile(out) as opened:
        assert len(opened.windows().hashes) == 3
        assert len(opened.files()) == 6


def test_a_changed_file_is_replaced(
    here: list[Path], model: Path, clips: Path, drawn: dict[str, bytes], tmp_path: Path
):
    out = tmp_path / "my.index"
    index(model, [clips], out=out)
    (clips / "a.mp4").write_bytes(drawn["cut"])
    (clips / "c.mp4").write_bytes(drawn["b"])
    report = index(model, [clips], out=out)
    assert [one.path.name for one in report.quarantine] == ["a.mp4"]
    assert report.quarantine[0].problem.startswith("unreadable")
    with IndexFile(out) as opened:
        assert len(opened.windows().hashes) == 1


def test_files_that_are_gone_are_kept_until_pruned(
    here: list[Path], model: Path, clips: Path, tmp_path: Path
):
    out = tmp_path / "my.index"
    index(model, [clips], out=out)
    (clips / "a.mp4").unlink()
    report = index(model, [clips / "b.mp4"], out=out)
    assert report.gone == (clips / "a.mp4",)
    with IndexFile(out) as opened:
        assert len(opened.windows().hashes) == 3
    report = index(model, [clips / "b.mp4"], out=out, prune=True)
    assert report.gone == (clips / "a.mp4",)
    with IndexFile(out) as opened:
        assert [one.path.name for one in opened.files()] == ["b.mp4", "c.mp4"]
        assert len(opened.windows().hashes) == 2


def test_what_is_no_video_is_listed_and_tried_again_when_it_changes(
    here: list[Path], model: Path, clips: Path, drawn: dict[str, bytes], tmp_path: Path
):
    out = tmp_path / "my.index"
    (clips / "cut.mp4").write_bytes(drawn["cut"])
    (clips / "none.mp4").write_bytes(b"")
    first = index(model, [clips], out=out)
    assert [one.problem.partition(":")[0] for one in first.quarantine] == ["unreadable", "empty"]
    here.clear()
    assert index(model, [clips], out=out).quarantine == first.quarantine
    assert here == []
    (clips / "cut.mp4").write_bytes(drawn["a"])
    assert len(index(model, [clips], out=out).quarantine) == 1


def test_what_may_be_the_moment_is_tried_again(
    here: list[Path], model: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def lose(jobs: Sequence[Any], *_: object, **__: object) -> Generator[Any]:
        for job in jobs:
            yield Lost(job, "crashed", "its worker process ended with code -9")

    out = tmp_path / "my.index"
    with monkeypatch.context() as patched:
        patched.setattr("figclip.search.embedding.stream_jobs", lose)
        report = index(model, [clips], out=out)
    assert [one.problem for one in report.quarantine] == [
        "crashed: the decoder: its worker process ended with code -9"
    ] * 3
    assert index(model, [clips], out=out).quarantine == ()


@pytest.mark.parametrize(
    ("problem", "is_read_again"),
    [
        ("unreadable: Permission denied", True),
        ("unreadable: Input/output error", True),
        ("missing: no such file", True),
        ("unreadable: Invalid data found when processing input", False),
        ("damaged: the frame at 1 s cannot be decoded", False),
    ],
)
def test_what_is_no_fault_of_the_file_is_tried_again(
    here: list[Path], model: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    problem: str, is_read_again: bool,
):  # fmt: skip
    out = tmp_path / "my.index"
    with monkeypatch.context() as patched:
        patched.setattr(indexing, "survey_file", lambda file, **_: VideoError(problem))
        index(model, [clips / "b.mp4"], out=out)
    assert len(index(model, [clips / "b.mp4"], out=out).quarantine) == 1 - is_read_again


def test_a_file_that_is_written_to_meanwhile_is_named(
    here: list[Path], model: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    find = indexing.find_video_files

    def stale(videos: Sequence[Any], **options: Any) -> Any:
        found = find(videos, **options)
        return replace(found, files=tuple(replace(one, mtime_ns=1) for one in found.files))

    monkeypatch.setattr(indexing, "find_video_files", stale)
    report = index(model, [clips / "a.mp4"], out=tmp_path / "my.index")
    assert report.quarantine[0].problem.startswith("changed: ")


def test_plan_and_progress_are_told(here: list[Path], model: Path, clips: Path, tmp_path: Path):
    plans: list[IndexingPlan] = []
    told: list[tuple[str, int, int]] = []
    out = tmp_path / "my.index"
    index(model, [clips], out=out, on_plan=plans.append, on_progress=lambda *a: told.append(a))
    (plan,) = plans
    assert (plan.num_videos, plan.duration_s, plan.missing_bytes) == (3, 9.5, 0)
    assert plan.num_windows == 8 and plan.num_bytes > 8 * 4 * 32
    assert told[:3] == [("reading", number, 3) for number in (1, 2, 3)]
    assert told[-1] == ("seconds of video", 10, 10)


def test_an_index_of_another_model_or_other_windows_is_refused(
    here: list[Path], model: Path, clips: Path, tmp_path: Path
):
    out = tmp_path / "my.index"
    moved = tmp_path / "moved"
    moved.symlink_to(model)
    index(model, [clips], out=out)
    assert index(moved, [clips], out=out).num_unchanged == 3
    other = write_tiny_clip(tmp_path / "other", seed=1)
    with pytest.raises(StoreError, match="is of another model"):
        index(other, [clips], out=out)
    with pytest.raises(StoreError, match=r"made with stride_s 1\.0, not 0\.5"):
        index(model, [clips], out=out, stride_s=0.5)


@pytest.mark.parametrize("options", [{"window_s": 0.0}, {"stride_s": float("nan")}])
def test_lengths_that_windows_cannot_have(options: dict[str, float], tmp_path: Path):
    (name,) = options
    with pytest.raises(ConfigError, match=f"--{name.removesuffix('_s')}: is"):
        index("none", ["none"], out=tmp_path / "my.index", **options)


def test_nothing_is_made_where_there_is_nothing_to_index(model: Path, tmp_path: Path):
    with pytest.raises(DataError, match=r"nowhere\.mp4: is not there"):
        index(model, [tmp_path / "nowhere.mp4"], out=tmp_path / "my.index")
    assert list(tmp_path.iterdir()) == []


def test_one_writer_at_a_time(model: Path, clips: Path, tmp_path: Path):
    out = tmp_path / "my.index"
    with lock_file(out), pytest.raises(OutputError, match="is being written by"):
        index(model, [clips], out=out)


def test_whole_shots(here: list[Path], model: Path, clips: Path, tmp_path: Path):
    path = draw_shots(
        clips / "shots.mp4", stamps_ms=[40 * n for n in range(100)], cuts_ms=[1000, 2400]
    )
    out = tmp_path / "my.index"
    report = index(model, [path], out=out, shots=True)
    assert report.num_windows == 3
    with IndexFile(out) as opened:
        assert opened.spec.unit == "shots"
        spans_s_N2 = opened.windows().spans_us_N2 / 1e6
    assert spans_s_N2.tolist() == [[0.0, 1.0], [1.0, 2.4], [2.4, 4.0]]
    with pytest.raises(StoreError, match="made with unit shots, not windows"):
        index(model, [path], out=out)
