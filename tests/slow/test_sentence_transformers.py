"""The module of sentence-transformers: what figclip sees, in every form that the library takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor

from figclip.errors import ModelError, VideoError
from figclip.exporting.export import export
from figclip.model.figclip import FiGCLIP
from tests.model_folders import adapt_at_random
from tests.slow.pictures import film, random_picture
from tests.small_clip import write_small_clip
from tests.videos import draw_video, regular_stamps

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# The libraries are imported by the tests: `make test` collects this file, too, without them.
pytestmark = pytest.mark.slow

TEXTS = ["a man pushes a woman", "a woman pushes a man"]


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
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder / "exported"), trust_remote_code=True, device="cpu")


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    draw_video(folder / "clip.mp4", stamps=regular_stamps(40))
    random_picture(0).save(folder / "picture.png")
    return folder


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
    from sentence_transformers import SentenceTransformer

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


@pytest.mark.filterwarnings("ignore")  # mteb uses old names, scikit-learn misses a class
def test_mteb_scores_it(model: SentenceTransformer):
    import mteb
    from mteb.models import SentenceTransformerEncoderWrapper

    from tests.slow.made_up_tasks import LABELS, Pictures, Videos

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
