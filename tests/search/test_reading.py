"""What workers give of a file: its hash, its frames in batches, or why it is no video."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from figclip.errors import VideoError
from figclip.search import reading
from figclip.search.index_file import IndexSpec
from figclip.search.reading import Cut, FrameBatch, Survey, VideoJob, read_video, survey_file
from figclip.search.video_files import find_video_files
from figclip.video.container import hash_video
from figclip.video.decoding import decode_frames, stream_frames
from figclip.video.pixels import PixelPipeline
from tests.videos import draw_video, regular_stamps

SMALL = PixelPipeline(size=32)
SPEC = IndexSpec(model="m", model_hash="m", pipeline="pil", dim=4)


@pytest.fixture
def job(tmp_path: Path) -> VideoJob:
    path = draw_video(tmp_path / "a.mp4", stamps=regular_stamps(35))
    (file,) = find_video_files([path]).files
    survey = survey_file(file, spec=SPEC, known=frozenset())
    assert survey == Survey(hash=hash_video(path), duration_us=3_500_000)
    return VideoJob(file=file, survey=survey)


def read(job: VideoJob, spec: IndexSpec = SPEC) -> tuple[list[FrameBatch], Cut | VideoError]:
    parts = read_video(job, spec=spec, pipeline=SMALL, batch_size=4, limit_s=60)
    batches: list[FrameBatch] = []
    while True:
        try:
            batches.append(next(parts))
        except StopIteration as end:
            return batches, end.value


def test_content_that_is_known_is_not_measured(job: VideoJob):
    known = frozenset([job.survey.hash])
    assert survey_file(job.file, spec=SPEC, known=known) == replace(job.survey, duration_us=0)
    job.file.path.write_bytes(b"")
    refused = survey_file(job.file, spec=SPEC, known=known)
    assert isinstance(refused, VideoError) and refused.what.startswith("empty")


def test_a_file_that_claims_to_last_for_years_is_refused(
    job: VideoJob, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reading, "video_duration_s", lambda path: 1e9)
    for unit in ("windows", "shots"):
        refused = survey_file(job.file, spec=replace(SPEC, unit=unit), known=frozenset())
        assert isinstance(refused, VideoError) and refused.what.startswith("too-long: ")


def test_frames_come_in_batches_each_once(job: VideoJob):
    batches, cut = read(job)
    assert isinstance(cut, Cut)
    assert (cut.spans_us / 1e6).tolist() == [[0, 2], [1, 3], [1.5, 3.5]]
    # 0.25, 0.75, …, 2.75 and 3.25 s: windows share the others.
    assert [(one.first, len(one.frames_NHWC)) for one in batches] == [(0, 4), (4, 3)]
    assert cut.frame_idx_NT.tolist() == [[0, 1, 2, 3], [2, 3, 4, 5], [3, 4, 5, 6]]
    assert [round(one.done, 2) for one in batches] == [0.5, 1.0]
    times_s = [0.25 + 0.5 * number for number in range(7)]
    expected = decode_frames(job.file.path, times_s, pipeline=SMALL).frames_NHWC
    np.testing.assert_array_equal(np.concatenate([one.frames_NHWC for one in batches]), expected)
    assert len(set(cut.thumbnails)) == 3


def test_a_frame_that_answers_several_times_is_one(tmp_path: Path, job: VideoJob):
    path = draw_video(tmp_path / "slow.mp4", stamps=[0, 15, 30])
    (file,) = find_video_files([path]).files
    batches, cut = read(VideoJob(file=file, survey=Survey(hash="", duration_us=3_000_000)))
    assert isinstance(cut, Cut)
    assert sum(len(one.frames_NHWC) for one in batches) == 2
    assert cut.frame_idx_NT.tolist() == [[0, 0, 0, 1], [0, 1, 1, 1]]


def test_where_frames_come_anew_batches_do(job: VideoJob, monkeypatch: pytest.MonkeyPatch):
    def twice(*args: Any, **options: Any) -> Generator[Any]:
        frames = list(stream_frames(*args, **options))
        yield from frames[:6]
        yield from frames

    undisturbed, expected = read(job)
    monkeypatch.setattr(reading, "stream_frames", twice)
    batches, cut = read(job)
    assert [(one.first, len(one.frames_NHWC)) for one in batches] == [(0, 4), (0, 4), (4, 3)]
    for one, other in zip(batches[1:], undisturbed, strict=True):
        np.testing.assert_array_equal(one.frames_NHWC, other.frames_NHWC)
    assert repr(cut) == repr(expected)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(b"short"), "changed"),
        (lambda path: path.unlink(), "changed"),
    ],
)
def test_a_file_that_is_not_what_was_found(
    job: VideoJob, damage: Callable[[Path], object], reason: str
):
    damage(job.file.path)
    _, refused = read(job)
    assert isinstance(refused, VideoError) and refused.what.startswith(f"{reason}: ")


def test_too_little_memory_is_a_reason(job: VideoJob, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> Generator[Any]:
        raise MemoryError
        yield

    monkeypatch.setattr(reading, "stream_frames", fail)
    _, refused = read(job)
    assert isinstance(refused, VideoError) and refused.what.startswith("too-large: ")
