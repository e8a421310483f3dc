"""The module of sentence-transformers: what figclip sees, in every form that the library takes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mteb
import numpy as np
import pytest
import torch
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.abstasks.zeroshot_classification import AbsTaskZeroShotClassification
from mteb.models import SentenceTransformerEncoderWrapper
from PIL import Image
from sentence_transformers import SentenceTransformer
from torch import Tensor

import datasets
from figclip.errors import ModelError, VideoError
from figclip.exporting.export import export
from figclip.model.figclip import FiGCLIP
from tests.model_folders import adapt_at_random
from tests.small_clip import write_small_clip
from tests.videos import draw_video, regular_stamps

pytestmark = pytest.mark.slow

TEXTS = ["a man pushes a woman", "a woman pushes a man"]
LABELS = [0, 1, 0, 1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_small_clip(folder / "clip", seed=0)
    adapt_at_random(folder / "clip").write(folder / "model")
    export(folder / "model", to="sentence-transformers", out=folder / "exported")
    return folder


@pytest.fixture(scope="module")
def ours(folder: Path) -> FiGCLIP:
    return FiGCLIP.from_pretrained(folder / "model")


@pytest.fixture(scope="module")
def model(folder: Path) -> SentenceTransformer:
    return SentenceTransformer(str(folder / "exported"), trust_remote_code=True, device="cpu")


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    draw_video(folder / "clip.mp4", stamps=regular_stamps(40))
    random_picture(0).save(folder / "picture.png")
    return folder


def random_picture(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def assert_same(found: Any, expected: Tensor) -> None:
    torch.testing.assert_close(torch.as_tensor(found), expected, atol=1e-5, rtol=0)


def test_texts_images_and_videos(model: SentenceTransformer, ours: FiGCLIP, media: Path):
    video, picture = str(media / "clip.mp4"), str(media / "picture.png")
    assert_same(model.encode(TEXTS), ours.encode_text(TEXTS))
    assert_same(model.encode([picture, picture]), ours.encode_image([picture, picture]))
    assert_same(model.encode([video, video]), ours.encode_video([video, video]))


def test_every_form_of_a_picture(model: SentenceTransformer, ours: FiGCLIP):
    picture = random_picture(1)
    array = np.asarray(picture)
    forms = [picture, array, torch.from_numpy(array.copy()).permute(2, 0, 1), {"image": picture}]
    assert_same(model.encode(forms), ours.encode_image([picture]).expand(4, -1))


def test_frames_are_taken_as_the_preset_says(model: SentenceTransformer, ours: FiGCLIP):
    frames = [random_picture(seed) for seed in range(50)]
    array = np.stack([np.asarray(one) for one in frames])
    # Midpoints of 20 equal parts of 50 frames: 1.25, 3.75, …
    chosen = [int(2.5 * part + 1.25) for part in range(20)]
    rows = ours.encode_image([frames[one] for one in chosen])
    expected = torch.nn.functional.normalize(rows.mean(dim=0), dim=-1)
    channels_first = torch.from_numpy(array).permute(0, 3, 1, 2)
    for video in (
        {"video": frames},
        array,
        {"video": array},
        {"array": channels_first, "video_metadata": None},
    ):
        assert_same(model.encode([video])[0], expected)
    few = torch.nn.functional.normalize(ours.encode_image(frames[:3]).mean(dim=0), dim=-1)
    assert_same(model.encode([{"video": frames[:3]}])[0], few)


def test_prompts_and_lengths(model: SentenceTransformer, ours: FiGCLIP):
    assert_same(model.encode(["push"], prompt="a man, "), ours.encode_text(["a man, push"]))
    assert (model.get_embedding_dimension(), model.max_seq_length) == (128, 77)


def test_saved_and_loaded_again(model: SentenceTransformer, tmp_path: Path):
    model.save(str(tmp_path))
    again = SentenceTransformer(str(tmp_path), trust_remote_code=True, device="cpu")
    assert_same(again.encode(TEXTS), torch.as_tensor(model.encode(TEXTS)))


def test_what_it_cannot_take_is_named(model: SentenceTransformer, tmp_path: Path):
    with pytest.raises(ModelError, match="is an array of float32"):
        model.encode([np.zeros((50, 50, 3), np.float32)])
    with pytest.raises((ModelError, ValueError), match="audio|not support"):
        model.encode([{"array": np.zeros(9, np.float32), "sampling_rate": 8000}])
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError):
        model.encode([str(tmp_path / "broken.mp4")])


def of_task(name: str, kind: Any, modality: Any, category: Any) -> TaskMetadata:
    return TaskMetadata(
        name=name, description="made up", dataset={"path": "made/up", "revision": "1"}, type=kind,
        category=category, eval_splits=["test"], eval_langs=["eng-Latn"], main_score="accuracy",
        modalities=[modality, "text"],
    )  # fmt: skip


class Pictures(AbsTaskZeroShotClassification):
    metadata = of_task("MadeUpPictures", "ZeroShotClassification", "image", "i2t")
    input_column_name = "image"

    def load_data(self, *args: Any, **options: Any) -> None:
        content = {"image": [random_picture(seed) for seed in range(4)], "label": LABELS}
        test = datasets.Dataset.from_dict(content).cast_column("image", datasets.Image())
        self.dataset, self.data_loaded = datasets.DatasetDict(test=test), True

    def get_candidate_labels(self) -> list[str]:
        return TEXTS


class Videos(Pictures):
    """Its decoder stands in for torchcodec's, which needs a system FFmpeg."""

    metadata = of_task("MadeUpVideos", "VideoZeroshotClassification", "video", "v2t")
    input_column_name = "video"

    def load_data(self, *args: Any, **options: Any) -> None:
        test = datasets.Dataset.from_dict({"video": list(range(4)), "label": LABELS})
        self.dataset = datasets.DatasetDict(test=test.with_transform(self._decoded))
        self.data_loaded = True

    @staticmethod
    def _decoded(batch: dict[str, Any]) -> dict[str, Any]:
        decoders = {"video": [decoder(seed) for seed in batch.get("video", ())]}
        return {**batch, **(decoders if "video" in batch else {})}


def film(seed: int) -> list[Image.Image]:
    return [random_picture(100 * seed + frame) for frame in range(30)]


def decoder(seed: int) -> SimpleNamespace:
    frames = torch.from_numpy(np.stack([np.asarray(one) for one in film(seed)]))
    return SimpleNamespace(
        metadata=SimpleNamespace(num_frames=30, end_stream_seconds=3.0),
        get_frames_at=lambda idxs: SimpleNamespace(data=frames.permute(0, 3, 1, 2)[idxs]),
    )


@pytest.mark.filterwarnings("ignore")  # mteb uses old names, scikit-learn misses a class
def test_mteb_scores_it(model: SentenceTransformer):
    encoder = SentenceTransformerEncoderWrapper(model)
    encoder.mteb_model_meta.modalities = ["text", "image", "video"]
    found = mteb.evaluate(encoder, [Pictures(), Videos()], cache=None)
    texts = model.encode(TEXTS)
    for result, inputs in zip(
        found.task_results,
        ([random_picture(seed) for seed in range(4)], [{"video": film(seed)} for seed in range(4)]),
        strict=True,
    ):
        chosen = (model.encode(inputs) @ texts.T).argmax(axis=1)
        assert result.get_score() == np.mean(chosen == LABELS)
