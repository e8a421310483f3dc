"""What `figclip index` takes beside its parts: the bare model and the bare decoder.

    python benchmarks/indexing.py [--clips 24] [--seconds 20] [--rounds 3] [--folder FOLDER]

Draws clips of 1280 x 720 at 25 frames a second, and a ViT-B/32 of random weights. In each round:

    index      wall time of `figclip.index` on all clips, less that on as many videos of one frame
               as there are cores: the model is loaded, and workers have started
    forward    wall time of the model on as many frames, batches of the same size, on all cores: by
               torch's own threads or a thread a core, whichever is faster
    decode     CPU time of `decode_frames` at the same times, in as many processes as cores
    ratio      index / (forward + decode / cores)
    work       CPU time of index over that of forward and decode
    busy       CPU time of index over its wall time and cores: below 100 % something waited, or
               others had the cores, and the ratio says nothing
    again      wall time of a second call, when nothing has changed, and how much faster it is

`--folder` keeps clips and model for the next time. torch is imported by functions only: worker
processes import this file.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

import figclip
from figclip.model.embedding_settings import DEFAULT_EMBEDDING
from figclip.search.windows import frame_times_us, window_spans_us
from figclip.video.container import video_duration_s, write_h264
from figclip.video.decoding import decode_frames, to_time_us
from figclip.video.pixels import PixelPipeline

CORES = os.cpu_count() or 1
FPS = 25


def main() -> None:
    """Print a line a round."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        clips = [
            _drawn(folder / f"{number}-{arguments.seconds}.mp4", number, arguments.seconds * FPS)
            for number in range(arguments.clips)
        ]
        model = folder / "model"
        if not model.exists():
            _write_model(model)
        measure = partial(_index, model, Path(temporary))
        singles = [_drawn(folder / f"single-{one}.mp4", one, 1) for one in range(CORES)]
        measure(singles, "warm")  # what is loaded at first use
        print(f"{CORES} cores, {len(clips)} clips of {arguments.seconds} s")
        print(
            f"{'index':>9}{'forward':>9}{'decode':>9}{'ratio':>8}{'work':>8}{'busy':>7}{'again':>9}"
        )
        for number in range(arguments.rounds):
            start_s, start_cpu_s = measure(singles, f"start-{number}")
            whole_s, cpu_s = measure(clips, f"all-{number}")
            again_s, _ = measure(clips, f"all-{number}")
            (forward_s, forward_cpu_s), decode_s = _forward(model, clips), _decode_all(clips)
            index_s = whole_s - start_s
            ratio = index_s / (forward_s + decode_s / CORES)
            work_s = cpu_s - start_cpu_s
            work, busy = work_s / (forward_cpu_s + decode_s), work_s / index_s / CORES
            print(
                f"{index_s:8.1f}s{forward_s:8.1f}s{decode_s:8.1f}s{ratio:8.3f}{work:8.3f}{busy:7.0%}"
                f"{again_s:8.1f}s {whole_s / again_s:.0f} x (start-up {start_s:.1f} s)",
                flush=True,
            )


def _drawn(path: Path, seed: int, num_frames: int) -> Path:
    """A clip of a textured picture that drifts, with a square that moves before it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_h264(str(path), _frames(seed, num_frames), fps=FPS, preset="veryfast")
    return path


def _frames(seed: int, num_frames: int) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Pictures of a clip."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (47, 82, 3))
    fine = rng.integers(0, 48, (752, 1312, 3))
    texture = (np.kron(coarse, np.ones((16, 16, 1)))[:752, :1312] * 0.8 + fine).astype(np.uint8)
    for number in range(num_frames):
        drift = number % 32
        frame = texture[drift : drift + 720, drift : drift + 1280].copy()
        left = 4 * number % 1000
        frame[300:500, left : left + 200] = (200, 40, 40)
        yield frame


def _write_model(folder: Path) -> None:
    """ViT-B/32 of random weights, with the mini CLIP's texts."""
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig

    from figclip.miniworld.mini_clip import CLIP_MEAN, CLIP_STD
    from figclip.miniworld.mini_models import load_mini_model
    from figclip.model.backbone import Preprocessing, text_config
    from figclip.model.folder import write_clip_files

    mini = load_mini_model(0)
    config = CLIPConfig(
        text_config=text_config(mini.clip.config).to_dict(),
        vision_config=CLIPVisionConfig().to_dict(),
        projection_dim=512,
    )
    torch.manual_seed(0)
    write_clip_files(
        folder,
        state=CLIPModel(config).state_dict(),
        config=config,
        tokenizer=mini.tokenizer,
        preprocessing=Preprocessing(image_size=224, mean=CLIP_MEAN, std=CLIP_STD),
    )


def _index(model: Path, folder: Path, clips: Sequence[Path], name: str) -> tuple[float, float]:
    """Wall time and CPU time of indexing."""
    return _timed(lambda: figclip.index(model, clips, out=folder / f"{name}.index"))


def _forward(model: Path, clips: Sequence[Path]) -> tuple[float, float]:
    """Wall and CPU time of the model on as many frames as the clips have in an index."""
    import torch

    from figclip.search.embedding import FrameEmbedder

    clip = figclip.FiGCLIP.from_pretrained(model)
    batches = [
        np.random.default_rng(0).integers(0, 256, (num, 224, 224, 3), dtype=np.uint8)
        for path in clips
        for num in _batch_sizes(len(_times_s(path)))
    ]

    def with_own_threads() -> None:
        for batch in batches:
            clip.encode_frames(batch)

    def with_a_thread_a_core() -> None:
        with FrameEmbedder(clip, num_threads=os.cpu_count() or 1) as embedder:
            for future in [embedder.submit(batch) for batch in batches]:
                future.result()

    torch.set_num_threads(CORES)
    return min(_timed(run) for run in (with_own_threads, with_a_thread_a_core))


def _batch_sizes(num_frames: int) -> list[int]:
    """Batches of one video."""
    size = DEFAULT_EMBEDDING.batch_size
    return [min(size, num_frames - start) for start in range(0, num_frames, size)]


def _decode_all(clips: Sequence[Path]) -> float:
    """CPU time of decoding, process start apart."""
    with ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as pool:
        return sum(pool.map(_decode, clips))


def _decode(path: Path) -> float:
    """CPU time of one clip."""
    start = time.process_time()
    decode_frames(path, _times_s(path), pipeline=PixelPipeline(name="pil", size=224))
    return time.process_time() - start


def _times_s(path: Path) -> list[float]:
    """Times of the frames that an index looks at."""
    spans_us = window_spans_us(
        to_time_us(video_duration_s(path)), window_us=2_000_000, stride_us=1_000_000
    )
    return [time_us / 1e6 for time_us in np.unique(frame_times_us(spans_us, frames=4)).tolist()]


def _timed(run: Callable[[], object]) -> tuple[float, float]:
    """Wall time and CPU time, that of ended child processes included."""
    start, start_cpu = time.perf_counter(), _cpu_s()
    run()
    return time.perf_counter() - start, _cpu_s() - start_cpu


def _cpu_s() -> float:
    """CPU time of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":  # decoding starts processes that import this file again
    main()
