"""What a page is made of: models, and the world of a quickstart beside them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from figclip.demo.demo import demo, load_models
from figclip.demo.examples import examples_of, find_world
from figclip.errors import ConfigError
from figclip.miniworld.world_files import WorldFolder
from figclip.model.embedding_settings import EmbeddingSettings
from tests.small_runs import write_tiny_clip
from tests.videos import draw_video


def test_without_gradio_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ConfigError, match=r'needs gradio. Install it: pip install "figclip\[demo'):
        demo("no-such-model")


def test_videos_alone_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="--videos: belongs to --annotations"):
        demo("no-such-model", videos=tmp_path)


def test_a_plain_clip_needs_another_beside_it(tmp_path: Path):
    clip = str(write_tiny_clip(tmp_path / "clip"))
    with pytest.raises(ConfigError, match="plain CLIP, which has no base"):
        load_models(clip, base=None, device="cpu")
    half = EmbeddingSettings(precision="bf16", batch_size=3)
    comparer = load_models(clip, base=clip, device="cpu", embedding=half)
    for one in (comparer.base, comparer.adapted):
        assert (one.backbone.precision, one.batch_size) == ("bf16", 3)
    assert comparer.base is not comparer.adapted


def test_the_world_of_a_quickstart_is_found_beside_its_run(tmp_path: Path):
    run = tmp_path / "run-base0-seed0"
    run.mkdir()
    assert find_world(str(run)) is None
    world = WorldFolder(tmp_path / "world")
    world.detail.mkdir(parents=True)
    world.claim.write_text("{}")
    assert find_world(str(run)) == world
    assert find_world("openai/clip-vit-base-patch32") is None


def test_examples_are_one_of_each_pair_of_twins(tmp_path: Path):
    world = WorldFolder(tmp_path)
    (world.detail / "videos").mkdir(parents=True)
    names = [f"{number}-{side}.mp4" for number in range(3) for side in ("first", "other")]
    for name in names:
        draw_video(world.detail / "videos" / name, stamps=range(10))
    lines = [
        {"video": one, "positives": [f"true of {one}"], "negatives": ["false"], "group": one[0]}
        for one in names
    ]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    for test in ("role_swap", "direction"):
        (world.detail / f"{test}-natural.jsonl").write_text(text)
    found = examples_of(world)
    assert [one.sentences[0] for one in found] == [f"true of {n}-first.mp4" for n in range(3)]
    assert found[0].medium.span_s == pytest.approx((0.0, 1.0))
