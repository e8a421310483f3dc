"""Approximate indexes: made once for the windows there are, found again, never believed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from figclip.errors import ConfigError
from figclip.search import approximate
from figclip.search.approximate import ApproximateIndex, Kind, open_approximate

KINDS = get_args(Kind)


@pytest.fixture(scope="module")
def vectors_ND() -> np.ndarray:
    """10,000 windows of 500 scenes."""
    rng = np.random.default_rng(0)
    scenes = np.repeat(rng.normal(size=(500, 32)), 20, axis=0)
    vectors = (scenes + 0.5 * rng.normal(size=scenes.shape)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def open_one(folder: Path, kind: Kind, vectors_ND: np.ndarray, name: str = "a") -> ApproximateIndex:
    return open_approximate(
        folder / "my.index", kind, vectors_ND=vectors_ND, content_hash=name, on_progress=None
    )


@pytest.mark.parametrize("kind", KINDS)
def test_nearly_all_near_windows_are_proposed_and_the_recall_is_told(
    tmp_path: Path, kind: Kind, vectors_ND: np.ndarray
):
    found = open_one(tmp_path, kind, vectors_ND)
    rng = np.random.default_rng(1)
    recalls = []
    for query in vectors_ND[rng.choice(len(vectors_ND), 100)]:
        nearest = np.argsort(-(vectors_ND @ query))[:10]
        recalls.append(np.isin(nearest, found.propose(query, num=80)).mean())
    assert found.path == tmp_path / f"my.index.{kind}"
    assert 0.9 < found.recall <= 1
    assert np.mean(recalls) == pytest.approx(found.recall, abs=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_made_once_for_the_same_windows(
    tmp_path: Path, kind: Kind, vectors_ND: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    made = open_one(tmp_path, kind, vectors_ND)
    builds: list[str] = []
    build = approximate._build
    monkeypatch.setattr(approximate, "_build", lambda *a, **k: builds.append("") or build(*a, **k))
    again = open_one(tmp_path, kind, vectors_ND)
    assert not builds and again.recall == made.recall
    query = vectors_ND[7]
    assert set(again.propose(query, num=80)) == set(made.propose(query, num=80))
    open_one(tmp_path, kind, vectors_ND, name="b")
    assert len(builds) == 1
    damaged = bytearray(made.path.read_bytes())
    damaged[-100] ^= 1
    made.path.write_bytes(damaged)
    open_one(tmp_path, kind, vectors_ND, name="b")
    made.path.write_bytes(b"{}\n")
    open_one(tmp_path, kind, vectors_ND, name="b")
    assert len(builds) == 3
    assert [one.name for one in tmp_path.iterdir()] == [made.path.name]


def test_few_windows_odd_sizes_and_unknown_kinds_are_refused(
    tmp_path: Path, vectors_ND: np.ndarray
):
    with pytest.raises(ConfigError, match="--approximate hnsw: the index has 9,999 windows"):
        open_one(tmp_path, "hnsw", vectors_ND[:-1])
    with pytest.raises(ConfigError, match="embeddings of 30 numbers"):
        open_one(tmp_path, "ivfpq", np.ascontiguousarray(vectors_ND[:, :30]))


def test_without_faiss_it_is_said_how_to_get_it(
    tmp_path: Path, vectors_ND: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ConfigError, match=r"needs faiss.*pip install \"figclip\[search\]\""):
        open_one(tmp_path, "hnsw", vectors_ND)
