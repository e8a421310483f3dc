"""The mini CLIP's folder: a CLIP for transformers and for figclip."""

from __future__ import annotations

from functools import partial

import torch
from transformers import CLIPModel, CLIPProcessor

from figclip.miniworld.mini_clip import IMAGE_SIZE, build_mini_clip, write_mini_clip
from figclip.model.backbone import load_backbone

assert_close = partial(torch.testing.assert_close, atol=1e-5, rtol=1e-4)
TEXTS = ["a red cat", "In this photo, the action is chase, the chaser is dog"]


def test_size_and_seed():
    clip = build_mini_clip(seed=0).clip
    assert 1_000_000 < sum(p.numel() for p in clip.parameters()) < 3_000_000
    same, other = build_mini_clip(seed=0).clip, build_mini_clip(seed=1).clip
    weights = [each.text_projection.weight for each in (clip, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_folder_loads(tmp_path):
    built = build_mini_clip(seed=0, width=32, vision_layers=1, text_layers=1).eval()
    write_mini_clip(tmp_path / "model", built)
    loaded = load_backbone(str(tmp_path / "model")).eval()
    clip = CLIPModel.from_pretrained(tmp_path / "model").eval()
    processor = CLIPProcessor.from_pretrained(tmp_path / "model")
    frames = torch.randint(0, 256, (2, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=torch.uint8)
    inputs = processor(
        text=TEXTS, images=list(frames.permute(0, 3, 1, 2)), return_tensors="pt", padding=True
    )
    with torch.no_grad():
        images_ND, texts_ND = (
            built.encode_frames(frames),
            built.encode_tokens(built.tokenize(TEXTS)),
        )
        assert_close(loaded.encode_frames(frames), images_ND)
        assert_close(loaded.encode_tokens(loaded.tokenize(TEXTS)), texts_ND)
        outputs = clip(**inputs)
        images_ND, texts_ND = (torch.nn.functional.normalize(x) for x in (images_ND, texts_ND))
        assert_close(outputs.text_embeds, texts_ND)
        assert_close(outputs.image_embeds, images_ND)
