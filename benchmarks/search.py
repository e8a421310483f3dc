"""Searching many windows: exact beside one matrix product, and approximate beside exact.

    OMP_NUM_THREADS=2 python benchmarks/search.py [--windows 300000] [--kinds hnsw,ivfpq]

Made-up embeddings of 512 numbers: scenes of 100 windows around a common middle, as the windows of a
video are. A query is a window that is not in the index. Product, exact and approximate search for
ten hits take turns; medians are printed, and the time that a file beside the index takes to make.
Embedding the query is left out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from figclip.search.approximate import Kind, open_approximate
from figclip.search.index import Index
from figclip.search.index_file import IndexSpec, Windows

DIM, WINDOWS_PER_SCENE, SPREAD = 512, 100, 0.5
NUM_QUERIES = 100
SPEC = IndexSpec(model="none", model_hash="", pipeline="pil", dim=DIM)


def made_up(num_windows: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows, and queries of the same scenes."""
    rng = np.random.default_rng(0)
    num_scenes = num_windows // WINDOWS_PER_SCENE
    middles = rng.standard_normal((num_scenes, DIM), dtype=np.float32)
    rows = np.repeat(middles, WINDOWS_PER_SCENE, axis=0)
    rows += SPREAD * rng.standard_normal(rows.shape, dtype=np.float32)
    queries = middles[rng.choice(num_scenes, NUM_QUERIES)]
    queries = queries + SPREAD * rng.standard_normal(queries.shape, dtype=np.float32)
    return tuple(one / np.linalg.norm(one, axis=1, keepdims=True) for one in (rows, queries))


def index_of(vectors_ND: np.ndarray, approximate: Any) -> Index:
    """An index without files and without a model, which these searches do not ask."""
    num_windows = len(vectors_ND)
    num_videos = num_windows // WINDOWS_PER_SCENE
    numbers = np.tile(np.arange(WINDOWS_PER_SCENE), num_videos)
    windows = Windows(
        hashes=tuple(f"{number:06d}" for number in range(num_videos)),
        video_idx_N=np.repeat(np.arange(num_videos), WINDOWS_PER_SCENE),
        number_N=numbers,
        spans_us_N2=np.stack([numbers, numbers + 2], axis=1) * 1_000_000,
        vectors_ND=vectors_ND,
    )
    none = cast(Any, None)
    return Index(
        Path("none"), spec=SPEC, model=none, windows=windows, files=(), approximate=approximate
    )


def measure(ways: dict[str, Callable[[np.ndarray], object]], queries: np.ndarray) -> None:
    """Print the median time of each way to search, and its share of the first's."""
    taken_s: dict[str, list[float]] = {name: [] for name in ways}
    for query in queries:
        for name, search in ways.items():
            started = time.perf_counter()
            search(query)
            taken_s[name].append(time.perf_counter() - started)
    medians = {name: float(np.median(times)) for name, times in taken_s.items()}
    product = medians["product"]
    for name, median in medians.items():
        print(f"{name:<8} {median * 1e3:8.2f} ms   {median / product:6.3f} of the product")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=300_000)
    parser.add_argument("--kinds", default=",".join(get_args(Kind)))
    arguments = parser.parse_args()
    rows, queries = made_up(arguments.windows)
    ways: dict[str, Callable[[np.ndarray], object]] = {"product": lambda query: rows @ query}
    indexes = {"exact": index_of(rows, None)}
    with tempfile.TemporaryDirectory() as folder:
        for kind in filter(None, arguments.kinds.split(",")):
            started = time.perf_counter()
            made = open_approximate(
                Path(folder, "index"), kind, vectors_ND=rows, content_hash="made up"
            )
            took_s, size = time.perf_counter() - started, made.path.stat().st_size / 2**20
            print(f"{kind}: recall {made.recall:.3f}, made in {took_s:.0f} s, {size:.0f} MiB")
            indexes[kind] = index_of(rows, made)
    for name, index in indexes.items():
        ways[name] = lambda query, index=index: index._moments(query, path_glob=None, num=10)
    measure(ways, queries)


if __name__ == "__main__":
    main()
