"""Embedder: right rows in order, any micro-batch, and a cache that knows what it depends on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from figclip.data.stored_videos import StoredVideos, open_stored_videos
from figclip.embedding import Embedder
from figclip.model.backbone import Backbone, load_backbone
from tests.dense_sets import write_store
from tests.small_runs import IMAGE_SIZE, make_records, write_tiny_clip

TEXTS = ["a ball", "", "a man pushes a woman " * 9, "a ball", "Ünïcode 球", "x " * 200]
# Midpoints of the halves of events (0, 2), (2, 4), …: what `write_store` stores with 2 frames.
FRAMES = [(0, 0.5), (0, 3.5), (1, 1.5), (0, 0.5), (2, 0.5), (2, 1.5), (0, 1.5)]


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def backbone(clip_folder: Path) -> Backbone:
    return load_backbone(str(clip_folder))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> StoredVideos:
    path = write_store(tmp_path_factory.mktemp("store") / "s.store", make_records([2, 1, 1]))
    return open_stored_videos([path], size=IMAGE_SIZE)


@pytest.mark.parametrize("micro_batch", [1, 2, 4, 100])
def test_texts_in_order_whatever_the_micro_batch(backbone: Backbone, micro_batch: int):
    found = Embedder(backbone, micro_batch=micro_batch).embed_texts(TEXTS)
    with torch.no_grad():
        one_by_one = [backbone.encode_tokens(backbone.tokenize([text])) for text in TEXTS]
    expected = normalize(torch.cat(one_by_one), dim=-1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32
    assert len(np.unique(found.round(4), axis=0)) == 5  # only the repeated text is equal


@pytest.mark.parametrize("micro_batch", [1, 3, 100])
def test_frames_in_order_whatever_the_micro_batch(
    backbone: Backbone, videos: StoredVideos, micro_batch: int
):
    found = Embedder(backbone, micro_batch=micro_batch).embed_frames(videos, FRAMES)
    pixels = np.concatenate([videos.read(video, [time_s]) for video, time_s in FRAMES])
    assert len({frame.tobytes() for frame in pixels}) == 6
    with torch.no_grad():
        expected = normalize(backbone.encode_frames(torch.from_numpy(pixels)), dim=-1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_nothing_gives_no_rows(backbone: Backbone, videos: StoredVideos, tmp_path: Path):
    for cache_file in (None, tmp_path / "c.sqlite"):
        embedder = Embedder(backbone, cache_file=cache_file)
        assert embedder.embed_texts([]).shape == (0, 32)
        assert embedder.embed_frames(videos, []).shape == (0, 32)


def test_the_cache_gives_the_same_and_computes_nothing_twice(
    backbone: Backbone, videos: StoredVideos, tmp_path: Path
):
    calls: list[tuple[int, int]] = []

    def embedder() -> Embedder:
        return Embedder(
            backbone,
            micro_batch=2,
            cache_file=tmp_path / "c.sqlite",
            on_progress=lambda done, total: calls.append((done, total)),
        )

    texts, frames = embedder().embed_texts(TEXTS), embedder().embed_frames(videos, FRAMES)
    # Five different texts, six different frames.
    assert calls == [(2, 5), (4, 5), (5, 5), (2, 6), (4, 6), (6, 6)]
    plain = Embedder(backbone)
    np.testing.assert_allclose(texts, plain.embed_texts(TEXTS), atol=1e-6)
    np.testing.assert_allclose(frames, plain.embed_frames(videos, FRAMES), atol=1e-6)
    calls.clear()
    np.testing.assert_array_equal(embedder().embed_texts(TEXTS[::-1]), texts[::-1])
    np.testing.assert_array_equal(embedder().embed_frames(videos, FRAMES[::-1]), frames[::-1])
    assert calls == []


def set_json(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def change_activation(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    content["vision_config"]["hidden_act"] = content["text_config"]["hidden_act"] = "gelu"
    (folder / "config.json").write_text(json.dumps(content))


def change_mean(folder: Path) -> None:
    set_json(folder / "preprocessor_config.json", image_mean=[0.5, 0.5, 0.5])


def change_tokenizer(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    vocab = content["model"]["vocab"]
    vocab["a</w>"], vocab["b</w>"] = vocab["b</w>"], vocab["a</w>"]
    (folder / "tokenizer.json").write_text(json.dumps(content))


def change_weights(folder: Path) -> None:
    write_tiny_clip(folder, seed=1)


@pytest.mark.parametrize(
    "change", [change_activation, change_mean, change_tokenizer, change_weights]
)
def test_the_cache_never_serves_another_model(
    clip_folder: Path, backbone: Backbone, videos: StoredVideos, tmp_path: Path, change
):
    cache_file = tmp_path / "c.sqlite"
    before = Embedder(backbone, cache_file=cache_file)
    old = (before.embed_texts(["a b"]), before.embed_frames(videos, FRAMES))
    folder = shutil.copytree(clip_folder, tmp_path / "clip")
    change(folder)
    changed = load_backbone(str(folder))
    cached, plain = Embedder(changed, cache_file=cache_file), Embedder(changed)
    new = (cached.embed_texts(["a b"]), cached.embed_frames(videos, FRAMES))
    np.testing.assert_allclose(new[0], plain.embed_texts(["a b"]), atol=1e-6)
    np.testing.assert_allclose(new[1], plain.embed_frames(videos, FRAMES), atol=1e-6)
    assert max(np.abs(a - b).max() for a, b in zip(old, new, strict=True)) > 1e-4


def test_a_frame_is_cached_by_its_pixels_pipeline(
    backbone: Backbone, videos: StoredVideos, tmp_path: Path
):
    """The same video and time in a store of another pipeline may hold other pixels."""
    path = write_store(tmp_path / "o.store", videos.records, pipeline="swscale")
    other = open_stored_videos([path], size=IMAGE_SIZE)
    keys = {
        videos.content_key(0, 0.5),
        videos.content_key(0, 1.5),
        videos.content_key(1, 0.5),
        other.content_key(0, 0.5),
    }
    assert len(keys) == 4
