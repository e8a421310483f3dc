"""Precision and size of batches: what they change, what they do not, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from figclip.config import Precision
from figclip.errors import ConfigError, ModelError
from figclip.miniworld.mini_models import load_mini_model
from figclip.model.backbone import Backbone, load_backbone
from figclip.model.embedder import Embedder
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings
from figclip.model.figclip import FiGCLIP
from tests.model_folders import adapt_at_random
from tests.runtime_types import without_runtime_types
from tests.small_runs import IMAGE_SIZE, write_tiny_clip

TEXTS = ["a ball", "a man pushes a woman", "a dog", "a man pushes a woman in a park", "x"]
FRAMES = np.random.default_rng(0).integers(0, 256, (5, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


def embedded(model: str | Path, embedding: EmbeddingSettings = DEFAULT_EMBEDDING) -> np.ndarray:
    """Rows of frames and texts."""
    loaded = FiGCLIP.from_pretrained(model, embedding=embedding)
    return np.concatenate([loaded.encode_frames(FRAMES), loaded.encode_text(TEXTS)])


def test_the_default_on_a_cpu_is_fp32(clip_folder: Path):
    exact = EmbeddingSettings(precision="fp32")
    np.testing.assert_array_equal(embedded(clip_folder), embedded(clip_folder, exact))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_another_and_near(clip_folder: Path, precision):
    half = embedded(clip_folder, EmbeddingSettings(precision=precision))
    distances = 1 - np.vecdot(embedded(clip_folder).astype(float), half)
    assert half.dtype == np.float32
    assert 1e-9 < np.abs(distances).max() < 1e-2


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_cosines_by_trained_models_change_as_documented(family: str):
    """docs/evaluation.md says 0.002 and 0.0002; machines without such instructions round alike."""
    backbone = load_mini_model(0, family=family)
    size = backbone.preprocessing.image_size
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)
    frames = coarse.repeat(size // 8, axis=1).repeat(size // 8, axis=2)
    model = FiGCLIP(backbone)
    cosines: dict[str, np.ndarray] = {}
    precisions: tuple[Precision, ...] = ("fp32", "bf16", "fp16")
    for precision in precisions:
        backbone.precision = precision
        cosines[precision] = (model.encode_frames(frames) @ model.encode_text(TEXTS).T).numpy()
    for precision, limit in {"bf16": 4e-3, "fp16": 4e-4}.items():
        assert 1e-6 < np.abs(cosines[precision] - cosines["fp32"]).max() < limit


@pytest.mark.parametrize("batch_size", [1, 1000])
def test_batches_move_the_last_bits_at_most_and_are_no_larger(
    clip_folder: Path, batch_size: int, monkeypatch: pytest.MonkeyPatch
):
    expected = embedded(clip_folder)
    sizes: list[int] = []

    def counting(encode: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def counted(*given: object) -> torch.Tensor:
            rows = encode(*given)
            sizes.append(len(rows))
            return rows

        return counted

    for name in ("encode_frames", "encode_tokens"):
        monkeypatch.setattr(Backbone, name, counting(getattr(Backbone, name)))
    found = embedded(clip_folder, EmbeddingSettings(batch_size=batch_size))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert max(sizes) == min(batch_size, len(TEXTS)) and sum(sizes) == len(TEXTS) + len(FRAMES)


def test_a_model_has_it_at_every_strength(clip_folder: Path, tmp_path: Path):
    folder = adapt_at_random(clip_folder).write(tmp_path / "adapted")
    half = EmbeddingSettings(precision="bf16", batch_size=3)
    model = FiGCLIP.from_pretrained(folder, alpha=0.5, embedding=half)
    assert model.trained is not model.backbone
    for one in (model.backbone, model.trained):
        assert (one.precision, one.resolved_precision) == ("bf16", "bf16")
    assert model.batch_size == 3


def test_the_cache_knows_the_precision_and_not_the_batch(clip_folder: Path, tmp_path: Path):
    def texts(batch: int, **options) -> np.ndarray:
        backbone = load_backbone(str(clip_folder), **options)
        embedder = Embedder(backbone, micro_batch=batch, cache_file=tmp_path / "c.sqlite")
        return embedder.embed_texts(TEXTS)

    first = texts(32)
    np.testing.assert_array_equal(texts(1, precision="fp32"), first)  # not computed anew
    half = texts(32, precision="bf16")
    assert np.abs(half - first).max() > 1e-5
    np.testing.assert_array_equal(texts(1, precision="bf16"), half)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "embedding.batch_size: is 0, must be at least 1"),
        ({"batch_size": -3}, "embedding.batch_size: is -3, must be at least 1"),
        ({"precision": "fp8"}, "embedding.precision: is 'fp8', must be one of auto, fp32, bf16"),
    ],
)
def test_what_cannot_be_is_refused(options, message: str):
    with without_runtime_types(), pytest.raises(ConfigError, match=message):
        EmbeddingSettings(**options)


def test_a_full_gpu_names_what_makes_batches_smaller(
    clip_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **__: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    model = FiGCLIP.from_pretrained(clip_folder, embedding=EmbeddingSettings(batch_size=4))
    monkeypatch.setattr(Backbone, "encode_frames", fail)
    monkeypatch.setattr(Backbone, "encode_tokens", fail)
    embedder = Embedder(model.backbone, micro_batch=4)
    for embed in (
        lambda: model.encode_frames(FRAMES),
        lambda: model.encode_text(TEXTS),
        lambda: embedder.embed_texts(TEXTS),
    ):
        with pytest.raises(ModelError, match=r"memory for a batch of 4\. .*--batch-size"):
            embed()
