"""From a drawn world to scored heads: resume, files, refusals."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import figclip.heads.frozen_models as frozen_models
import figclip.heads.situations.task as situation_task
import figclip.heads.sources as sources
import figclip.heads.task as head_task
from figclip.adaptation.adapt import adapt
from figclip.config import HeadTrainConfig, SituationConfig, TransformerConfig
from figclip.config.parsing import apply_overrides
from figclip.datasets.records import LeftOut
from figclip.errors import CheckpointError, ConfigError, DataError, ModelError
from figclip.evaluation.results import TaskResult
from figclip.evaluation.seen_items import VALIDATED
from figclip.evaluation.sources import DataSource
from figclip.heads.features import FeatureSource
from figclip.heads.frozen_models import load_frozen_models
from figclip.heads.run import FinetuneResult, head_file, read_head_info
from figclip.heads.seeds import evaluate_seeds, finetune_seeds
from figclip.heads.situations.task import evaluate_situations, finetune_situations
from figclip.heads.task import load_heads
from figclip.model.embedding_settings import EmbeddingSettings
from figclip.model.folder import SeenMedia, medium_hash, read_info, write_info
from figclip.preparation.prepare import prepare
from figclip.reporting.head_data import read_head_data
from figclip.reporting.situation_examples import pick_situations
from figclip.reporting.training_captions import open_annotated_videos, open_store
from figclip.runtime.checked_json import load_checked
from figclip.scoring.score import score_predictions
from figclip.video.store import FrameStore, StoreSpec
from figclip.video.stored import StoredVideos
from tests.adapted_world import IMAGE_SIZE, World, make_world
from tests.dense_sets import write_store
from tests.model_folders import forget_hashes
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
    assert len(load_checked((heads / "data.json").read_text())["train"]) == 6


@pytest.mark.slow
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


@pytest.mark.slow
def test_several_seeds_are_scored_together(world: World, model: Path, tmp_path: Path):
    options = {"model": model, "data": source(world), "cpu": True}
    result = finetune_seeds(
        finetune_situations, CONFIG, num_seeds=2, out=tmp_path / "heads", **options
    )
    assert set(result.kept_steps) == {f"seed-{seed}/{name}" for seed in (0, 1) for name in NAMES}
    again = finetune_seeds(
        finetune_situations, CONFIG, num_seeds=2, out=tmp_path / "heads", resume=True, **options
    )
    assert again.kept_steps == result.kept_steps
    found = evaluate_seeds(
        evaluate_situations, result.run, data=source(world), out=tmp_path / "eval"
    )
    alone = [official_scores(tmp_path / "eval" / f"seed-{seed}") for seed in (0, 1)]
    (task, _) = found.tasks
    assert task.settings["seeds"] == "0, 1" and found.files[0].parent == tmp_path / "eval"
    for name, one in task.metrics.items():
        of_seeds = [scores[name] for scores in alone]
        assert one.adapted.official == pytest.approx(sum(of_seeds) / 2, rel=1e-12)
    assert task.metrics["verbs Acc@1"].interval is not None


def official_scores(folder: Path) -> dict[str, float]:
    """Official scores of the heads on adapted frames."""
    content = load_checked((folder / "situations-vidsitu.json").read_text())
    return {name: one["adapted"]["official"] for name, one in content["metrics"].items()}


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
        forget_hashes(folder)
    monkeypatch.setattr(frozen_models, "open_annotated", None)  # nothing is decoded before
    with pytest.raises(CheckpointError, match="was started for situations on other models"):
        finetune(world, folder, run, resume=True)
    if change == "contextualizer":
        with pytest.raises(ModelError, match=r"whose features \(contextualizer\)"):
            evaluate_situations(run, data=source(world), out=tmp_path / "eval")


def test_features_in_another_precision_are_refused_in_training_and_told_in_a_test(
    world: World, model: Path, heads: Path, tmp_path: Path
):
    heads = shutil.copytree(heads, tmp_path / "heads")
    half = EmbeddingSettings(precision="bf16", batch_size=3)
    with pytest.raises(CheckpointError, match="in fp32, and these are in bf16.*--precision"):
        finetune(world, model, heads, resume=True, embedding=half)
    scored = evaluate_situations(heads, data=source(world), out=tmp_path / "eval", embedding=half)
    said = "heads was trained on features in fp32, and these are in bf16."
    assert scored.notices.count(said) == 1
    assert {one.adapted.precision for one in scored.tasks} == {"bf16"}
    same = EmbeddingSettings(precision="fp32", batch_size=3)
    assert finetune(world, model, heads, resume=True, embedding=same).interrupted_by is None


def test_a_run_of_an_earlier_version_knows_no_contextualizer(
    world: World, model: Path, heads: Path, tmp_path: Path
):
    run = tmp_path / "heads"
    shutil.copytree(heads, run)
    content = load_checked((run / "head.json").read_text())
    assert content.pop("contextualizer")
    assert {one.pop("precision") for one in content["models"].values()} == {"fp32"}
    (run / "head.json").write_text(json.dumps(content))
    assert finetune(world, model, run, resume=True).interrupted_by is None
    assert load_checked((run / "head.json").read_text())["contextualizer"]


def test_sessions_of_heads_are_remembered(world: World, model: Path, heads: Path, tmp_path: Path):
    run = tmp_path / "heads"
    shutil.copytree(heads, run)
    finetune(world, model, run, resume=True)
    sessions = load_checked((run / "environment.json").read_text())["sessions"]
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


@pytest.mark.slow
def test_what_heads_and_their_model_have_seen_is_left_out_or_told(
    world: World, model: Path, heads: Path, tmp_path: Path
):
    """Of three videos one chose the heads, one trained them, and one trained their model."""
    valid = evaluate_situations(heads, data=source(world), out=tmp_path / "valid")
    assert all(task.trained_on == () and task.knows_training for task in valid.tasks)
    stored = [one for one in FrameStore.open(world.store).records() if one.record.split == "valid"]
    ids = [one.record.id for one in stored]
    media = [medium_hash(one.video_hash) for one in stored]
    folder, run = tmp_path / "model", tmp_path / "heads"
    shutil.copytree(model / "model", folder)
    shutil.copytree(heads, run)
    info = read_info(folder)
    assert info is not None and len(info.seen.trained_on) == 6 and info.seen.is_whole
    seen = info.seen | SeenMedia(trained_on=frozenset([media[2]]))
    write_info(folder, dataclasses.replace(info, seen=seen))
    head = load_checked((run / "head.json").read_text())
    (run / "head.json").write_text(json.dumps({**head, "model": str(folder)}))
    data = load_checked((run / "data.json").read_text())
    assert len(data["media"]["train"]) == 6 and data["media"]["val"] == []
    data["media"] = {"train": [media[0]], "val": [media[1]]}
    (run / "data.json").write_text(json.dumps(data))
    told = evaluate_situations(run, data=source(world), out=tmp_path / "told")
    for task in told.tasks:
        assert task.counts["videos"] == 2 and set(task.trained_on) == {ids[0], ids[2]}
        said = f"{task.task} on vidsitu: 2 of the 2 items scored show what the model was trained on"
        assert any(notice.startswith(said) for notice in task.notices)
        assert [one for one in task.left_out if one.item in ids] == [
            LeftOut(item=ids[1], reason=VALIDATED)
        ]
    with pytest.raises(DataError, match="nothing of it is left: 2 left out"):
        evaluate_situations(run, data=source(world), out=tmp_path / "no", leave_out_trained=True)
    data["media"] = {"train": [], "val": []}
    (run / "data.json").write_text(json.dumps(data))
    less = evaluate_situations(
        run, data=source(world), out=tmp_path / "less", leave_out_trained=True
    )
    assert less.tasks[0].counts["videos"] == 2 and less.tasks[0].trained_on == ()


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
    content = load_checked((heads / "head.json").read_text())
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


def test_what_cannot_be_learnt_or_scored_is_told_before_anything_is_decoded(
    world: World, model: Path, heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    valid = [one for one in FrameStore.open(world.store).records() if one.record.split == "valid"]
    only_valid = write_store(tmp_path / "valid.store", [one.record for one in valid])
    source_of = DataSource(name="vidsitu", path=only_valid)
    (tmp_path / "file").write_text("")
    with monkeypatch.context() as patch:
        patch.setattr(sources, "load_frozen_models", None)
        with pytest.raises(DataError, match="no videos of split 'train'"):
            finetune(world, model, tmp_path / "new", data=source_of)
        with pytest.raises(ConfigError, match="cannot be written into"):
            finetune(world, model, tmp_path / "file" / "new")
    run = tmp_path / "heads"
    shutil.copytree(heads, run)
    head_file(run, "adapted").unlink()
    monkeypatch.setattr(frozen_models, "open_annotated", None)
    with pytest.raises(ModelError, match=r"adapted/head\.safetensors: is not there"):
        evaluate_situations(run, data=source(world), out=tmp_path / "eval")
    with pytest.raises(ConfigError, match="cannot be written into"):
        evaluate_situations(heads, data=source(world), out=tmp_path / "file" / "eval")
    assert not (tmp_path / "eval").exists()


def test_a_plain_clip_gives_one_head(world: World, tmp_path: Path):
    result = finetune(world, world.base, tmp_path / "heads")
    assert set(result.kept_steps) == {"adapted"}
    scores = evaluate_situations(result.run, data=source(world), out=tmp_path / "eval")
    assert scores.tasks[0].base is None
    assert any("nothing to compare" in notice for notice in scores.notices)


def test_heads_on_what_is_pooled_before_the_projection(world: World, model: Path, tmp_path: Path):
    config = apply_overrides(CONFIG, ["frames.layer=pooled", "train.epochs=1"])
    cache = tmp_path / "cache"
    result = finetune(world, model, tmp_path / "heads", config=config, cache=cache)
    assert set(result.kept_steps) == {"base", "adapted"}
    assert any("No head is trained on a contextualizer" in notice for notice in result.notices)
    loaded = load_heads(
        situation_task.TASK, result.run, cache=cache, device="cpu", on_progress=None
    )
    options = {"base": None, "cache": cache, "device": "cpu", "on_progress": None}
    embedding, _ = load_frozen_models(model, **options)
    pooled, _ = load_frozen_models(model, layer="pooled", **options)
    assert [one.name for one in pooled] == ["base", "adapted"]
    for name, given in {"pooled": pooled, "embedding": embedding}.items():
        for ours, other in zip(loaded.sources, given, strict=False):
            first, second = (event_rows(one, world) for one in (ours, other))
            assert np.array_equal(first, second) == (name == "pooled")
    found = evaluate_situations(result.run, data=source(world), out=tmp_path / "eval", cache=cache)
    assert [one.task for one in found.tasks] == ["situations"]


def event_rows(model: FeatureSource, world: World) -> np.ndarray:
    """Features of the validation videos, one after the other."""
    opened = model.open_events(source(world), frames_per_event=2, cache=None, on_progress=None)
    assert isinstance(opened.content, StoredVideos)
    rows = model.event_features(opened.content, frames_per_event=2).rows
    return np.concatenate([one.numpy() for one in rows.values()])


# --- Features of a file


def write_event_features(world: World, file: Path) -> Path:
    """What the ordinary way computes for the videos of both splits, as others would publish it."""
    (model,), _ = load_frozen_models(
        world.base, base=None, cache=None, device="cpu", on_progress=None
    )
    arrays = {}
    for split in ("train", "valid"):
        data = dataclasses.replace(source(world), split=split)
        opened = model.open_events(data, frames_per_event=2, cache=None, on_progress=None)
        videos = opened.content
        assert isinstance(videos, StoredVideos)
        features = model.event_features(videos, frames_per_event=2)
        for item, rows_PTD in features.rows.items():
            arrays[f"{videos.records[item.video_idx].id}_feats"] = rows_PTD.numpy()
    np.savez(file, **arrays)
    return file


def losses(log: Path) -> list[dict]:
    lines = map(json.loads, log.read_text().splitlines())
    return [{k: v for k, v in one.items() if k not in ("time", "check")} for one in lines]


@pytest.mark.slow
def test_features_of_a_file_give_the_same_numbers_as_videos(world: World, tmp_path: Path):
    """Losses, weights, scores and predictions, without a model or a video: to the bit."""
    file = write_event_features(world, tmp_path / "theirs.npz")
    annotations = DataSource(name="vidsitu", path=world.annotations)
    of_videos = finetune(world, world.base, tmp_path / "videos").run
    of_file = finetune_situations(
        CONFIG, features=file, data=annotations, out=tmp_path / "file", cpu=True
    ).run
    info = read_head_info(of_file)
    assert (info.model, info.base, info.feature_dim) == (str(file), None, 64)
    assert {name: one.name for name, one in info.models.items()} == {"features": "theirs.npz"}
    logs = [of_videos / "adapted" / "metrics.jsonl", of_file / "features" / "metrics.jsonl"]
    assert losses(logs[0]) == losses(logs[1]) and len(losses(logs[0])) == 4
    weights = [head_file(of_videos, "adapted"), head_file(of_file, "features")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    official = dataclasses.replace(annotations, videos=world.videos, store=world.store)
    results = [
        evaluate_situations(of_videos, data=official, out=tmp_path / "eval videos"),
        evaluate_situations(of_file, data=annotations, out=tmp_path / "eval file"),
    ]
    (first,), (second,) = (one.tasks for one in results)
    assert first.metrics == second.metrics and first.left_out == second.left_out == ()
    assert first.counts == second.counts and first.settings["head"] == second.settings["head"]
    folders = [
        tmp_path / "eval videos" / "predictions" / "adapted",
        tmp_path / "eval file" / "predictions" / "features",
    ]
    for name in ("verbs.json", "roles.json", "roles_of_predicted_verbs.json", "relations.json"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


# --- One truth


def test_roles_are_those_of_the_verb_but_of_heads_of_earlier_versions(heads: Path, tmp_path: Path):
    copied = tmp_path / "heads"
    shutil.copytree(heads, copied)
    content = load_checked((copied / "head.json").read_text())

    def load(**lists: object) -> situation_task.SituationVocabulary:
        vocabulary = {**content["vocabulary"], **lists}
        vocabulary = {name: one for name, one in vocabulary.items() if one is not None}
        (copied / "head.json").write_text(json.dumps({**content, "vocabulary": vocabulary}))
        options = {"cache": None, "device": "cpu", "on_progress": None}
        return head_task.load_heads(situation_task.TASK, copied, **options).vocabulary

    now = load()
    assert set(now.frame_of) == set(now.verbs)
    assert all(set(frame) <= set(now.roles.marks) for frame in now.frames) and any(now.frames)
    assert load(frames=None).frame_of == {}
    frames = content["vocabulary"]["frames"]
    for damaged in (frames[1:], ['["Arg7"]', *frames[1:]], ["[", *frames[1:]], [1]):
        with pytest.raises(ModelError, match="vocabulary is damaged"):
            load(frames=damaged)


def with_verbs(world: World, folder: Path, predicted: Path) -> Path:
    """The world's annotations, its tenth annotators each saying what a head predicted."""
    shutil.copytree(world.annotations, folder)
    file = folder / "vinfo_files" / "vinfo_valid_lb.json"
    rows = load_checked(file.read_text())
    for prediction in load_checked(predicted.read_text()):
        verbs = rows[prediction["ann_idx"]]["vbid_lst"]
        for listed, said in zip(verbs.values(), prediction["pred_vbs_ev"], strict=True):
            listed[9] = said[0]
    file.write_text(json.dumps(rows))
    return folder


@pytest.mark.slow
def test_the_tenth_annotator_counts_in_a_store_too(world: World, heads: Path, tmp_path: Path):
    first = evaluate_situations(heads, data=source(world), out=tmp_path / "first")
    before = first.tasks[0].metrics["verbs Acc@1"].adapted
    assert before.official < 1
    predicted = tmp_path / "first" / "predictions" / "adapted" / "verbs.json"
    annotations = with_verbs(world, tmp_path / "annotations", predicted)
    store = tmp_path / "again.store"
    shutil.copy(world.store, store)
    prepare_again(world, annotations, store)
    results = [
        evaluate_situations(heads, data=data, out=tmp_path / name)
        for name, data in (
            ("store", DataSource(name="vidsitu", path=store)),
            (
                "files",
                DataSource(name="vidsitu", path=annotations, videos=world.videos, store=store),
            ),
        )
    ]
    for of_store, of_files in zip(*(one.tasks for one in results), strict=True):
        assert of_store.metrics == of_files.metrics
        assert of_store.settings == of_files.settings
    after = results[0].tasks[0]
    assert after.metrics["verbs Acc@1"].adapted.official == 1
    # Other truth, other settings: neither file is taken for the other.
    assert after.settings["truth"] != first.tasks[0].settings["truth"]


def prepare_again(world: World, annotations: Path, store: Path, videos: Path | None = None) -> None:
    prepare(
        annotations,
        videos=videos or world.videos,
        out=store,
        spec=StoreSpec(size=IMAGE_SIZE),
        frames_per_event=2,
        num_workers=2,
    )


def five_annotators(world: World, folder: Path) -> Path:
    """The world's annotations, of split valid with five annotators; the fourth writes nothing.

    The heads of this file write nothing either: ROUGE-L tells whether that annotator is drawn.
    """
    shutil.copytree(world.annotations, folder)
    file = folder / "vseg_ann_files" / "vsann_valid_lb.json"
    entries = load_checked(file.read_text())
    by_segment = [entries[start : start + 3] for start in range(0, len(entries), 3)]
    for of_segment in by_segment:
        silent = copy.deepcopy(of_segment[0])
        for event in silent.values():
            event["Args"] = dict.fromkeys(event["Args"], "")
        of_segment += [silent, of_segment[0]]
    file.write_text(json.dumps([one for of_segment in by_segment for one in of_segment]))
    return folder


@pytest.mark.slow
def test_a_video_is_scored_by_the_same_annotators_whichever_others_are_there(
    world: World, heads: Path, tmp_path: Path
):
    annotations = five_annotators(world, tmp_path / "annotations")
    split = annotations / "split_files" / "vseg_split_valid_lb.json"
    segments = load_checked(split.read_text())
    found: dict[str, dict[str, float]] = {}
    for name, there in (("whole", segments), ("part", segments[1:])):
        videos = tmp_path / name / "videos"
        videos.mkdir(parents=True)
        for segment in there:
            shutil.copy(world.videos / f"{segment}.mp4", videos)
        store = tmp_path / name / "frames.store"
        prepare_again(world, annotations, store, videos)
        out = tmp_path / name / "eval"
        data = DataSource(name="vidsitu", path=store)
        task = evaluate_situations(heads, data=data, out=out).tasks[0]
        (block,) = (one for one in task.adapted_items if one.block == "roles roles")
        rouge = block.values["roles ROUGE-L"].tolist()
        found[name] = dict(zip(block.item_ids, rouge, strict=True))
        missing = [(one.item, one.reason) for one in task.left_out]
        assert missing == [(one, "the video is missing") for one in segments if one not in there]
        assert load_checked((out / "predictions" / "videos.json").read_text()) == segments
        check_scored_again(task, out / "predictions" / "adapted", data)
    assert {one.partition("/")[0] for one in found["part"]} == set(segments[1:])
    assert found["part"] == {one: found["whole"][one] for one in found["part"]}
    assert {0, 1} <= set(found["part"].values())


def check_scored_again(task: TaskResult, folder: Path, data: DataSource) -> None:
    """`figclip score` of the written predictions gives what the evaluation gave."""
    for part in ("verbs", "roles", "relations"):
        again = score_predictions(
            folder / f"{part}.json",
            data=f"vidsitu:{data.path}",
            out=folder / "scores",
            is_partial=True,
        )
        for name, score in again.scores.scores.items():
            assert task.metrics[f"{part} {name}"].adapted == score, name


def test_a_report_shows_the_verbs_that_count(world: World, heads: Path, tmp_path: Path):
    run = tmp_path / "heads"
    shutil.copytree(heads, run)
    evaluate_situations(run, data=source(world), out=run / "eval")
    rows = load_checked((world.annotations / "vinfo_files" / "vinfo_valid_lb.json").read_text())
    chosen = {row["vid_seg_int"]: row["vbid_lst"] for row in rows}
    assert any(len(set(verbs)) > 1 for one in chosen.values() for verbs in one.values())
    official = DataSource(
        name="vidsitu", path=world.annotations, videos=world.videos, store=world.store
    )
    for annotated in (open_store(world.store), open_annotated_videos(official)):
        shown = pick_situations(read_head_data(run), annotated)
        assert shown.notices == () and len(shown.videos) == 3
        for video in shown.videos:
            for event in video.events:
                (verb,) = (row for row in event.rows if row.name == "verb")
                assert {verb.true, *verb.also} == set(chosen[video.id][event.name])
