"""A folder with a small benchmark of each zero-shot task in its official layout, media included."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from figclip.evaluation.sources import DataSource, parse_source
from tests.datasets.benchmark_files import write, write_hmdb51, write_json
from tests.videos import draw_video

ACTIONS = ("clap", "jump", "push", "ride_bike", "shoot_ball", "wave")


@dataclass(frozen=True)
class SmallBenchmarks:
    """Where they lie, as `--data` wants them."""

    retrieval: str
    actions: str
    composition: str

    @property
    def sources(self) -> list[DataSource]:
        return [parse_source(one) for one in (self.retrieval, self.actions, self.composition)]


def write_benchmarks(folder: Path, *, num_videos: int = 6, num_images: int = 6) -> SmallBenchmarks:
    """MSR-VTT, HMDB51 (a video a class, the same in all splits) and SugarCrepe, all made up."""
    videos, images = folder / "videos", folder / "images"
    videos.mkdir(parents=True)
    images.mkdir()
    rows = ["key,vid_key,video_id,sentence"]
    for number in range(num_videos):
        name = f"video{7000 + number}"
        draw_video(videos / f"{name}.mp4", stamps=range(number, number + 12))
        rows.append(f"ret{number},msr{7000 + number},{name},thing number {number} moves")
    write(folder / "msrvtt" / "MSRVTT_JSFUSION_test.csv", "\n".join(rows) + "\n")
    lists = {}
    for number, action in enumerate(ACTIONS):
        file = f"film{number}_{action}_f_cm_np1_fr_med_0.avi"
        lists[action] = [f"{file} 2"]
        (videos / action).mkdir()
        draw_video(videos / action / file, stamps=range(8 + number), codec="mpeg4")
    write_hmdb51(folder / "hmdb51", {split: lists for split in "123"})
    rng = np.random.default_rng(0)
    entries = {}
    for number in range(num_images):
        name = f"{number:012d}.jpg"
        pixels = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / name)
        entries[str(number)] = {
            "filename": name,
            "caption": f"a red thing {number} beside a blue one",
            "negative_caption": f"a blue thing {number} beside a red one",
        }
    write_json(folder / "sugarcrepe" / "swap_att.json", entries)
    return SmallBenchmarks(
        retrieval=f"msrvtt:{folder / 'msrvtt'},videos={videos}",
        actions=f"hmdb51:{folder / 'hmdb51'},videos={videos}",
        composition=f"sugarcrepe:{folder / 'sugarcrepe'},images={images}",
    )
