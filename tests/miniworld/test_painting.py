"""Ordered pictures and videos are drawn once, whole, the same by any number of processes."""

from __future__ import annotations

import random
from pathlib import Path

import av
import pytest
from PIL import Image

from figclip.miniworld import painting as paint_orders
from figclip.miniworld.painting import PICTURE_PX, PaintOrders, paint
from figclip.miniworld.situations import FPS, sample_film, sample_situation, whole_events
from tests.layouts.plain_painter import digests


def ordered(out: Path) -> PaintOrders:
    rng = random.Random(0)
    orders = PaintOrders()
    for i in range(3):
        orders.order(
            out / f"videos/{i}.mp4", whole_events([sample_situation(rng, held_out=None)]), seed=i
        )
        orders.order(out / f"images/{i}.png", sample_situation(rng, held_out=None), seed=i)
    return orders


def test_any_number_of_processes_draws_the_same(tmp_path: Path):
    for name, workers in (("one", 0), ("two", 2)):
        told: list[tuple[int, int]] = []
        paint(
            ordered(tmp_path / name).orders,
            workers=workers,
            on_progress=lambda done, total, told=told: told.append((done, total)),
        )
        assert told[0] == (0, 6) and told[-1] == (6, 6)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert len(digests(tmp_path / "one")) == 6
    with Image.open(tmp_path / "one/images/0.png") as image:
        assert image.size == (PICTURE_PX, PICTURE_PX)
    with av.open(str(tmp_path / "one/videos/0.mp4")) as video:
        assert video.streams.video[0].frames == 2 * FPS


def test_a_film_has_the_frames_of_its_shots(tmp_path: Path):
    rng, orders = random.Random(0), PaintOrders()
    films = [sample_film(rng, held_out=False) for _ in range(3)]
    for i, film in enumerate(films):
        orders.order(tmp_path / f"{i}.mp4", film, seed=i)
    paint(orders.orders, workers=0, on_progress=lambda done, total: None)
    for i, film in enumerate(films):
        with av.open(str(tmp_path / f"{i}.mp4")) as video:
            num_frames = len(list(video.decode(video=0)))
        assert num_frames == round(FPS * sum(shot.duration_s for shot in film))


def test_what_is_there_is_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    orders = ordered(tmp_path).orders
    paint(orders, workers=0, on_progress=lambda done, total: None)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    (tmp_path / "videos/1.mp4").unlink()
    painted: list[Path] = []
    original = paint_orders._paint_all
    monkeypatch.setattr(
        paint_orders,
        "_paint_all",
        lambda part, **size: painted.extend(o.path for o in part) or original(part, **size),
    )
    paint(orders, workers=0, on_progress=lambda done, total: None)
    assert painted == [tmp_path / "videos/1.mp4"]
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    assert {path for path in after if after[path] != before[path]} == {tmp_path / "videos/1.mp4"}


def test_a_failure_in_a_process_is_raised(tmp_path: Path):
    orders = PaintOrders()
    orders.order(tmp_path / "a.unknown", sample_situation(random.Random(0), held_out=None), seed=0)
    with pytest.raises((KeyError, ValueError, OSError)):
        paint(orders.orders, workers=1, on_progress=lambda done, total: None)
    assert not list(tmp_path.iterdir())


def test_stopped_in_the_middle_it_leaves_whole_files_only(tmp_path: Path):
    class StoppedError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done:
            raise StoppedError

    rng = random.Random(0)
    orders = PaintOrders()
    for i in range(40):
        orders.order(
            tmp_path / f"{i}.mp4", whole_events([sample_situation(rng, held_out=None)]), seed=i
        )
    with pytest.raises(StoppedError):
        paint(orders.orders, workers=2, on_progress=stop)
    files = list(tmp_path.iterdir())
    assert 8 <= len(files) < 40 and {path.suffix for path in files} == {".mp4"}
    for path in files:
        with av.open(str(path)) as video:
            assert video.streams.video[0].frames == 2 * FPS


def test_pictures_and_videos_may_be_larger(tmp_path: Path):
    paint(ordered(tmp_path).orders, workers=0, on_progress=lambda done, total: None, size_px=32)
    with (
        Image.open(next(tmp_path.rglob("*.png"))) as image,
        av.open(tmp_path / "videos/1.mp4") as video,
    ):
        assert image.size == (video.streams.video[0].width,) * 2 == (32, 32)
