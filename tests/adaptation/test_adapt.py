"""Whole runs of `figclip.adapt` on a drawn world."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize
from transformers import CLIPModel

from figclip.adaptation.adapt import AdaptationPlan, adapt
from figclip.adaptation.assembly import assemble
from figclip.errors import CheckpointError, FigclipError, StoreError, TrainingError
from figclip.model.backbone import load_backbone, weights_hash
from figclip.model.figclip import FiGCLIP
from figclip.runtime.checked_json import load_checked
from figclip.training.loop import StepReport
from figclip.video.stored import StoredVideos
from tests.adapted_world import IMAGE_SIZE, World, make_world
from tests.small_clip import write_small_clip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), num_videos=6)


def metrics_without_times(run: Path) -> list[dict]:
    rows = [load_checked(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "time"} for row in rows]


def test_a_run_leaves_a_plain_clip_and_its_provenance(world: World, tmp_path: Path):
    plans = []
    result = adapt(
        world.config(), data=[world.store], out=tmp_path / "run", cpu=True, on_plan=plans.append
    )
    run = tmp_path / "run"
    assert result.outcome.interrupted_by is None
    assert result.model == run / "model"
    assert plans[0].num_videos == 5
    assert plans[0].num_steps == result.outcome.step == 4
    assert plans[0].num_val_videos == 0

    plain = CLIPModel.from_pretrained(run / "model")
    ours = FiGCLIP.from_pretrained(run)
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, ours.backbone.clip.state_dict()[name]), name
    base = CLIPModel.from_pretrained(world.base).state_dict()
    moved = [n for n, t in plain.state_dict().items() if not torch.equal(t, base[n])]
    assert moved, "training moved nothing"
    assert all("vision_model" in n and "self_attn" in n for n in moved)
    back = FiGCLIP.from_pretrained(run, alpha=0.0).backbone.clip.state_dict()
    for name in moved:
        assert torch.allclose(back[name], base[name], atol=1e-6), name

    info = load_checked((run / "model" / "figclip.json").read_text())
    assert info["provenance"]["recipe"] == "tiny"
    assert info["text_pooling"] is None, "nothing was held back to measure it on"
    card = ModelCard.load(run / "model" / "README.md")
    assert card.data.library_name == "transformers"
    for said in (weights_hash(plain), info["base_hash"], "5 trained on", "have not been scored"):
        assert said in card.text
    for file in ("README.md", "figclip.json", "config.json", "adapter/adapter_config.json"):
        text = (run / "model" / file).read_text()
        assert str(world.folder) not in text and str(tmp_path) not in text, "paths must not leak"
    data = load_checked((run / "data.json").read_text())
    assert len(data["train"]) == 5
    assert data["stores"][0]["coverage"]["splits"]["train"]["stored"] == 5
    assert data["base"] == info["base_hash"]
    [session] = sessions(run)
    assert session["packages"]["torch"]
    assert (session["device"], session["processes"], session["step"]) == ("cpu", 1, 0)


def sessions(run: Path) -> list[dict]:
    return load_checked((run / "environment.json").read_text())["sessions"]


def stop_at(step: int):
    def on_step(report: StepReport) -> None:
        if report.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return on_step


def test_interrupted_and_resumed_equals_undisturbed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = world.config("train.epochs=3", "train.checkpoint_every=4")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    adapt(config, data=[world.store], out=whole, cpu=True)
    # The signal arrives after step 2 was reported, so step 3 is done before the loop stops.
    first = adapt(config, data=[world.store], out=broken, cpu=True, on_step=stop_at(2))
    assert first.outcome.interrupted_by == signal.SIGINT
    assert first.outcome.step == 3
    assert first.model is None
    # However many videos there are, resuming does not read all their annotations.
    monkeypatch.delattr(StoredVideos, "in_memory")
    second = adapt(config, data=[world.store], out=broken, cpu=True, resume=True)
    assert second.outcome.step == 6
    expected = load_file(whole / "model" / "model.safetensors")
    found = load_file(broken / "model" / "model.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert metrics_without_times(broken) == metrics_without_times(whole)
    assert [one["step"] for one in sessions(broken)] == [0, 3]
    assert sessions(broken)[0]["started"] <= sessions(broken)[1]["started"]


def test_the_environment_of_an_earlier_version_begins_the_history(world: World, tmp_path: Path):
    out = tmp_path / "run"
    config = world.config("train.epochs=1")
    adapt(config, data=[world.store], out=out, cpu=True)
    before = {"command": ["figclip"], "packages": {"torch": "1.0"}}
    (out / "environment.json").write_text(json.dumps({"format": 1, **before}))
    adapt(config, data=[world.store], out=out, cpu=True, resume=True)
    first, second = sessions(out)
    assert first == before
    assert second["step"] == 2 and second["packages"]["torch"] == version("torch")
    for damage in ("{", '{"format": 2, "sessions": []}', '{"format": 2, "sessions": 3}'):
        (out / "environment.json").write_text(damage)
        with pytest.raises(CheckpointError, match=r"environment\.json: is damaged.*Delete it"):
            adapt(config, data=[world.store], out=out, cpu=True, resume=True)
    (out / "environment.json").write_text('{"format": 3}')
    with pytest.raises(CheckpointError, match="has format 3, this version reads up to 2"):
        adapt(config, data=[world.store], out=out, cpu=True, resume=True)
    (out / "environment.json").unlink()
    adapt(config, data=[world.store], out=out, cpu=True, resume=True)
    assert len(sessions(out)) == 1


def test_resuming_on_another_base_is_refused(world: World, tmp_path: Path):
    base, out = tmp_path / "base", tmp_path / "run"
    shutil.copytree(world.base, base)
    config = world.config("train.epochs=3", f"model.base={base}")
    adapt(config, data=[world.store], out=out, cpu=True, on_step=stop_at(1))
    shutil.rmtree(base)
    write_small_clip(base, seed=1, image_size=IMAGE_SIZE, patch_size=8, width=64, layers=2)
    with pytest.raises(CheckpointError, match="was started on another base.*Put the base back"):
        adapt(config, data=[world.store], out=out, cpu=True, resume=True)
    assert len(sessions(out)) == 1, "nothing was written"
    shutil.rmtree(base)
    shutil.copytree(world.base, base)
    assert adapt(config, data=[world.store], out=out, cpu=True, resume=True).model is not None


def test_a_run_that_says_neither_its_base_nor_its_texts_is_resumed(world: World, tmp_path: Path):
    out = tmp_path / "run"
    config = world.config("train.epochs=1")
    adapt(config, data=[world.store], out=out, cpu=True)
    data = load_checked((out / "data.json").read_text())
    base = data.pop("base")
    (out / "data.json").write_text(json.dumps(data))
    texts = (out / "texts.safetensors").read_bytes()
    (out / "texts.safetensors").unlink()
    adapt(config, data=[world.store], out=out, cpu=True, resume=True)
    assert load_checked((out / "data.json").read_text())["base"] == base
    assert (out / "texts.safetensors").read_bytes() == texts


def test_runs_are_not_overwritten_nor_resumed_under_other_settings(world: World, tmp_path: Path):
    out = tmp_path / "run"
    adapt(world.config("train.epochs=1"), data=[world.store], out=out, cpu=True)
    with pytest.raises(CheckpointError, match="already holds a run"):
        adapt(world.config("train.epochs=1"), data=[world.store], out=out, cpu=True)
    free = world.config(
        "train.epochs=1",
        "train.micro_batch=3",
        "train.activations_gib=0.5",
        "train.precision=fp32",  # what `auto` is on a CPU
        "data.loader_workers=1",
    )
    assert adapt(free, data=[world.store], out=out, cpu=True, resume=True).kept_step == 2
    with pytest.raises(CheckpointError, match="no run to resume"):
        adapt(free, data=[world.store], out=tmp_path / "typo", cpu=True, resume=True)
    assert not (tmp_path / "typo").exists()
    with pytest.raises(CheckpointError, match=r"train\.precision: '\w+' -> 'bf16'"):
        half = world.config("train.epochs=1", "train.precision=bf16")
        adapt(half, data=[world.store], out=out, cpu=True, resume=True)
    with pytest.raises(CheckpointError, match=r"train\.lr: 0\.005 -> 0\.1"):
        adapt(
            world.config("train.epochs=1", "train.lr=0.1"),
            data=[world.store],
            out=out,
            cpu=True,
            resume=True,
        )


def test_texts_are_embedded_in_the_precision_that_is_set(world: World, tmp_path: Path):
    """Also those of a frozen tower, before the first step."""
    config = world.config("train.epochs=1", "train.precision=bf16")
    parts = assemble(config, [world.store], cache=None, on_texts=None, device=torch.device("cpu"))
    assert parts.backbone.compute_dtype == torch.bfloat16
    exact = load_backbone(str(world.base))
    texts = list(parts.texts.texts[:4])
    with torch.no_grad():
        expected = normalize(exact.encode_tokens(exact.tokenize(texts)), dim=-1)
    found = torch.from_numpy(parts.text_embedder.embed_texts(texts))
    assert 1e-5 < (found - expected).abs().max() < 0.05


def test_less_memory_for_activations_is_planned_for(world: World, tmp_path: Path):
    plans: list[AdaptationPlan] = []
    for gib in ("1e-9", "1"):
        config = world.config(
            "train.epochs=1", "train.micro_batch=1", f"train.activations_gib={gib}"
        )
        out = tmp_path / gib
        adapt(config, data=[world.store], out=out, cpu=True, on_plan=plans.append)
    base = load_backbone(str(world.base))
    base.requires_grad_(False)
    a_frame = base.frame_activation_bytes()
    more = plans[1].memory_bytes - plans[0].memory_bytes
    assert more == (plans[1].batch_frames - 1) * a_frame


def test_resuming_on_changed_data_is_refused(world: World, tmp_path: Path):
    other = make_world(tmp_path / "other", num_videos=4)
    out = tmp_path / "run"
    adapt(world.config("train.epochs=1"), data=[world.store], out=out, cpu=True)
    with pytest.raises(CheckpointError, match="other data"):
        adapt(world.config("train.epochs=1"), data=[other.store], out=out, cpu=True, resume=True)


def test_the_same_store_twice_is_refused(world: World, tmp_path: Path):
    with pytest.raises(StoreError, match="also in") as caught:
        adapt(world.config(), data=[world.store, world.store], out=tmp_path / "run", cpu=True)
    assert world.store.name in str(caught.value)


def test_stores_are_looked_at_before_a_base_is_fetched(world: World, tmp_path: Path):
    config = world.config("model.base=nobody/nothing")
    make = "Make one: figclip prepare my.jsonl --videos clips --out frames.store"
    mistakes = {
        str(tmp_path / "no.store"): "no such frame store",
        "events:my.jsonl,videos=clips": make,
        f"vidsitu:{world.store}": f"takes a frame store alone. Write {world.store}",
    }
    for data, message in mistakes.items():
        with pytest.raises(FigclipError, match=re.escape(message)):
            adapt(config, data=[Path(data)], out=tmp_path / "run", cpu=True)


def test_a_learning_rate_that_explodes_stops_with_the_batch_named(world: World, tmp_path: Path):
    config = world.config(
        "train.lr=10",
        "train.contextualizer_lr=10",
        "train.clip_norm=0",
        "train.epochs=40",
        "model.lora_alpha=1e6",
    )
    with pytest.raises(TrainingError, match="not finite"):
        adapt(config, data=[world.store], out=tmp_path / "run", cpu=True)
    saved = load_checked((tmp_path / "run" / "nonfinite.json").read_text())
    assert saved["items"] and all("#" in item for item in saved["items"])


@pytest.mark.parametrize("adaptation", ["lora_text", "lora_both", "full"])
def test_other_adaptations_run_and_load(world: World, tmp_path: Path, adaptation: str):
    config = world.config(f"model.adaptation={adaptation}", "train.epochs=1", "train.lr=1e-3")
    adapt(config, data=[world.store], out=tmp_path / "run", cpu=True)
    text = ["a man pushes a box"]
    adapted = FiGCLIP.from_pretrained(tmp_path / "run")
    base = FiGCLIP.from_pretrained(world.base)
    assert not torch.allclose(adapted.encode_text(text), base.encode_text(text), atol=1e-6)
    scaled = FiGCLIP.from_pretrained(
        tmp_path / "run", alpha=0.0, base=world.base if adaptation == "full" else None
    )
    assert torch.allclose(scaled.encode_text(text), base.encode_text(text), atol=1e-5)


def test_a_store_of_other_frames_an_event_is_refused_with_the_command(world: World, tmp_path: Path):
    config = world.config("data.frames_per_event=4")
    with pytest.raises(StoreError, match="lacks frames for 4 an event") as caught:
        adapt(config, data=[world.store], out=tmp_path / "run", cpu=True)
    assert "figclip prepare" in str(caught.value)
    assert "--frames 4" in str(caught.value)


def test_texts_that_do_not_fit_are_counted(world: World, tmp_path: Path):
    short = tmp_path / "short"
    shutil.copytree(world.base, short)
    config = load_checked((short / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 20
    (short / "config.json").write_text(json.dumps(config))
    weights = load_file(short / "model.safetensors")
    name = "text_model.embeddings.position_embedding.weight"
    weights[name] = weights[name][:20].contiguous()
    save_file(weights, short / "model.safetensors", metadata={"format": "pt"})
    plans = []
    adapt(
        world.config(f"model.base={short}", "train.epochs=1"),
        data=[world.store],
        out=tmp_path / "run",
        cpu=True,
        on_plan=plans.append,
    )
    [warning] = [w for w in plans[0].warnings if "are cut" in w]
    assert warning.startswith(f"{plans[0].num_texts} of {plans[0].num_texts} texts")
