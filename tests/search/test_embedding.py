"""Frames that come in parts become windows, whatever happens on the way."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from figclip.errors import VideoError
from figclip.model.figclip import FiGCLIP
from figclip.runtime.worker_pool import Done, Lost, Part
from figclip.search.embedding import FrameEmbedder, embed_videos
from figclip.search.index_file import IndexedFile, IndexedVideo
from figclip.search.reading import Cut, FrameBatch, Survey, VideoJob
from tests.small_runs import IMAGE_SIZE, write_tiny_clip

FRAMES = np.random.default_rng(0).integers(0, 256, (6, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
CUT = Cut(
    spans_us=np.array([[0, 2_000_000], [1_000_000, 3_000_000]]),
    frame_idx_NT=np.array([[0, 1, 2, 3], [2, 3, 4, 5]]),
    thumbnails=(b"0", b"1"),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FiGCLIP:
    return FiGCLIP.from_pretrained(write_tiny_clip(tmp_path_factory.mktemp("model")))


def job(name: str) -> VideoJob:
    file = IndexedFile(path=Path(f"/{name}.mp4"), num_bytes=1, mtime_ns=1)
    return VideoJob(file=file, survey=Survey(hash=name, duration_us=3_000_000))


def part(name: str, first: int, last: int) -> Part[VideoJob, FrameBatch]:
    batch = FrameBatch(first=first, done=last / 6, frames_NHWC=FRAMES[first:last])
    return Part(job(name), batch)


def results(
    model: FiGCLIP, outcomes: Iterable[Any], monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, IndexedVideo | VideoError], list[tuple[int, int]]]:
    def stream(*_: object, **__: object) -> Generator[Any]:
        yield from outcomes

    told: list[tuple[int, int]] = []
    monkeypatch.setattr("figclip.search.embedding.stream_jobs", stream)
    videos = embed_videos(
        [job("a"), job("b")],
        lambda _: (yield),
        model=model,
        num_workers=1,
        num_threads=2,
        limit_s=60,
        on_progress=lambda *a: told.append(a),
    )
    return {one.survey.hash: result for one, result in videos}, told


def test_a_window_is_the_mean_of_its_frames(model: FiGCLIP, monkeypatch: pytest.MonkeyPatch):
    # The parts of two videos in turn.
    a, b = Done(job("a"), CUT), Done(job("b"), CUT)
    outcomes = [part("a", 0, 4), part("b", 0, 6), part("a", 4, 6), b, a]
    found, told = results(model, outcomes, monkeypatch)
    frames_ND = model.encode_frames(FRAMES).numpy()
    means_ND = np.stack([frames_ND[:4].mean(axis=0), frames_ND[2:].mean(axis=0)])
    for video in found.values():
        assert isinstance(video, IndexedVideo)
        expected = means_ND / np.linalg.norm(means_ND, axis=1, keepdims=True)
        np.testing.assert_allclose(video.vectors_ND, expected, atol=1e-6)
        assert video.duration_s == 3.0 and video.thumbnails == (b"0", b"1")
    assert set(found) == {"a", "b"}
    assert told == [(2, 6), (5, 6), (6, 6)]


def test_frames_that_come_anew_take_the_place_of_those_before(
    model: FiGCLIP, monkeypatch: pytest.MonkeyPatch
):
    wrong = FrameBatch(first=0, done=0.9, frames_NHWC=255 - FRAMES)
    looking = FrameBatch(first=0, done=0.1, frames_NHWC=FRAMES[:0])
    anew = [Part(job("a"), looking), Part(job("a"), wrong), part("a", 0, 4), part("a", 4, 6)]
    plain = [part("b", 0, 4), part("b", 4, 6)]
    outcomes = [*anew, Done(job("a"), CUT), *plain, Done(job("b"), CUT)]
    found, _ = results(model, outcomes, monkeypatch)
    a, b = found["a"], found["b"]
    assert isinstance(a, IndexedVideo) and isinstance(b, IndexedVideo)
    np.testing.assert_array_equal(a.vectors_ND, b.vectors_ND)


def test_what_is_lost_midway_is_an_error(model: FiGCLIP, monkeypatch: pytest.MonkeyPatch):
    refused = VideoError("damaged: half")
    outcomes = [part("a", 0, 4), Lost(job("a"), "hung", "no result after 9 s")]
    outcomes += [part("b", 0, 4), Done(job("b"), refused)]
    found, told = results(model, outcomes, monkeypatch)
    assert str(found["a"]) == "hung: the decoder: no result after 9 s"
    assert found["b"] is refused
    assert told[-1] == (6, 6)


def test_a_core_has_a_thread_that_computes_alone(model: FiGCLIP, monkeypatch: pytest.MonkeyPatch):
    before = torch.get_num_threads()
    seen: list[tuple[str, int]] = []

    def embed(frames: np.ndarray) -> torch.Tensor:
        seen.append((threading.current_thread().name, torch.get_num_threads()))
        return torch.zeros(len(frames), 4)

    monkeypatch.setattr(model, "encode_frames", embed)
    torch.set_num_threads(2)
    try:
        with FrameEmbedder(model, num_threads=3) as embedder:
            futures = [embedder.submit(FRAMES) for _ in range(20)]
            assert all(len(one.result().own_ND) == 6 for one in futures)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert {num for _, num in seen} == {1}
    assert 1 <= len({name for name, _ in seen}) <= 3


def test_batches_wait_for_those_before(model: FiGCLIP, monkeypatch: pytest.MonkeyPatch):
    go, given = threading.Event(), list[int]()

    def embed(frames: np.ndarray) -> torch.Tensor:
        go.wait(30)
        return torch.zeros(len(frames), 4)

    def give() -> None:
        for number in range(6):
            embedder.submit(FRAMES)
            given.append(number)

    monkeypatch.setattr(model, "encode_frames", embed)
    with FrameEmbedder(model, num_threads=1) as embedder:
        giving = threading.Thread(target=give)
        giving.start()
        giving.join(0.3)
        assert giving.is_alive() and len(given) == 2
        go.set()
        giving.join(30)
    assert len(given) == 6
