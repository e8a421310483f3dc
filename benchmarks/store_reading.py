"""A batch's frames from a store, against decoding them again from their videos.

    python benchmarks/store_reading.py [VIDEO…] [--rounds 5]

Without videos, eight of ten seconds are made, 640 x 360. Twenty frames of each, at 224 pixels, from
a store of JPEG and from one of raw pixels, and by the decoder: CPU milliseconds a video, in turn in
one process. A step of ViT-B/32 on this machine takes what benchmarks/training_step.py says.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import figclip
import machine
from decoding import FPS, SECONDS, moving_picture
from figclip.video.container import video_duration_s, write_h264
from figclip.video.decoding import decode_frames, sample_midpoints
from figclip.video.pixels import PixelPipeline
from figclip.video.stored import open_stored_videos

NUM_EVENTS, FRAMES_PER_EVENT = 5, 4


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(machine.describe())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = options.videos or [made(folder / f"{number}.mp4") for number in range(8)]
        ways = all_ways(folder, videos)
        found: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, read in ways.items():
                start = time.process_time()
                for number in range(len(videos)):
                    read(number)
                found[way].append(1e3 * (time.process_time() - start) / len(videos))
    print("\n| frames from | CPU ms a video | as fast as decoding |\n|---|---|---|")
    for way, times in found.items():
        ratios = [a / b for a, b in zip(found["decoder"], times, strict=True)]
        print(f"| {way} | {statistics.median(times):.2f} | {machine.spread(ratios)} |")


def made(path: Path) -> Path:
    """A video."""
    write_h264(str(path), moving_picture(640, 360), fps=FPS)
    return path


def all_ways(folder: Path, videos: list[Path]) -> dict[str, Callable[[int], object]]:
    """Stores of both kinds, and the decoder."""
    annotations = folder / "videos.jsonl"
    lines: list[str] = []
    for number, path in enumerate(videos):
        length = min(video_duration_s(path), SECONDS) / NUM_EVENTS
        events = [
            {"start_s": i * length, "end_s": (i + 1) * length, "verb": f"verb {number} {i}"}
            for i in range(NUM_EVENTS)
        ]
        row = {"id": str(number), "video": path.name, "split": "train", "events": events}
        lines.append(json.dumps(row))
    annotations.write_text("\n".join(lines), encoding="utf-8")
    ways: dict[str, Callable[[int], object]] = {}
    for codec in ("jpeg", "raw"):
        store = folder / f"{codec}.store"
        figclip.prepare(
            annotations, videos=videos[0].parent, out=store, spec=figclip.StoreSpec(codec=codec)
        )
        stored = open_stored_videos([store], size=224)
        ways[f"a store of {codec}"] = lambda number, stored=stored: stored.read_events(
            number, 0, frames_per_event=FRAMES_PER_EVENT
        )

    def decode(number: int) -> object:
        length = min(video_duration_s(videos[number]), SECONDS)
        times_s = sample_midpoints(0.0, length, NUM_EVENTS * FRAMES_PER_EVENT)
        return decode_frames(videos[number], times_s, pipeline=PixelPipeline())

    return {"decoder": decode, **ways}


if __name__ == "__main__":
    main()
