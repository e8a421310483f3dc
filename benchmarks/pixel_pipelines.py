"""How far CLIP embeddings move with the pixel pipeline and the store's codec, and what it costs.

    python benchmarks/pixel_pipelines.py FOLDER [--model FOLDER] [--num-videos 12] [--frames 8]

Reference: pipeline `pil`, pixels kept exact. For each variant:

    cosine       mean and smallest cosine of a frame's embedding to the reference's
    /neighbour   mean movement (1 - cosine) over the mean movement between neighbouring frames
    /video       the same over the mean distance between frames of different videos
    nn changed   share of frames whose nearest other frame (of any video) is another one
    nn video     share of frames whose nearest frame of another video is another one
    cpu ms       CPU time to decode a video's frames, and to encode and read them back
    bytes        stored bytes a video

Without `--model` the towers are ViT-B/32 with random weights (seed 0): they show how pixels differ,
not how much a trained CLIP cares; give a model folder to decide anything by the scores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch
from jaxtyping import Float, UInt8
from transformers import CLIPConfig, CLIPModel

from figclip.errors import VideoError
from figclip.video.container import video_duration_s
from figclip.video.decoding import decode_frames, sample_midpoints
from figclip.video.pixels import PixelPipeline

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A pixel pipeline with a way of storing its pixels.

    Attributes:
        pipeline: `pil` or `swscale`.
        subsampling: Of JPEG q95: `420` or `444`; empty keeps the pixels exact.
    """

    pipeline: str
    subsampling: str = ""

    @property
    def label(self) -> str:
        """Name in the table."""
        return f"{self.pipeline} {f'jpeg q95 {self.subsampling}' if self.subsampling else 'raw'}"


VARIANTS = tuple(
    Variant(pipeline=pipeline, subsampling=subsampling)
    for pipeline in ("pil", "swscale")
    for subsampling in ("", "444", "420")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Embeddings of one variant and what it cost, means a video."""

    emb_ND: Float[np.ndarray, "N D"]
    decode_ms: float
    store_ms: float
    num_bytes: float


def main(argv: Sequence[str] | None = None) -> None:
    """Measure all variants on the videos of a folder and print the table."""
    parser = argparse.ArgumentParser(description="Embedding movement by pixel pipeline.")
    parser.add_argument("videos", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--num-videos", type=int, default=12)
    parser.add_argument("--frames", type=int, default=8)
    args = parser.parse_args(argv)
    torch.manual_seed(0)
    model = CLIPModel.from_pretrained(args.model) if args.model else CLIPModel(CLIPConfig())
    model.eval()
    paths = usable_videos(args.videos, num=args.num_videos)
    print(f"{len(paths)} videos, {args.frames} frames each, {args.model or 'random ViT-B/32'}")
    results = {
        variant: measure(variant, paths, model=model, num_frames=args.frames)
        for variant in VARIANTS
    }
    reference = results[VARIANTS[0]]
    print(
        f"{'variant':22} {'cosine':>17} {'/neighbour':>10} {'/video':>8} {'nn':>6} {'nn video':>8} "
        f"{'decode ms':>9} {'store ms':>8} {'bytes':>9}"
    )
    for variant, result in results.items():
        print(f"{variant.label:22} {row(result, reference, num_frames=args.frames)}")


def usable_videos(folder: Path, *, num: int) -> list[Path]:
    """The first videos, by name, that can be probed; those left out are printed."""
    paths: list[Path] = []
    for path in sorted(path for path in folder.iterdir() if path.suffix != ".md"):
        try:
            video_duration_s(path)
        except VideoError as error:
            print(f"left out: {error}")
            continue
        paths.append(path)
    # Spread over the list: neighbours by name are often of one kind.
    return [paths[round(idx)] for idx in np.linspace(0, len(paths) - 1, min(num, len(paths)))]


def measure(
    variant: Variant, paths: Sequence[Path], *, model: CLIPModel, num_frames: int
) -> Measured:
    """Decode, store, read back and embed the frames of all videos."""
    size: Any = model.vision_model.config.image_size
    pipeline = PixelPipeline(name=variant.pipeline, size=size)
    embeddings, decode_s, store_s, num_bytes = [], 0.0, 0.0, 0
    for path in paths:
        times_s = sample_midpoints(0.0, video_duration_s(path), num_frames)
        start = time.process_time()
        frames_NHWC = decode_frames(path, times_s, pipeline=pipeline).frames_NHWC
        decoded = time.process_time()
        frames_NHWC, stored_bytes = through_store(frames_NHWC, subsampling=variant.subsampling)
        decode_s += decoded - start
        store_s += time.process_time() - decoded
        num_bytes += stored_bytes
        embeddings.append(embed(frames_NHWC, model=model))
    return Measured(
        emb_ND=np.concatenate(embeddings),
        decode_ms=1e3 * decode_s / len(paths),
        store_ms=1e3 * store_s / len(paths),
        num_bytes=num_bytes / len(paths),
    )


def through_store(
    frames_NHWC: UInt8[np.ndarray, "N H W 3"], *, subsampling: str
) -> tuple[UInt8[np.ndarray, "N H W 3"], int]:
    """The frames as they come back from a store, and their bytes there."""
    if not subsampling:
        return frames_NHWC, frames_NHWC.nbytes
    blobs = [
        simplejpeg.encode_jpeg(frame, quality=95, colorsubsampling=subsampling)
        for frame in frames_NHWC
    ]
    return np.stack([simplejpeg.decode_jpeg(blob) for blob in blobs]), sum(map(len, blobs))


@torch.inference_mode()
def embed(
    frames_NHWC: UInt8[np.ndarray, "N H W 3"], *, model: CLIPModel
) -> Float[np.ndarray, "N D"]:
    """Normalised embeddings, float64 so that 1 - cosine keeps its digits."""
    pixels_NCHW = torch.from_numpy(frames_NHWC).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(value)[:, None, None] for value in (CLIP_MEAN, CLIP_STD))
    vision = model.vision_model(pixel_values=(pixels_NCHW - mean) / std)
    emb_ND = model.visual_projection(vision.pooler_output).double().numpy()
    return emb_ND / np.linalg.norm(emb_ND, axis=1, keepdims=True)


def row(result: Measured, reference: Measured, *, num_frames: int) -> str:
    """One line of the table."""
    cosine_N = (result.emb_ND * reference.emb_ND).sum(1)
    sim_NN = reference.emb_ND @ reference.emb_ND.T
    video_N = np.arange(len(sim_NN)) // num_frames
    same_NN = video_N[:, None] == video_N[None]
    neighbour_NN = same_NN & (np.abs(np.subtract.outer(*[np.arange(len(sim_NN))] * 2)) == 1)
    moved = 1 - cosine_N.mean()
    itself_NN = np.eye(len(sim_NN), dtype=bool)
    return (
        f"{cosine_N.mean():.6f} {cosine_N.min():.6f} "
        f"{moved / (1 - sim_NN[neighbour_NN].mean()):10.4f} "
        f"{moved / (1 - sim_NN[~same_NN].mean()):8.4f} "
        f"{nearest_changed(result, reference, hidden_NN=itself_NN):6.1%} "
        f"{nearest_changed(result, reference, hidden_NN=same_NN):8.1%} "
        f"{result.decode_ms:9.0f} {result.store_ms:8.1f} {result.num_bytes:9.0f}"
    )


def nearest_changed(result: Measured, reference: Measured, *, hidden_NN: np.ndarray) -> float:
    """Share of queries whose nearest reference frame differs: stored queries, exact gallery."""
    exact_NN = np.where(hidden_NN, -2, reference.emb_ND @ reference.emb_ND.T)
    moved_NN = np.where(hidden_NN, -2, result.emb_ND @ reference.emb_ND.T)
    return float((exact_NN.argmax(1) != moved_NN.argmax(1)).mean())


if __name__ == "__main__":
    main()
