"""ViT-B/32's real architecture, random weights, adapted on real clips; transformers loads it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from transformers import CLIPModel, CLIPProcessor

from figclip.adaptation.adapt import adapt
from figclip.config.parsing import apply_overrides
from figclip.config.recipes import build_recipe
from figclip.model.figclip import FiGCLIP
from figclip.preparation.prepare import prepare
from figclip.video.store import StoreSpec
from tests.full_size_clips import write_vit_b_32

pytestmark = pytest.mark.real
ANNOTATIONS = Path(__file__).parents[2] / "examples" / "real" / "annotations.jsonl"


def test_real_clips_adapt_a_full_size_clip(tmp_path: Path):
    videos = Path(os.environ["FIGCLIP_REAL_DATA"]) / "data" / "videos"
    report = prepare(
        ANNOTATIONS,
        videos=videos,
        out=tmp_path / "frames.store",
        spec=StoreSpec(),
        frames_per_event=2,
    )
    assert report.num_stored >= 12
    assert not report.quarantine
    base = write_vit_b_32(tmp_path / "base")
    config = apply_overrides(
        build_recipe("default"),
        [
            f"model.base={base}",
            "data.frames_per_event=2",
            "data.loader_workers=0",
            "train.epochs=1",
            "train.lr=1e-3",
        ],
    )
    plans = []
    adapt(
        config,
        data=[tmp_path / "frames.store"],
        out=tmp_path / "run",
        cpu=True,
        on_plan=plans.append,
    )
    assert plans[0].tower_parameters == 3_538_944
    plain = CLIPModel.from_pretrained(tmp_path / "run" / "model")
    processor = CLIPProcessor.from_pretrained(tmp_path / "run" / "model")
    texts = ["a man lifts a barbell", "a dog rides a skateboard"]
    with torch.inference_mode():
        theirs = plain.get_text_features(**processor(text=texts, return_tensors="pt", padding=True))
    ours = FiGCLIP.from_pretrained(tmp_path / "run").encode_text(texts)
    expected = torch.nn.functional.normalize(theirs.pooler_output, dim=-1)
    assert torch.allclose(ours, expected, atol=1e-6)
    original = CLIPModel.from_pretrained(base).state_dict()
    moved = [n for n, t in plain.state_dict().items() if not torch.equal(t, original[n])]
    assert len(moved) == 36, "q, k and v of 12 layers"
    clip = videos / "labelled" / "skateboarding_dog.mp4"
    video = FiGCLIP.from_pretrained(tmp_path / "run").encode_video([clip])
    assert video.shape == (1, 512)
    assert torch.allclose(video.norm(dim=-1), torch.ones(1), atol=1e-5)
