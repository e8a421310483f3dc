"""A video's twenty frames as CLIP's pixels: figclip against what one would use instead.

    python benchmarks/decoding.py [VIDEO…] [--rounds 5]

Without videos, three of ten seconds are made: 320 x 240, 1280 x 720 and 1920 x 1080, H.264 as x264
writes it by default, of a moving picture with noise. `pil` and `swscale` are figclip's two pixel
pipelines. OpenCV reads frame by frame (`grab`, and `retrieve` where a frame is wanted), the only
way in which it finds the right ones, and resizes by area; torchcodec, where it is installed, seeks
exactly and resizes in its own way. Both are told which frames figclip found, which is in their
favour: they need no timestamps. `bare` is FFmpeg's decoder alone, with one thread, from the start
to the last wanted frame, without any pixels made: the limit of whoever decodes every frame.

CPU milliseconds a video, all in turn in one process with one thread.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import machine
from figclip.video.container import video_duration_s, write_h264
from figclip.video.decoding import decode_frames, sample_midpoints
from figclip.video.pixels import PixelPipeline

NUM_FRAMES, SIDE = 20, 224
FPS, SECONDS = 30, 10
SIZES = ((320, 240), (1280, 720), (1920, 1080))


@dataclass(frozen=True)
class Job:
    """A video, the times wanted, and the numbers of their frames."""

    path: Path
    times_s: tuple[float, ...]
    frame_idxs: tuple[int, ...]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(machine.describe())
    with tempfile.TemporaryDirectory() as folder:
        videos = options.videos or list(made_videos(Path(folder)))
        ways = all_ways()
        print(f"\n| video | {' | '.join(ways)} | best peer / pil | best peer / swscale |")
        print("|---" * (len(ways) + 3) + "|")
        for path in videos:
            print(row(job_of(path), ways, rounds=options.rounds), flush=True)


def made_videos(folder: Path) -> Iterator[Path]:
    """Videos of each size."""
    for width, height in SIZES:
        path = folder / f"{width} x {height}.mp4"
        write_h264(str(path), moving_picture(width, height), fps=FPS)
        yield path


def moving_picture(width: int, height: int) -> Iterator[np.ndarray]:
    """Smooth shapes that drift, with a little noise."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (12, 24, 3), dtype=np.uint8)
    large = cv2.resize(small, (2 * width, height), interpolation=cv2.INTER_CUBIC)
    for number in range(FPS * SECONDS):
        start = number * width // (FPS * SECONDS)
        noise = rng.integers(0, 4, (height, width, 1), dtype=np.uint8)
        yield np.ascontiguousarray(cv2.add(large[:, start : start + width], np.repeat(noise, 3, 2)))


def job_of(path: Path) -> Job:
    """What is wanted of a video."""
    times_s = sample_midpoints(0.0, video_duration_s(path), NUM_FRAMES)
    shown_s = decode_frames(path, times_s, pipeline=PixelPipeline(name="swscale")).shown_s
    with av.open(str(path)) as container:
        stamps = sorted(p.pts for p in container.demux(video=0) if p.pts is not None)
        base = container.streams.video[0].time_base
    assert base is not None
    place = {round(float((stamp - stamps[0]) * base) * 1e6): i for i, stamp in enumerate(stamps)}
    return Job(path, times_s, tuple(place[round(one * 1e6)] for one in shown_s))


def all_ways() -> dict[str, Callable[[Job], object]]:
    """Those that can be measured here."""
    ways: dict[str, Callable[[Job], object]] = {
        name: lambda job, name=name: decode_frames(
            job.path, job.times_s, pipeline=PixelPipeline(name=name, size=SIDE)
        )
        for name in ("pil", "swscale")
    }
    ways |= {"OpenCV": opencv, "bare": bare}
    try:
        from torchcodec.decoders import VideoDecoder
    except (ImportError, RuntimeError):  # its shared libraries are missing
        print("torchcodec cannot be loaded here")
        return ways
    return ways | {"torchcodec": lambda job: torchcodec(job, VideoDecoder)}


def opencv(job: Job) -> np.ndarray:
    """Frame by frame."""
    video = cv2.VideoCapture(str(job.path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    frames: list[np.ndarray] = []
    wanted = set(job.frame_idxs)
    for number in range(max(job.frame_idxs) + 1):
        assert video.grab()
        if number in wanted:
            _, picture = video.retrieve()
            frames.append(square(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)))
    return np.stack(frames)


def square(picture: np.ndarray) -> np.ndarray:
    """Shortest edge to SIDE, centre crop."""
    height, width = picture.shape[:2]
    scale = SIDE / min(height, width)
    size = (max(SIDE, round(width * scale)), max(SIDE, round(height * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    top, left = (small.shape[0] - SIDE) // 2, (small.shape[1] - SIDE) // 2
    return small[top : top + SIDE, left : left + SIDE]


def torchcodec(job: Job, decoder: Any) -> np.ndarray:
    """Exact frames by number."""
    video = decoder(str(job.path), num_ffmpeg_threads=1, seek_mode="exact")
    frames = video.get_frames_at(indices=list(job.frame_idxs)).data
    return np.stack([square(one.permute(1, 2, 0).numpy()) for one in frames])


def bare(job: Job) -> int:
    """Every frame decoded, none made into pixels."""
    with av.open(str(job.path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        for number, _ in enumerate(container.decode(stream)):
            if number == max(job.frame_idxs):
                return number
    raise AssertionError("too short")


def row(job: Job, ways: dict[str, Callable[[Job], object]], *, rounds: int) -> str:
    """Milliseconds of each way, the middle of the rounds, and ratios with their spread."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.process_time()
            way(job)
            found[name].append(1e3 * (time.process_time() - start))
    cells = [f"{statistics.median(times):.0f}" for times in found.values()]
    peers = [times for name, times in found.items() if name in ("OpenCV", "torchcodec")]
    best = [min(times) for times in zip(*peers, strict=True)]
    for own in ("pil", "swscale"):
        cells.append(machine.spread([a / b for a, b in zip(best, found[own], strict=True)]))
    return f"| {job.path.stem} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
