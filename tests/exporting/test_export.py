"""Exports that a library loads; what disagrees, or would overwrite, leaves nothing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from transformers import CLIPModel

from figclip.errors import ConfigError, ModelError
from figclip.exporting import export as module
from figclip.exporting.agreement import Agreement
from figclip.exporting.export import export
from figclip.exporting.hf import HF
from figclip.exporting.run_facts import read_facts
from figclip.model.backbone import weights_hash
from figclip.model.figclip import FiGCLIP
from figclip.model.folder import read_info
from tests.model_folders import adapt_at_random
from tests.reporting.written_runs import MODEL_HASH, write_run, write_strength
from tests.small_runs import write_tiny_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def folder(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adapt_at_random(clip).write(tmp_path_factory.mktemp("adapted") / "model")


def test_a_plain_clip_at_any_strength(folder: Path, clip: Path, tmp_path: Path):
    done = export(folder, to="hf", out=tmp_path / "half", alpha=0.5)
    assert done.alpha == 0.5
    [agreement] = done.agreements
    assert agreement.precision == "fp32" and agreement.max_difference <= 1e-5
    half = CLIPModel.from_pretrained(done.folder)
    expected = FiGCLIP.from_pretrained(folder, alpha=0.5).backbone.clip.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in half.state_dict().items())
    base = export(folder, to="hf", out=tmp_path / "base", alpha=0.0)
    original = CLIPModel.from_pretrained(clip).state_dict()
    for name, tensor in CLIPModel.from_pretrained(base.folder).state_dict().items():
        torch.testing.assert_close(tensor, original[name], atol=1e-6, rtol=0)


def test_its_card_names_its_weights(folder: Path, tmp_path: Path):
    done = export(folder, to="hf", out=tmp_path / "out", alpha=0.5)
    card = ModelCard.load(done.folder / "README.md")
    assert card.data.library_name == "transformers"
    assert weights_hash(CLIPModel.from_pretrained(done.folder)) in card.text
    assert "strength 0.5" in card.text


def test_a_plain_clip_is_exported_too(clip: Path, tmp_path: Path):
    done = export(clip, to="hf", out=tmp_path / "out")
    assert done.alpha == 0 and "nothing was adapted" in (done.folder / "README.md").read_text()


def test_numbers_of_the_card_are_those_of_the_files(tmp_path: Path):
    written = write_run(tmp_path)
    write_strength(written)
    strength = json.loads((written.run / "strength.json").read_text())
    written.rewrite("strength.json", curve=[{**p, "loss_bound": 0.03} for p in strength["curve"]])
    stores = [{"store": "a.store", "coverage": {"name": "vidsitu"}}]
    written.rewrite("data.json", stores=stores, val=["v2"])
    model = written.run / "model"
    facts = read_facts(model, read_info(model), weights=MODEL_HASH)
    assert (facts.data_names, facts.num_videos, facts.num_val_videos) == (("vidsitu",), 2, 1)
    price = facts.price
    assert price is not None
    assert (price.alpha, price.detail, price.loss_bound) == (0.5, (0.4, 0.5), 0.03)
    assert price.kept == (0.9, pytest.approx(0.875))
    assert [(one.task, one.metric) for one in facts.scores] == [
        ("composition", "accuracy"),
        ("retrieval", "t2v R@1"),
    ]
    for one in facts.scores:
        content = json.loads(next((written.run / "eval").glob(f"{one.task}-*.json")).read_text())
        metric = content["metrics"][one.metric]
        assert one.data_hash == content["data"]["hash"]
        assert one.base == metric["base"]["official"]
        assert one.adapted == metric["adapted"]["official"]
        assert one.difference == metric["difference"]
        assert list(one.interval or ()) == metric["interval_95"]


def test_scores_of_other_weights_and_bases_are_left_out(tmp_path: Path):
    written = write_run(tmp_path)
    model = written.run / "model"
    info = read_info(model)
    assert info is not None
    assert not read_facts(model, info, weights="other").scores
    elsewhere = dataclasses.replace(info, base_hash="another")
    assert not read_facts(model, elsewhere, weights=MODEL_HASH).scores
    assert read_facts(tmp_path / "copied", info, weights=MODEL_HASH).num_videos is None


def test_what_disagrees_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def write_base(model: FiGCLIP, out: Path) -> None:
        del model
        HF.write(FiGCLIP.from_pretrained(folder, alpha=0.0), out)

    wrong = dataclasses.replace(HF, write=write_base)
    monkeypatch.setitem(module.TARGETS, "hf", wrong)
    with pytest.raises(ModelError, match="is not the same model when its library loads it"):
        export(folder, to="hf", out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("agreement", "holds"),
    [
        (Agreement(precision="fp32", max_difference=1e-5, min_cosine=1, resized_cosine=1), True),
        (Agreement(precision="fp32", max_difference=2e-5, min_cosine=1, resized_cosine=1), False),
        (Agreement(precision="fp32", max_difference=0, min_cosine=1, resized_cosine=0.9), False),
        (Agreement(precision="int8", max_difference=1, min_cosine=0.99, resized_cosine=1), True),
        (Agreement(precision="int8", max_difference=0, min_cosine=0.98, resized_cosine=1), False),
        (Agreement(precision="fp16", max_difference=0, min_cosine=0.99, resized_cosine=1), False),
        (
            Agreement(
                precision="fp32", max_difference=float("nan"), min_cosine=1, resized_cosine=1
            ),
            False,
        ),
    ],
)
def test_how_near_is_near_enough(agreement: Agreement, holds: bool):
    assert agreement.holds == holds


def test_wrong_use_is_refused_first(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match="unknown target 'onyx'. Targets are hf"):
        export(folder, to="onyx", out=tmp_path / "out")
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(ConfigError, match="is not empty"):
        export(folder, to="hf", out=tmp_path)
    missing = dataclasses.replace(HF, needs=("no_such_module",), extra="open_clip")
    monkeypatch.setitem(module.TARGETS, "hf", missing)
    with pytest.raises(ConfigError, match=r'pip install "figclip\[open_clip\]"'):
        export(folder, to="hf", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
