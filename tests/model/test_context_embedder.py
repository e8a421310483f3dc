"""Videos and events by the contextualizer; images, texts and single frames as without it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from figclip.datasets.records import Medium, MediumKind
from figclip.errors import ModelError
from figclip.model.context_embedder import ContextEmbedder, long_text_identity
from figclip.model.embedder import Embedder
from figclip.model.figclip import FiGCLIP
from figclip.model.pooling import Pooling, TextPooling
from figclip.tasks.base import ContextTextEmbedder, TaskEmbedder
from figclip.video.sampling import PRESETS
from figclip.video.stored import StoredClips, StoredVideos, open_stored_videos
from tests.dense_sets import write_store
from tests.model_folders import adapt_at_random
from tests.small_runs import IMAGE_SIZE, make_records, write_tiny_clip

T = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("context")
    return adapt_at_random(write_tiny_clip(root / "clip")).write(root / "model")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> StoredVideos:
    store = write_store(
        tmp_path_factory.mktemp("store") / "own.store", make_records([3, 2]), frames_per_event=T
    )
    return open_stored_videos([store], size=IMAGE_SIZE)


def embedder_of(model: FiGCLIP, pooling: Pooling = "vc") -> ContextEmbedder:
    preset = PRESETS["event"]
    merged = Embedder(model.backbone).with_preset(preset)
    return ContextEmbedder(
        model=model,
        pooling=pooling,
        merged=merged,
        trained=Embedder(model.trained).with_preset(preset),
    )


def as_clips(videos: StoredVideos) -> StoredClips:
    """An image and videos of 4, 4 and 8 frames, out of the first video's."""
    first, second = (tuple(start + 0.25 + 0.5 * t for t in range(T)) for start in (0.0, 2.0))
    kinds: tuple[MediumKind, ...] = ("image", "video", "video", "video")
    return StoredClips(
        stores=videos.stores,
        store_of=(videos.store_of[0],) * 4,
        key_of=(videos.key_of[0],) * 4,
        times_s=((0.25,), first, second, (*first, *second)),
        clip_of={Medium(kind=kind, name=str(i)): i for i, kind in enumerate(kinds)},
        absent={},
    )


def test_it_is_what_tasks_need(folder: Path):
    embedder = embedder_of(FiGCLIP.from_pretrained(folder))
    assert isinstance(embedder, TaskEmbedder) and isinstance(embedder, ContextTextEmbedder)
    assert not isinstance(embedder.merged, ContextTextEmbedder)


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_videos_are_in_context_at_strength_1_and_images_are_merged(
    folder: Path, videos: StoredVideos, alpha: float
):
    model, trained = FiGCLIP.from_pretrained(folder, alpha=alpha), FiGCLIP.from_pretrained(folder)
    embedder, clips = embedder_of(model), as_clips(videos)
    found_CD = embedder.embed_clips(clips, [3, 0, 1, 2, 1])
    image_D = embedder.merged.embed_clips(clips, [0])[0]
    np.testing.assert_array_equal(found_CD[1], image_D)
    for row, clip_idx in ((0, 3), (2, 1), (3, 2), (4, 1)):
        frames = trained.encode_frames(clips.read(clip_idx, clips.times_s[clip_idx]))
        expected = trained.pool_in_context(frames[None])[0]
        np.testing.assert_allclose(found_CD[row], expected, atol=1e-5)
    texts = ["a man runs"]
    np.testing.assert_array_equal(embedder.embed_texts(texts), embedder.merged.embed_texts(texts))


def test_events_see_each_other(folder: Path, videos: StoredVideos):
    model = FiGCLIP.from_pretrained(folder)
    embedder = embedder_of(model)
    refs = [(0, 2.0 * event + 0.25 + 0.5 * t) for event in range(3) for t in range(T)]
    event_PD, video_D = embedder.embed_in_context(videos, refs, frames_per_event=T)
    frames = torch.from_numpy(embedder.merged.embed_frames(videos, refs)).view(1, 3, T, -1)
    contextualizer, _ = model.require_contextualizer()
    with torch.no_grad():
        mask = torch.ones(1, 3, T, dtype=torch.bool)
        expected = contextualizer(frames, frame_mask_BPT=mask)
    np.testing.assert_allclose(event_PD, expected.event_BPD[0], atol=1e-5)
    np.testing.assert_allclose(video_D, expected.video_BD[0], atol=1e-5)
    alone_PD, _ = embedder.embed_in_context(videos, refs[:T], frames_per_event=T)
    assert np.abs(alone_PD[0] - event_PD[0]).max() > 1e-4
    with pytest.raises(ModelError, match="trained on 4 frames an event, not on 2"):
        embedder.embed_in_context(videos, refs, frames_per_event=2)


def test_both_is_between_the_mean_and_what_is_in_context(folder: Path, videos: StoredVideos):
    model, clips = FiGCLIP.from_pretrained(folder, alpha=0.5), as_clips(videos)
    by_vc, both = embedder_of(model), embedder_of(model, "both")
    clip_idxs = [3, 0, 1]
    sum_CD = by_vc.embed_clips(clips, clip_idxs) + by_vc.merged.embed_clips(clips, clip_idxs)
    expected_CD = sum_CD / np.linalg.norm(sum_CD, axis=1, keepdims=True)
    np.testing.assert_allclose(both.embed_clips(clips, clip_idxs), expected_CD, atol=1e-6)
    refs = [(0, 0.25 + 0.5 * t) for t in range(2 * T)]
    frames_FD = by_vc.merged.embed_frames(videos, refs)
    means = [frames_FD[:T].mean(axis=0), frames_FD[T:].mean(axis=0), frames_FD.mean(axis=0)]
    vc_PD, vc_D = by_vc.embed_in_context(videos, refs, frames_per_event=T)
    both_PD, both_D = both.embed_in_context(videos, refs, frames_per_event=T)
    for mean, vc, found in zip(means, (*vc_PD, vc_D), (*both_PD, both_D), strict=True):
        one = mean / np.linalg.norm(mean) + vc
        np.testing.assert_allclose(found, one / np.linalg.norm(one), atol=1e-6)


def test_the_identity_is_of_contextualizer_and_frames(tmp_path: Path):
    clip = write_tiny_clip(tmp_path / "clip")
    identities: list[str] = []
    for seed, long in ((0, "both"), (0, "vc"), (1, "both"), (0, "mean")):
        adapted = adapt_at_random(clip, seed=seed)
        pooling = TextPooling(from_words=3, long=long)
        info = dataclasses.replace(adapted.info, text_pooling=pooling)
        written = dataclasses.replace(adapted, info=info).write(tmp_path / f"{seed} {long}")
        at_half = FiGCLIP.from_pretrained(written, alpha=0.5)
        identities.append(long_text_identity(FiGCLIP.from_pretrained(written)))
        assert long_text_identity(at_half) == identities[-1]
    assert len(set(identities)) == 4 and identities[-1] == ""
    assert long_text_identity(FiGCLIP.from_pretrained(clip)) == ""
