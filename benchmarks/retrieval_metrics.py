"""Retrieval scores of both directions: figclip's against CLIP4Clip's own, and of a large gallery.

    python benchmarks/retrieval_metrics.py [--rounds 9] [--peer CLIP4CLIP/metrics.py]
    python benchmarks/retrieval_metrics.py --gallery 100000

The first form scores a table of 1,000 texts x 1,000 videos: official scores, corrected ranks, both
directions. The peer's time is given for what it runs on such a set (`compute_metrics` of the table
and of its transpose) and for all of its functions, those for several captions a video included.
All take turns in each round, so that a machine whose speed drifts treats them alike; the median is
printed, and the official scores must agree.

The second scores embeddings of 512 numbers: so many texts, ten a video, in both directions. Beside
the time stand the process's peak memory and the time that the matrix products alone would take at
the speed of a large one. With OMP_NUM_THREADS=1 one core is measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple
from pathlib import Path
from types import ModuleType

import numpy as np
from jaxtyping import Float32, Int64

from figclip.metrics.ranking import place
from figclip.metrics.retrieval import (
    RetrievalScores,
    one_caption_scores,
    retrieve,
    several_captions_scores,
)

NUM_QUERIES = 1000
DIM = 512
TEXTS_PER_VIDEO = 10
PRODUCT_ROWS, PRODUCT_COLUMNS = 400, 20_000


def made_up_table(seed: int) -> Float32[np.ndarray, "N N"]:
    """Noise, with the true pairs somewhat more similar."""
    rng = np.random.default_rng(seed)
    noise = 0.1 * rng.standard_normal((NUM_QUERIES, NUM_QUERIES))
    return (noise + 0.25 * np.eye(NUM_QUERIES)).astype(np.float32)


def load_peer(path: Path) -> ModuleType:
    """The peer's metrics.py as a module; it imports numpy and torch only."""
    spec = importlib.util.spec_from_file_location("clip4clip_metrics", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def score_with_figclip(
    sim: Float32[np.ndarray, "N N"],
) -> list[tuple[RetrievalScores, Int64[np.ndarray, " N"]]]:
    """Official scores and corrected ranks of both directions, one caption a video."""
    index = np.arange(len(sim))
    both = [place(table, index) for table in (sim, sim.T)]
    return [(one_caption_scores(places), places.worst_ranks) for places in both]


def contestants(
    sim: Float32[np.ndarray, "N N"], peer: ModuleType | None
) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    timed: dict[str, Callable[[], object]] = {"figclip": lambda: score_with_figclip(sim)}
    if peer:
        stacked = sim[:, None, :]  # one sentence a video

        def run_one_caption() -> None:
            peer.compute_metrics(sim)
            peer.compute_metrics(sim.T)

        def run_all() -> None:
            run_one_caption()
            peer.tensor_text_to_video_metrics(stacked)
            peer.compute_metrics(peer.tensor_video_to_text_sim(stacked.copy()).numpy())

        timed |= {"peer, one caption": run_one_caption, "peer, all": run_all}
    return timed


def check_agreement(ours: RetrievalScores, theirs: Mapping[str, float]) -> None:
    """Stop unless the official scores are the peer's."""
    expected = [*(theirs[f"R{k}"] / 100 for k in (1, 5, 10)), theirs["MedianR"], theirs["MeanR"]]
    if not np.allclose(astuple(ours), expected, rtol=0, atol=1e-9):
        raise SystemExit(f"figclip {astuple(ours)} differs from the peer's {expected}")


def compare(*, rounds: int, peer: ModuleType | None) -> None:
    """Print the median time of each contestant and its ratio to ours."""
    sim = made_up_table(0)
    if peer:
        for (scores, _), table in zip(score_with_figclip(sim), (sim, sim.T), strict=True):
            check_agreement(scores, peer.compute_metrics(table))
    timed = contestants(sim, peer)
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(rounds + 1):
        for name, run in timed.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    # The first round warms up.
    medians = {name: float(np.median(times[1:])) for name, times in seconds.items()}
    for name, median in medians.items():
        print(f"{name:18} {median * 1e3:8.2f} ms  {median / medians['figclip']:6.1f} x")


def product_flops_per_s() -> float:
    """Speed of a bare float64 matrix product, best of three."""
    rng = np.random.default_rng(0)
    left, right = rng.random((PRODUCT_ROWS, DIM)), rng.random((DIM, PRODUCT_COLUMNS))
    times: list[float] = []
    for _ in range(3):
        start = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - start)
    return 2 * PRODUCT_ROWS * DIM * PRODUCT_COLUMNS / min(times)


def measure_gallery(num_texts: int) -> None:
    """Print time, limit and memory of embeddings against each other."""
    rng = np.random.default_rng(0)
    num_videos = num_texts // TEXTS_PER_VIDEO
    visual_BD = rng.standard_normal((num_videos, DIM), dtype=np.float32)
    visual_BD /= np.linalg.norm(visual_BD, axis=1, keepdims=True)
    video_of_text_N = np.repeat(np.arange(num_videos), TEXTS_PER_VIDEO)
    text_ND = visual_BD[video_of_text_N]
    text_ND += 0.3 * rng.standard_normal(text_ND.shape, dtype=np.float32)
    text_ND /= np.linalg.norm(text_ND, axis=1, keepdims=True)
    limit_s = 2 * 2 * len(text_ND) * num_videos * DIM / product_flops_per_s()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    scores = retrieve(
        text_ND,
        visual_BD,
        video_of_text_N=video_of_text_N,
        text_label_N=np.arange(len(text_ND)),
    )
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{len(text_ND):,} texts of {num_videos:,} videos, both directions")
    print(f"{seconds:.1f} s; the products alone {limit_s:.1f} s: {limit_s / seconds:.0%} of it")
    print(f"peak memory {before / 1024:.0f} MiB before, {after / 1024:.0f} MiB after")
    print(f"text to video {several_captions_scores(scores.t2v.places)}")
    print(f"video to text {one_caption_scores(scores.v2t.places)}")


def main() -> None:
    """Measure what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peer", type=Path, help="metrics.py of a CLIP4Clip checkout")
    parser.add_argument("--gallery", type=int, help="number of texts of a large set")
    arguments = parser.parse_args()
    if arguments.gallery:
        measure_gallery(arguments.gallery)
    else:
        peer = load_peer(arguments.peer) if arguments.peer else None
        compare(rounds=arguments.rounds, peer=peer)


if __name__ == "__main__":
    main()
