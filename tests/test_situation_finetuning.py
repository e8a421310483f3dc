"""From a drawn world to scored heads: resume, files, refusals."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import figclip.opened_sources as opened_sources
from figclip.config import apply_overrides
from figclip.data_sources import DataSource
from figclip.errors import CheckpointError, ConfigError, ModelError
from figclip.finetuning import FinetuneResult
from figclip.head_config import HeadTrainConfig, SituationConfig, TransformerConfig
from figclip.head_files import head_file, read_head_info
from figclip.selection import adapt
from figclip.situation_evaluation import evaluate_situations
from figclip.situation_finetuning import finetune_situations
from tests.adapted_world import IMAGE_SIZE, World, make_world
from tests.small_clip import write_small_clip

CONFIG = SituationConfig(
    recipe="test",
    frames=dataclasses.replace(SituationConfig(recipe="").frames, per_event=2),
    head=TransformerConfig(
        width=16, heads=2, encoder_layers=1, decoder_layers=1, max_words=20, min_word_count=1
    ),
    train=HeadTrainConfig(epochs=2, videos_per_batch=3, lr=1e-3),
)
NAMES = ("base", "adapted", "contextualizer")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), num_videos=9, num_valid=3)


@pytest.fixture(scope="module")
def model(world: World) -> Path:
    run = world.folder / "run"
    adapt(world.config("train.epochs=1", "train.lr=1e-2"), data=[world.store], out=run, cpu=True)
    return run


@pytest.fixture(scope="module")
def heads(world: World, model: Path) -> Path:
    result = finetune(world, model, world.folder / "heads")
    assert result.interrupted_by is None
    return result.run


def source(world: World) -> DataSource:
    return DataSource(name="vidsitu", path=world.store)


def finetune(world: World, model: Path, out: Path, **settings) -> FinetuneResult:
    return finetune_situations(
        settings.pop("config", CONFIG),
        model=model,
        data=settings.pop("data", source(world)),
        out=out,
        cpu=True,
        **settings,
    )


def weights(run: Path) -> dict[str, dict]:
    return {name: load_file(head_file(run, name)) for name in NAMES}


def test_a_head_is_trained_on_each_kind_of_features(heads: Path, model: Path):
    info = read_head_info(heads)
    assert info.task == "situations" and tuple(info.models) == NAMES
    assert info.model == str(model.resolve())
    assert info.models["base"].alpha == 0 and info.models["contextualizer"].alpha == 1
    found = weights(heads)
    key = "verb_classifier.weight"
    assert not found["base"][key].equal(found["adapted"][key])
    assert len(json.loads((heads / "data.json").read_text())["train"]) == 6


@pytest.mark.parametrize("stop", [("base", 1), ("adapted", 4), ("contextualizer", 2)])
def test_interrupted_and_resumed_equals_undisturbed(
    world: World, model: Path, heads: Path, tmp_path: Path, stop: tuple[str, int]
):
    # Step 4 is the last one of a head.
    def interrupt(name: str, report) -> None:
        if (name, report.step) == stop and report.loss is not None:
            signal.raise_signal(signal.SIGINT)

    first = finetune(world, model, tmp_path / "heads", on_step=interrupt)
    assert first.interrupted_by == signal.SIGINT
    with pytest.raises(ModelError, match=r"head\.safetensors"):
        evaluate_situations(first.run, data=source(world), out=tmp_path / "eval")
    second = finetune(world, model, tmp_path / "heads", resume=True)
    assert second.interrupted_by is None and set(second.kept_steps) == set(NAMES)
    whole, again = weights(heads), weights(tmp_path / "heads")
    for name in NAMES:
        assert whole[name].keys() == again[name].keys()
        assert all(whole[name][key].equal(again[name][key]) for key in whole[name])


def test_a_run_is_not_overwritten_nor_resumed_as_another(world: World, model: Path, heads: Path):
    with pytest.raises(CheckpointError, match="already holds a run"):
        finetune(world, model, heads)
    other = apply_overrides(CONFIG, ["train.lr=1e-2"])
    with pytest.raises(CheckpointError, match=r"train\.lr: 0\.001 -> 0\.01"):
        finetune(world, model, heads, config=other, resume=True)


@pytest.mark.parametrize("change", ["base", "contextualizer"])
def test_a_run_does_not_go_on_with_another_model(
    world: World, model: Path, tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
):
    folder, run = tmp_path / "model", tmp_path / "heads"
    shutil.copytree(model / "model", folder)

    def interrupt(name: str, report) -> None:
        if report.step == 1:
            signal.raise_signal(signal.SIGINT)

    finetune(world, folder, run, on_step=interrupt)
    if change == "base":
        shutil.rmtree(folder)
        write_small_clip(folder, seed=1, image_size=IMAGE_SIZE, patch_size=8, width=64, layers=2)
    else:
        file = folder / "contextualizer.safetensors"
        save_file({name: one + 0.1 for name, one in load_file(file).items()}, file)
    monkeypatch.setattr(opened_sources, "open_stored_videos", None)  # nothing is opened before
    with pytest.raises(CheckpointError, match="was started for situations on other models"):
        finetune(world, folder, run, resume=True)
    if change == "contextualizer":
        with pytest.raises(ModelError, match=r"whose features \(contextualizer\)"):
            evaluate_situations(run, data=source(world), out=tmp_path / "eval")


def test_a_run_of_an_earlier_version_knows_no_contextualizer(
    world: World, model: Path, heads: Path, tmp_path: Path
):
    run = tmp_path / "heads"
    shutil.copytree(heads, run)
    content = json.loads((run / "head.json").read_text())
    assert content.pop("contextualizer")
    (run / "head.json").write_text(json.dumps(content))
    assert finetune(world, model, run, resume=True).interrupted_by is None
    assert json.loads((run / "head.json").read_text())["contextualizer"]


def test_sessions_of_heads_are_remembered(world: World, model: Path, heads: Path, tmp_path: Path):
    run = tmp_path / "heads"
    shutil.copytree(heads, run)
    finetune(world, model, run, resume=True)
    sessions = json.loads((run / "environment.json").read_text())["sessions"]
    assert [(one["step"], one["device"]) for one in sessions] == [(0, "cpu"), (3 * 4, "cpu")]


def test_scores_of_base_and_adapted_stand_side_by_side(world: World, heads: Path, tmp_path: Path):
    official = DataSource(
        name="vidsitu", path=world.annotations, videos=world.videos, store=world.store
    )
    result = evaluate_situations(heads, data=official, out=tmp_path)
    assert [one.task for one in result.tasks] == ["situations", "situations_context"]
    first = result.tasks[0]
    assert first.base is not None and first.base.alpha == 0 and first.adapted.alpha == 1
    for name in (
        "verbs Acc@1", "verbs Acc@5", "verbs Rec@5", "roles CIDEr", "roles ROUGE-L", "roles Lea",
        "roles (predicted verb) CIDEr", "relations Top-1", "relations macro Top-1",
    ):  # fmt: skip
        assert name in first.metrics, name
    assert first.metrics["verbs Acc@1"].interval is not None
    assert first.counts["videos"] == 3
    files = {one.name for one in (tmp_path / "predictions" / "base").iterdir()}
    assert files == {
        "verbs.json", "roles.json", "roles_of_predicted_verbs.json", "relations.json"
    }  # fmt: skip
    assert {one.name for one in result.files} == {
        "situations-vidsitu.json", "situations_context-vidsitu.json"
    }  # fmt: skip


def test_intervals_are_of_the_scores_they_stand_beside(world: World, heads: Path, tmp_path: Path):
    result = evaluate_situations(heads, data=source(world), out=tmp_path)
    for task in result.tasks:
        for name, one in task.metrics.items():
            if one.interval is not None:
                assert one.difference is not None
                means = [block_mean(items, name) for items in (task.base_items, task.adapted_items)]
                assert means[1] - means[0] == pytest.approx(one.difference, abs=1e-9), name


def block_mean(items, name: str) -> float:
    block = next(one for one in items if name in one.values)
    weights = block.weights
    values = block.values[name]
    return float(values.mean() if weights is None else (values * weights).sum() / weights.sum())


def test_another_model_is_refused(world: World, heads: Path, tmp_path: Path):
    content = json.loads((heads / "head.json").read_text())
    content["models"]["adapted"]["hash"] = "0"
    copy = tmp_path / "heads"
    copy.mkdir()
    (copy / "head.json").write_text(json.dumps(content))
    (copy / "config.json").write_text((heads / "config.json").read_text())
    with pytest.raises(ModelError, match="not the model whose features"):
        evaluate_situations(copy, data=source(world), out=tmp_path / "eval")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"format": 99}', "has format 99"),
        ('{"format": 1, "models": {}}', "cannot be read"),
        ('{"format": 1, "models": {"base": 3}}', "cannot be read"),
    ],
)
def test_damaged_head_files_are_named(tmp_path: Path, content: str, match: str):
    (tmp_path / "head.json").write_text(content)
    with pytest.raises(ModelError, match=match):
        read_head_info(tmp_path)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (DataSource(name="msrvtt", path=Path("x")), "no annotated events"),
        (DataSource(name="vidsitu", path=Path("x"), split="valid"), "split 'train' only"),
    ],
)
def test_data_that_cannot_be_learnt_from(world: World, model: Path, tmp_path: Path, data, match):
    if data.split:
        data = dataclasses.replace(data, path=world.store)
    with pytest.raises(ConfigError, match=match):
        finetune(world, model, tmp_path / "heads", data=data)


def test_a_plain_clip_gives_one_head(world: World, tmp_path: Path):
    result = finetune(world, world.base, tmp_path / "heads")
    assert set(result.kept_steps) == {"adapted"}
    scores = evaluate_situations(result.run, data=source(world), out=tmp_path / "eval")
    assert scores.tasks[0].base is None
    assert any("nothing to compare" in notice for notice in scores.notices)
