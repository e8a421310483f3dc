"""The mini models that come with figclip: whole, and what half precision holds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from figclip.errors import ModelError
from figclip.miniworld import mini_models as shipped
from figclip.miniworld.mini_clip import build_mini_clip
from figclip.miniworld.mini_models import (
    BUILDERS,
    SHA256,
    load_mini_model,
    round_to_half,
    weights_file,
    write_weights,
)
from figclip.miniworld.stages import Workshop, lay_out_base


@pytest.mark.parametrize(("family", "seed"), SHA256)
def test_they_load_and_are_trained(family: str, seed: int):
    shipped_clip = load_mini_model(seed, family=family).clip
    random = BUILDERS[family](seed=seed).clip
    for name, weight in shipped_clip.named_parameters():
        assert torch.equal(weight, weight.half().float()), name
        assert not torch.equal(weight, random.get_parameter(name)), name
    # CLIP's temperature starts at 1 / 0.07 and is bounded by 100, SigLIP's starts at 10.
    assert {"clip": 14, "siglip": 10}[family] < shipped_clip.logit_scale.exp() <= 100


def test_rounded_weights_are_shipped_without_loss(tmp_path: Path):
    backbone = build_mini_clip(seed=3, width=32, vision_layers=1, text_layers=1)
    round_to_half(backbone)
    before = {name: weight.clone() for name, weight in backbone.clip.state_dict().items()}
    file = write_weights(tmp_path, backbone, seed=3)
    assert file == weights_file(tmp_path, 3)
    assert all(torch.equal(before[name], one) for name, one in backbone.clip.state_dict().items())


def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path)
    with pytest.raises(ModelError, match="missing"):
        load_mini_model(0)
    with pytest.raises(ModelError, match="not the mini SigLIP 7 that"):
        load_mini_model(7, family="siglip")
    weights_file(tmp_path, 0).write_bytes(b"something else")
    with pytest.raises(ModelError, match="is not the mini CLIP 0 that figclip came with"):
        load_mini_model(0)


@pytest.mark.slow
def test_a_workshop_lays_out_its_own_family(tmp_path: Path):
    workshop = Workshop(path=tmp_path, on_progress=lambda *_: None, family="siglip")
    assert workshop.base(0) == tmp_path / "mini-siglip-0"
    assert workshop.store() == tmp_path / "frames-siglip.store"
    for _ in range(2):
        lay_out_base(workshop.base(0), 0, family="siglip")
    with pytest.raises(ModelError, match="holds another model than the mini CLIP 0 that"):
        lay_out_base(workshop.base(0), 0)
