"""Long sentences are compared with windows in context, where a model has found that better."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from figclip import Index
from figclip.errors import StoreError
from figclip.model.figclip import FiGCLIP
from figclip.model.pooling import TextPooling
from figclip.search.embedding import FrameEmbedder
from figclip.search.index_file import IndexFile
from figclip.search.indexing import index
from figclip.search.parquet import write_parquet
from figclip.video.decoding import decode_frames, sample_midpoints
from tests.model_folders import adapt_at_random
from tests.search.hand_made import write_index
from tests.small_runs import write_tiny_clip
from tests.videos import draw_video, regular_stamps

SHORT, LONG = "a man runs", "a man in red hands a cup to a woman"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Merged at 0.5, while the contextualizer sees frames at strength 1."""
    root = tmp_path_factory.mktemp("model")
    adapted = adapt_at_random(write_tiny_clip(root / "clip"), alpha=0.5)
    pooling = TextPooling(from_words=6, long="both")
    info = dataclasses.replace(adapted.info, text_pooling=pooling)
    return dataclasses.replace(adapted, info=info).write(root / "model")


@pytest.fixture(scope="module")
def model(folder: Path) -> FiGCLIP:
    return FiGCLIP.from_pretrained(folder)


def test_the_kind_of_the_sentence_says_what_it_is_compared_with(model: FiGCLIP, tmp_path: Path):
    shown = {"a.mp4": [SHORT, LONG], "b.mp4": [LONG, SHORT]}
    turned = {"a.mp4": [LONG, SHORT], "b.mp4": ["x", "x"]}
    path = write_index(tmp_path / "my.index", model, shown, in_context=turned)
    opened = Index.open(path, model=model)
    for text, pooling, start_s in ((SHORT, "mean", 0.0), (LONG, "both", 0.0)):
        assert opened.pooling_for(text) == pooling
        (hit,) = opened.search(text=text, k=1)
        assert (hit.path.name, hit.start_s, hit.pooling) == ("a.mp4", start_s, pooling)
        assert hit.score == pytest.approx(1)
        (hit,) = opened.search(text=text, k=1, against=["nothing at all"])
        assert hit.path.name == "a.mp4" and hit.pooling == pooling
    plain = Index.open(write_index(tmp_path / "plain.index", model, shown), model=model)
    assert plain.pooling_for(LONG) == "mean"
    assert {hit.pooling for hit in plain.search(text=LONG)} == {"mean"}


def test_windows_in_context_are_those_of_a_slow_reading(
    folder: Path, model: FiGCLIP, tmp_path: Path
):
    clip = tmp_path / "a.mp4"
    draw_video(clip, stamps=regular_stamps(30))
    index(folder, [clip], out=tmp_path / "my.index", num_workers=1)
    with IndexFile(tmp_path / "my.index") as opened:
        windows = opened.windows()
    assert windows.context_ND is not None and len(windows.context_ND) == 2
    trained = FiGCLIP.from_pretrained(folder, alpha=1.0)
    for start_s, own_D, context_D in zip(
        (0.0, 1.0), windows.vectors_ND, windows.context_ND, strict=True
    ):
        times_s = sample_midpoints(start_s, start_s + 2.0, 4)
        frames = decode_frames(clip, times_s, pipeline=model.video_pipeline).frames_NHWC
        mean_D = model.encode_frames(frames).numpy().mean(axis=0)
        mean_D /= np.linalg.norm(mean_D)
        np.testing.assert_allclose(own_D, mean_D, atol=1e-6)
        vc_D = trained.pool_in_context(trained.encode_frames(frames)[None])[0].numpy()
        both_D = (mean_D + vc_D) / np.linalg.norm(mean_D + vc_D)
        np.testing.assert_allclose(context_D, both_D, atol=1e-5)
    assert write_parquet(tmp_path / "my.index", tmp_path / "my.parquet") == 2
    table = parquet.read_table(tmp_path / "my.parquet")
    np.testing.assert_array_equal(np.stack(table["vector"].to_numpy()), windows.vectors_ND)
    in_context = np.stack(table["context_vector"].to_numpy())
    np.testing.assert_array_equal(in_context, windows.context_ND)
    spec = json.loads(table.schema.metadata[b"figclip"])
    assert len(spec["context_hash"]) == 32
    with pytest.raises(StoreError, match="has also embeddings in context"):
        index(folder, [clip], out=tmp_path / "my.index", pooling="mean")
    index(folder, [clip], out=tmp_path / "mean.index", pooling="mean", num_workers=1)
    with IndexFile(tmp_path / "mean.index") as opened:
        assert opened.windows().context_ND is None
        np.testing.assert_array_equal(opened.windows().vectors_ND, windows.vectors_ND)
    with pytest.raises(StoreError, match="has no embeddings in context"):
        index(folder, [clip], out=tmp_path / "mean.index")


def test_bits_do_not_depend_on_threads(model: FiGCLIP):
    frames_NTD = np.random.default_rng(0).normal(size=(150, 4, model.backbone.dim))
    found = []
    for num_threads in (1, 3):
        with FrameEmbedder(model, num_threads=num_threads, in_context=True) as embedder:
            found.append(embedder.pool_in_context(frames_NTD.astype(np.float32)))
    np.testing.assert_array_equal(*found)
    assert found[0].shape == (150, model.backbone.dim)


def test_an_index_of_another_contextualizer_is_refused(
    folder: Path, model: FiGCLIP, tmp_path: Path
):
    path = write_index(
        tmp_path / "my.index", model, {"a.mp4": [LONG]}, in_context={"a.mp4": [LONG]}
    )
    other = FiGCLIP.from_pretrained(folder)
    assert other.contextualizer is not None
    other.contextualizer.type_embedding.weight.data += 1
    with pytest.raises(StoreError, match="is of another model"):
        Index.open(path, model=other)
