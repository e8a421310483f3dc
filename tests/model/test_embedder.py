"""Embedder: right rows in order, clips pooled by preset, a cache that knows what it depends on."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize
from transformers import CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import figclip.model.embedder as embedding
from figclip.datasets.records import Box, Medium
from figclip.model.backbone import IMAGENET, Backbone, load_backbone
from figclip.model.embedder import Embedder, model_identity
from figclip.model.figclip import FiGCLIP
from figclip.preparation.clips import prepare_clips
from figclip.runtime.process_group import Processes
from figclip.video.sampling import PRESETS
from figclip.video.store import FrameStore, FrameStoreWriter, StoreSpec
from figclip.video.stored import StoredClips, StoredVideos, open_stored_videos
from tests.dense_sets import write_store
from tests.ranks_as_threads import run_ranks
from tests.small_runs import IMAGE_SIZE, make_records, write_tiny_clip
from tests.videos import draw_video, regular_stamps

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


def test_a_model_is_the_same_wherever_it_lies_and_another_one_is_not(
    backbone: Backbone, clip_folder: Path, tmp_path: Path
):
    moved = load_backbone(str(shutil.copytree(clip_folder, tmp_path / "moved")))
    assert model_identity(moved) == model_identity(backbone)
    assert model_identity(moved.to(torch.bfloat16)) != model_identity(backbone)  # other weights
    for change in ("vision_model", "text_model", "visual_projection", "text_projection"):
        other = load_backbone(str(clip_folder))
        with torch.no_grad():
            next(getattr(other.clip, change).parameters()).add_(1e-3)
        assert model_identity(other) != model_identity(backbone), change
    other.clip.config.vision_config.num_attention_heads += 1
    assert model_identity(other) != model_identity(backbone)


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


def test_the_cache_keeps_frames_before_the_projection_apart(
    backbone: Backbone, videos: StoredVideos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    alone = Embedder(backbone)
    expected = [
        alone.embed_frames(videos, FRAMES),
        alone.before_projection().embed_frames(videos, FRAMES),
    ]
    assert expected[0].shape == expected[1].shape, "a mixture would be noticed by its shape"
    assert np.abs(expected[0] - expected[1]).max() > 0.1

    def both() -> list[np.ndarray]:
        cached = Embedder(backbone, cache_file=tmp_path / "c.sqlite")
        return [
            cached.embed_frames(videos, FRAMES),
            cached.before_projection().embed_frames(videos, FRAMES),
        ]

    for found in zip(both(), expected, strict=True):
        np.testing.assert_array_equal(*found)
    monkeypatch.setattr(Backbone, "encode_frames", None)  # nothing is computed again
    for found in zip(both(), expected, strict=True):
        np.testing.assert_array_equal(*found)


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


def count_rows(monkeypatch: pytest.MonkeyPatch) -> dict[int, list[int]]:
    """Frames or texts of every forward pass, by thread."""
    rows: dict[int, list[int]] = {}
    for name in ("encode_frames", "encode_tokens"):
        encode = getattr(Backbone, name)

        def counted(self, inputs, *args, encode=encode, **options):  # noqa: ANN001, ANN002, ANN003, ANN202
            num = len(getattr(inputs, "ids_NL", inputs))
            rows.setdefault(threading.get_ident(), []).append(num)
            return encode(self, inputs, *args, **options)

        monkeypatch.setattr(Backbone, name, counted)
    return rows


@pytest.mark.parametrize("micro_batch", [1, 2, 100])
@pytest.mark.parametrize("num_ranks", [2, 3])
def test_processes_share_the_work_and_get_the_bits_of_one(
    backbone: Backbone,
    videos: StoredVideos,
    monkeypatch: pytest.MonkeyPatch,
    micro_batch: int,
    num_ranks: int,
):
    alone = Embedder(backbone, micro_batch=micro_batch)
    texts, frames = alone.embed_texts(TEXTS), alone.embed_frames(videos, FRAMES)
    rows = count_rows(monkeypatch)
    progress: list[tuple[int, int]] = []

    def work(processes: Processes) -> tuple[np.ndarray, np.ndarray]:
        embedder = Embedder(
            copy.deepcopy(backbone),  # a tokenizer is for one thread
            micro_batch=micro_batch,
            on_progress=(lambda *done: progress.append(done)) if processes.is_main else None,
            processes=processes,
        )
        return embedder.embed_texts(TEXTS), embedder.embed_frames(videos, FRAMES)

    for found in run_ranks(num_ranks, work):
        np.testing.assert_array_equal(found[0], texts)
        np.testing.assert_array_equal(found[1], frames)
    assert sum(map(sum, rows.values())) == len(TEXTS) + len(FRAMES), "each row once, by one of them"
    if micro_batch == 1:
        sizes = [len(TEXTS), len(FRAMES)]
        most = sum(-(-size // num_ranks) for size in sizes)
        assert max(map(len, rows.values())) == most
    assert [total for done, total in progress if done == total] == [len(TEXTS), len(FRAMES)]


def test_the_main_process_reads_and_writes_the_cache_for_all(
    backbone: Backbone, videos: StoredVideos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """On several machines each may have a cache folder of its own."""
    files = [tmp_path / str(rank) / "c.sqlite" for rank in range(2)]
    alone = Embedder(backbone, micro_batch=1)
    expected = alone.embed_texts(TEXTS), alone.embed_frames(videos, FRAMES)
    for file, known in zip(files, (slice(0, 2), slice(2, 6)), strict=True):
        before = Embedder(backbone, micro_batch=1, cache_file=file)
        before.embed_texts(TEXTS[known])
        before.embed_frames(videos, FRAMES[known])
    rows = count_rows(monkeypatch)

    def work(processes: Processes) -> tuple[np.ndarray, np.ndarray]:
        embedder = Embedder(
            copy.deepcopy(backbone),
            micro_batch=1,
            cache_file=files[processes.rank],
            processes=processes,
        )
        return embedder.embed_texts(TEXTS), embedder.embed_frames(videos, FRAMES)

    untouched = files[1].read_bytes()
    for found in run_ranks(2, work):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])
    # Two of five different texts and of six different frames were known to the main process.
    assert sum(map(sum, rows.values())) == 3 + 4
    assert files[1].read_bytes() == untouched
    rows.clear()
    again = Embedder(backbone, micro_batch=1, cache_file=files[0])
    np.testing.assert_array_equal(again.embed_texts(TEXTS), expected[0])
    np.testing.assert_array_equal(again.embed_frames(videos, FRAMES), expected[1])
    assert rows == {}


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


# Kind and number of frames of four clips.
CLIPS = (("video", 3), ("image", 1), ("image", 1), ("video", 5))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> StoredClips:
    """Clips of noise, in exact stores."""
    folder = tmp_path_factory.mktemp("clips")
    spec = StoreSpec(size=IMAGE_SIZE, codec="raw")
    rng = np.random.default_rng(0)
    times_s = tuple(tuple(float(n) for n in range(length)) for _, length in CLIPS)
    for name in ("image", "video"):
        with FrameStoreWriter(folder / name, spec=spec) as writer:
            for idx, (kind, length) in enumerate(CLIPS):
                if kind == name:
                    shape = (length, IMAGE_SIZE, IMAGE_SIZE, 3)
                    writer.add_video(
                        f"clip{idx}",
                        f"clip{idx}",
                        rng.integers(0, 256, shape, dtype=np.uint8),
                        times_us=[n * 10**6 for n in range(length)],
                        duration_s=float(length),
                    )
    return StoredClips(
        stores=(FrameStore.open(folder / "image"), FrameStore.open(folder / "video")),
        store_of=tuple(int(kind == "video") for kind, _ in CLIPS),
        key_of=tuple(f"clip{idx}" for idx in range(len(CLIPS))),
        times_s=times_s,
        clip_of={
            Medium(kind=kind, name=f"clip{idx}"): idx  # type: ignore[arg-type]
            for idx, (kind, _) in enumerate(CLIPS)
        },
        absent={},
    )


def raw_frames(backbone: Backbone, clips: StoredClips, clip_idx: int, **options) -> torch.Tensor:
    pixels = torch.from_numpy(clips.read(clip_idx, clips.times_s[clip_idx]))
    with torch.no_grad():
        return backbone.encode_frames(pixels, **options)


def unit(vector: torch.Tensor) -> torch.Tensor:
    return vector / vector.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("micro_batch", [1, 2, 100])
@pytest.mark.parametrize("chunk_frames", [1, 4, 4096])
@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_clips_are_pooled_as_the_preset_says(
    backbone: Backbone, clips: StoredClips, preset, chunk_frames, micro_batch, monkeypatch
):
    monkeypatch.setattr(embedding, "CHUNK_FRAMES", chunk_frames)
    expected = []
    for clip_idx, (kind, _) in enumerate(CLIPS):
        imagenet = IMAGENET if preset.name == "vificlip" and kind == "video" else None
        frames = raw_frames(backbone, clips, clip_idx, statistics=imagenet)
        # ViFi-CLIP@e2d1948 trainers/vificlip.py:188-193,
        # VELOCITI@8d66ddb models/clip_model.py:131-136.
        is_raw = preset.name in ("vificlip", "velociti")
        mean = (frames if is_raw else unit(frames)).mean(dim=0)
        expected.append(unit(mean).numpy())
    chosen = [3, 1, 0, 3, 2]
    found = Embedder(backbone, preset=preset, micro_batch=micro_batch).embed_clips(clips, chosen)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.stack([expected[i] for i in chosen]), atol=1e-6)


def test_the_ways_to_look_at_clips_differ(backbone: Backbone, clips: StoredClips):
    found = {
        name: Embedder(backbone, preset=preset).embed_clips(clips, [0, 3])
        for name, preset in PRESETS.items()
    }
    for name in ("event", "clip4clip", "clip4clip_64"):  # only frames and texts differ
        np.testing.assert_array_equal(found["figclip"], found[name])
    for name in ("vificlip", "velociti"):
        assert np.abs(found[name] - found["figclip"]).max() > 1e-4


def test_imagenet_statistics_are_those_of_imagenet(backbone: Backbone, clips: StoredClips):
    pixels = torch.from_numpy(clips.read(0, [0.0])).permute(0, 3, 1, 2) / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = (pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    with torch.no_grad():
        pooled = backbone.clip.vision_model(pixel_values=pixels).pooler_output
        expected = backbone.clip.visual_projection(pooled)
    found = raw_frames(backbone, clips, 0, statistics=IMAGENET)[:1]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_images_are_embedded_as_transformers_does(
    clip_folder: Path, backbone: Backbone, tmp_path: Path
):
    rng = np.random.default_rng(0)
    boxes = [None, None, Box(left=5, top=9, width=20, height=31)]
    pictures = [
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        for size in ((40, 60), (71, 33), (50, 50))
    ]
    for n, picture in enumerate(pictures):
        picture.save(tmp_path / f"{n}.png")
    media = [Medium(kind="image", name=f"{n}.png", box=box) for n, box in enumerate(boxes)]
    stored = prepare_clips(
        media,
        images=tmp_path,
        videos=None,
        stores=tmp_path / "stores",
        pipeline="vificlip",
        size=IMAGE_SIZE,
        sampling="midpoints_32",
    )
    model = CLIPModel.from_pretrained(clip_folder).eval()
    processor = CLIPImageProcessorPil.from_pretrained(clip_folder)
    pictures[2] = pictures[2].crop((5, 9, 25, 40))
    with torch.no_grad():
        output = model.get_image_features(**processor(pictures, return_tensors="pt"))
    features = output if isinstance(output, torch.Tensor) else output.pooler_output
    for preset in PRESETS.values():
        found = Embedder(backbone, preset=preset).embed_clips(stored, [0, 1, 2])
        np.testing.assert_allclose(found, normalize(features, dim=-1).numpy(), atol=1e-6)


def test_whole_videos_are_embedded_as_the_public_model_does(
    clip_folder: Path, backbone: Backbone, tmp_path: Path
):
    """In an exact store to rounding; in the JPEG store nearly."""
    draw_video(tmp_path / "v.mp4", stamps=regular_stamps(37))
    public = FiGCLIP.from_pretrained(clip_folder)
    expected = public.encode_video([tmp_path / "v.mp4"]).numpy()
    stored = prepare_clips(
        [Medium(kind="video", name="v")],
        images=None,
        videos=tmp_path,
        stores=tmp_path / "stores",
        pipeline="pil",
        size=IMAGE_SIZE,
        sampling="midpoints_20",
    )
    found = Embedder(backbone).embed_clips(stored, [0])
    assert float(found[0] @ expected[0]) > 0.995
    exact = public._decode(tmp_path / "v.mp4", 0.0, 3.7, num_frames=20)
    with FrameStoreWriter(tmp_path / "raw", spec=StoreSpec(size=IMAGE_SIZE, codec="raw")) as writer:
        times_us = [round(time_s * 1e6) for time_s in stored.times_s[0]]
        writer.add_video(stored.key_of[0], "v", exact, times_us=times_us, duration_s=3.7)
    raw = dataclasses.replace(stored, stores=(FrameStore.open(tmp_path / "raw"),))
    np.testing.assert_allclose(Embedder(backbone).embed_clips(raw, [0]), expected, atol=1e-6)


def test_presets_share_what_they_can_and_nothing_else(
    backbone: Backbone, clips: StoredClips, tmp_path: Path
):
    calls: list[tuple[int, int]] = []

    def embed(name: str) -> np.ndarray:
        calls.clear()
        embedder = Embedder(
            backbone,
            preset=PRESETS[name],
            micro_batch=4,
            cache_file=tmp_path / "c.sqlite",
            on_progress=lambda done, total: calls.append((done, total)),
        )
        return embedder.embed_clips(clips, [0, 1, 2, 3])

    for name, expected_calls in (
        ("figclip", [(2, 10), (6, 10), (10, 10)]),  # two images, eight frames
        ("velociti", []),
        ("vificlip", [(6, 10), (10, 10)]),
        ("figclip", []),
        ("vificlip", []),
    ):
        found = embed(name)
        assert calls == expected_calls, name
        plain = Embedder(backbone, preset=PRESETS[name]).embed_clips(clips, [0, 1, 2, 3])
        np.testing.assert_allclose(found, plain, atol=1e-6)


def test_no_clips_give_no_rows(backbone: Backbone, clips: StoredClips, tmp_path: Path):
    for cache_file in (None, tmp_path / "c.sqlite"):
        assert Embedder(backbone, cache_file=cache_file).embed_clips(clips, []).shape == (0, 32)


def test_texts_are_cut_where_the_preset_says(backbone: Backbone, tmp_path: Path):
    clip4clip = PRESETS["clip4clip"]
    assert clip4clip.max_tokens == 32
    # 30 words of one token fit between start and end.
    texts = ["q " * num_words for num_words in (29, 30, 31, 60, 90)]
    lengths = [len(backbone.tokenize([text]).ids_NL[0]) for text in texts]
    assert lengths == [31, 32, 33, 62, 77]
    cutting = Embedder(backbone, preset=clip4clip, cache_file=tmp_path / "c.sqlite")
    plain = Embedder(backbone, cache_file=tmp_path / "c.sqlite")
    assert (cutting.count_cut(texts), plain.count_cut(texts)) == (3, 1)
    whole, cut = plain.embed_texts(texts), cutting.embed_texts(texts)
    np.testing.assert_allclose(cut[:2], whole[:2], atol=1e-6)
    for row in range(2, 5):
        np.testing.assert_allclose(cut[row], whole[1], atol=1e-6)
        assert np.abs(cut[row] - whole[row]).max() > 1e-4
    # A text that looks like another's key does not get its embedding.
    odd = "32/" + texts[4]
    np.testing.assert_allclose(
        plain.embed_texts([odd]), Embedder(backbone).embed_texts([odd]), atol=1e-6
    )


def counting(backbone: Backbone, cache_file: Path, calls: list[str]) -> Embedder:
    return Embedder(
        backbone, cache_file=cache_file, on_progress=lambda *_: calls.append("computed")
    )


def change_image_tower(backbone: Backbone) -> None:
    with torch.no_grad():
        backbone.clip.vision_model.encoder.layers[0].self_attn.q_proj.weight.mul_(3.0)


def change_image_projection(backbone: Backbone) -> None:
    with torch.no_grad():
        backbone.clip.visual_projection.weight.mul_(torch.linspace(0.5, 2.0, 32)[:, None])


def change_text_tower(backbone: Backbone) -> None:
    with torch.no_grad():
        backbone.clip.text_model.encoder.layers[0].self_attn.q_proj.weight.mul_(3.0)


def change_text_projection(backbone: Backbone) -> None:
    with torch.no_grad():
        backbone.clip.text_projection.weight.mul_(torch.linspace(0.5, 2.0, 32)[:, None])


def change_heads(backbone: Backbone) -> None:
    for tower in (backbone.clip.config.text_config, backbone.clip.config.vision_config):
        tower.num_attention_heads *= 2
    for tower in (backbone.clip.text_model, backbone.clip.vision_model):
        for layer in tower.encoder.layers:
            layer.self_attn.num_heads *= 2
            layer.self_attn.head_dim //= 2
            layer.self_attn.scale *= 2**0.5


def change_precision(backbone: Backbone) -> None:
    backbone.double()


@pytest.mark.parametrize(
    ("change", "texts_again", "frames_again"),
    [
        (change_image_tower, False, True),
        (change_image_projection, False, True),
        (change_text_tower, True, False),
        (change_text_projection, True, False),
        (change_heads, True, True),
        (change_precision, True, True),
    ],
)
def test_models_share_the_embeddings_of_equal_towers(
    clip_folder: Path,
    backbone: Backbone,
    videos: StoredVideos,
    tmp_path: Path,
    change,
    texts_again: bool,
    frames_again: bool,
):
    """An adaptation of the image tower leaves the embeddings of texts as they are."""
    calls: list[str] = []
    first = counting(backbone, tmp_path / "c.sqlite", calls)
    first.embed_texts(["a b"])
    first.embed_frames(videos, FRAMES)
    changed = load_backbone(str(clip_folder))
    change(changed)
    second = counting(changed, tmp_path / "c.sqlite", calls)
    for embed, is_new in (
        (lambda embedder: embedder.embed_texts(["a b"]), texts_again),
        (lambda embedder: embedder.embed_frames(videos, FRAMES), frames_again),
    ):
        calls.clear()
        found = embed(second)
        assert bool(calls) == is_new
        np.testing.assert_allclose(found, embed(Embedder(changed)), atol=1e-6)
