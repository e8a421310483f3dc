"""From drawn films to scored heads and described videos: resume, files, refusals."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

import figclip.heads.captioning.task as captioning_task
import figclip.heads.frozen_models as frozen_models
from figclip.adaptation.adapt import adapt
from figclip.config import (
    CaptioningConfig,
    EventQueries,
    HeadTrainConfig,
    TransformerConfig,
    VideoFrames,
)
from figclip.config.parsing import apply_overrides
from figclip.datasets.dense_captions import read_predictions
from figclip.errors import CheckpointError, ConfigError, DataError, ModelError
from figclip.evaluation.seen_items import TRAINED
from figclip.evaluation.sources import DataSource
from figclip.heads.captioning.task import (
    describe,
    evaluate_captioning,
    finetune_captioning,
    write_descriptions,
)
from figclip.heads.captioning.videos import open_captions
from figclip.heads.features import FeatureSource
from figclip.heads.frozen_models import load_frozen_models
from figclip.heads.run import FinetuneResult, head_file, read_head_info
from figclip.heads.task import load_heads
from figclip.runtime.checked_json import load_checked
from figclip.scoring.score import score_predictions
from tests.adapted_world import World, make_world
from tests.drawn_films import draw_films

CONFIG = CaptioningConfig(
    recipe="test",
    frames=VideoFrames(per_second=2.0),
    head=TransformerConfig(
        width=16, heads=2, encoder_layers=1, decoder_layers=1, max_words=12, min_word_count=1
    ),
    queries=EventQueries(num=4, decoder_layers=2),
    train=HeadTrainConfig(epochs=2, videos_per_batch=2, lr=1e-3),
)
NAMES = ("base", "adapted")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), num_videos=4)


@pytest.fixture(scope="module")
def films(world: World) -> DataSource:
    return draw_films(world.folder / "films", train=4, valid=2)


@pytest.fixture(scope="module")
def model(world: World) -> Path:
    run = world.folder / "run"
    adapt(world.config("train.epochs=1", "train.lr=1e-2"), data=[world.store], out=run, cpu=True)
    return run


def finetune(world: World, films: DataSource, model: Path, out: Path, **settings) -> FinetuneResult:
    return finetune_captioning(
        settings.pop("config", CONFIG),
        model=model,
        data=films,
        out=out,
        cache=world.folder / "cache",
        cpu=True,
        **settings,
    )


@pytest.fixture(scope="module")
def heads(world: World, films: DataSource, model: Path) -> Path:
    result = finetune(world, films, model, world.folder / "heads")
    assert result.interrupted_by is None
    return result.run


def test_a_head_is_trained_on_the_frames_of_base_and_adapted(heads: Path, films: DataSource):
    info = read_head_info(heads)
    assert info.task == "captioning" and tuple(info.models) == NAMES
    weights = [load_file(head_file(heads, name))["count.weight"] for name in NAMES]
    assert not weights[0].equal(weights[1])
    trained = load_checked((heads / "data.json").read_text())["train"]
    assert trained == list(load_checked((films.path / "train.json").read_text()))


@pytest.mark.parametrize("stop", [("base", 1), ("adapted", 4), ("adapted", 2)])
def test_interrupted_and_resumed_equals_undisturbed(
    world: World,
    films: DataSource,
    model: Path,
    heads: Path,
    tmp_path: Path,
    stop: tuple[str, int],
):
    def interrupt(name: str, report) -> None:
        if (name, report.step) == stop and report.loss is not None:
            signal.raise_signal(signal.SIGINT)

    first = finetune(world, films, model, tmp_path / "heads", on_step=interrupt)
    if stop != ("adapted", 4):  # which is the last step of all
        assert first.interrupted_by == signal.SIGINT
        second = finetune(world, films, model, tmp_path / "heads", resume=True)
        assert second.interrupted_by is None
    for name in NAMES:
        whole, again = (load_file(head_file(run, name)) for run in (heads, tmp_path / "heads"))
        assert whole.keys() == again.keys()
        assert all(whole[key].equal(again[key]) for key in whole)


def test_scores_stand_side_by_side_and_predictions_are_files(
    world: World, films: DataSource, heads: Path, tmp_path: Path
):
    result = evaluate_captioning(heads, data=films, out=tmp_path, cache=world.folder / "cache")
    (task,) = result.tasks
    assert task.task == "dense_captioning" and task.counts["videos"] == 2
    assert task.base is not None and task.base.alpha == 0 and task.adapted.alpha == 1
    for name in ("recall", "precision", "F1", "CIDEr", "meteor_exact", "soda_meteor_exact"):
        assert name in task.metrics, name
    for name in NAMES:
        predicted = read_predictions(tmp_path / "predictions" / name / "activitynet.json")
        assert set(predicted.events_by_video) == set(
            load_checked((films.path / "val_1.json").read_text())
        )


def test_videos_that_are_not_there_are_left_out_and_named(
    world: World, films: DataSource, heads: Path, tmp_path: Path
):
    partly = tmp_path / "films"
    shutil.copytree(films.path, partly)
    first, second = load_checked((partly / "val_1.json").read_text())
    (partly / "videos" / f"{first}.mp4").write_bytes(b"no video")
    source = replace(films, path=partly, videos=partly / "videos")
    cache = world.folder / "cache"
    result = evaluate_captioning(heads, data=source, out=tmp_path / "eval", cache=cache)
    (task,) = result.tasks
    assert task.counts["videos"] == 1
    assert [(one.item, one.reason.split(":")[0]) for one in task.left_out] == [
        (first, "unreadable video")
    ]
    again = score_predictions(
        tmp_path / "eval" / "predictions" / "adapted" / "activitynet.json",
        data=f"activitynet:{partly}",
        out=tmp_path / "scores",
        is_partial=True,
    )
    for name, score in again.scores.scores.items():
        assert task.metrics[name].adapted == score, name
    (partly / "videos" / f"{second}.mp4").unlink()
    with pytest.raises(DataError, match="none of the 2 videos can be used"):
        evaluate_captioning(heads, data=source, out=tmp_path / "eval", cache=cache)


def test_a_run_is_not_overwritten_nor_resumed_as_another(
    world: World, films: DataSource, model: Path, heads: Path
):
    with pytest.raises(CheckpointError, match="already holds a run"):
        finetune(world, films, model, heads)
    other = apply_overrides(CONFIG, ["loss.spans=1"])
    with pytest.raises(CheckpointError, match=r"loss\.spans: 4\.0 -> 1\.0"):
        finetune(world, films, model, heads, config=other, resume=True)


def test_a_run_does_not_go_on_with_another_model(
    world: World, films: DataSource, model: Path, heads: Path, tmp_path: Path
):
    copy = tmp_path / "heads"
    shutil.copytree(heads, copy)
    with pytest.raises(CheckpointError, match="was started for captioning on other models"):
        finetune(world, films, world.base, copy, resume=True)
    assert finetune(world, films, model, copy, resume=True).interrupted_by is None


def renamed(films: DataSource, folder: Path, *, splits: tuple[str, ...]) -> DataSource:
    """A file about copies of some videos under other names."""
    (folder / "videos").mkdir(parents=True)
    entries = {}
    for split in splits:
        for name, entry in load_checked((films.path / f"{split}.json").read_text()).items():
            assert films.videos is not None
            shutil.copy(films.videos / f"{name}.mp4", folder / "videos" / f"copy_{name}.mp4")
            entries[f"copy_{name}"] = entry
    (folder / "copies.json").write_text(json.dumps(entries))
    return DataSource(name="activitynet", path=folder / "copies.json", videos=folder / "videos")


def test_scores_on_training_videos_say_so_under_any_name(
    world: World, films: DataSource, heads: Path, tmp_path: Path
):
    cache = world.folder / "cache"
    copies = renamed(films, tmp_path / "copies", splits=("train", "val_1"))
    for data, num_scored in ((replace(films, split="train"), 4), (copies, 6)):
        result = evaluate_captioning(heads, data=data, out=tmp_path / str(num_scored), cache=cache)
        assert result.tasks[0].counts["videos"] == num_scored
        assert len(result.tasks[0].trained_on) == 4
        said = f"dense_captioning on activitynet: 4 of the {num_scored} items scored show what"
        assert any(notice.startswith(said) for notice in result.notices)
    result = evaluate_captioning(
        heads, data=copies, out=tmp_path / "less", cache=cache, leave_out_trained=True
    )
    (task,) = result.tasks
    assert task.counts["videos"] == 2 and task.trained_on == ()
    assert [one.reason for one in task.left_out] == [TRAINED] * 4
    assert any(notice == f"4 left out: {TRAINED}." for notice in result.notices)
    with pytest.raises(DataError, match=f"nothing of it is left: 4 left out: {TRAINED}"):
        evaluate_captioning(
            heads,
            data=replace(films, split="train"),
            out=tmp_path / "none",
            cache=cache,
            leave_out_trained=True,
        )
    run = tmp_path / "earlier"
    shutil.copytree(heads, run)
    content = load_checked((run / "data.json").read_text())
    del content["media"]
    (run / "data.json").write_text(json.dumps(content))
    result = evaluate_captioning(run, data=copies, out=tmp_path / "earlier out", cache=cache)
    assert not result.tasks[0].knows_training
    said = "It is not known which images and videos the heads of earlier learnt from"
    assert any(notice.startswith(said) for notice in result.notices)


def test_videos_that_are_held_back_choose_the_checkpoint(
    world: World, films: DataSource, tmp_path: Path
):
    """80 annotations of 4 files: as many videos as it takes to hold half of them back."""
    content = load_checked((films.path / "train.json").read_text())
    many, videos = {}, tmp_path / "videos"
    videos.mkdir()
    assert films.videos is not None
    for copy_idx in range(20):
        for name, entry in content.items():
            many[f"{name}{copy_idx}"] = entry
            shutil.copy(films.videos / f"{name}.mp4", videos / f"{name}{copy_idx}.mp4")
    (tmp_path / "many.json").write_text(json.dumps(many))
    source = DataSource(name="activitynet", path=tmp_path / "many.json", videos=videos)
    config = apply_overrides(CONFIG, ["train.val_fraction=0.5", "train.videos_per_batch=40"])
    run = finetune(world, source, world.base, tmp_path / "heads", config=config).run
    data = load_checked((run / "data.json").read_text())
    assert len(data["val"]) == 40 and len(data["train"]) == 40
    assert not set(data["val"]) & set(data["train"]) and {*data["val"], *data["train"]} == set(many)
    assert [len(data["media"][name]) for name in ("train", "val")] == [40, 40]
    lines = (run / "adapted" / "metrics.jsonl").read_text().splitlines()
    judged = [json.loads(line) for line in lines if "val/score" in line]
    assert [one["step"] for one in judged] == [0, 1, 2], "before the first step and every epoch"
    assert all(0 <= one["val/spans"] <= 1 and 0 <= one["val/words"] <= 1 for one in judged)


def test_data_that_cannot_be_learnt_from(
    world: World, films: DataSource, model: Path, tmp_path: Path
):
    with pytest.raises(ConfigError, match="msrvtt has no dense captions"):
        finetune(world, replace(films, name="msrvtt"), model, tmp_path / "heads")
    with pytest.raises(ConfigError, match="trained on split 'train' only"):
        finetune(world, replace(films, split="val_1"), model, tmp_path / "heads")
    with pytest.raises(DataError, match="videos="):
        finetune(world, replace(films, videos=None), model, tmp_path / "heads")


def test_a_file_of_ones_own_is_trained_on_whole_and_odd_events_are_counted(
    world: World, films: DataSource, tmp_path: Path
):
    content = load_checked((films.path / "train.json").read_text())
    first = next(iter(content.values()))
    first["timestamps"][0] = [2.0, 1.0]
    first["sentences"][0] = " ".join(["very"] * 30)
    own = tmp_path / "mine.json"
    own.write_text(json.dumps(content))
    result = finetune(world, replace(films, path=own), world.base, tmp_path / "heads")
    said = " ".join(result.notices)
    assert "1 event cannot be learnt: the span is empty, reversed, or outside" in said
    assert "sentences of 11 longer than 11 words, cut there (head.max_words)." in said
    assert set(result.kept_steps) == {"adapted"}


def test_heads_on_what_is_pooled_before_the_projection(
    world: World, films: DataSource, tmp_path: Path
):
    config = apply_overrides(CONFIG, ["frames.layer=pooled", "train.epochs=1"])
    run = finetune(world, films, world.base, tmp_path / "heads", config=config).run
    options = {"cache": world.folder / "cache", "device": "cpu", "on_progress": None}
    loaded = load_heads(captioning_task.TASK, run, **options)
    rows = [film_rows(loaded.sources[0], films, world.folder / "cache")]
    for layer in ("pooled", "embedding"):
        (model,), _ = load_frozen_models(world.base, base=None, layer=layer, **options)
        rows.append(film_rows(model, films, world.folder / "cache"))
    assert np.array_equal(rows[0], rows[1]) and not np.array_equal(rows[0], rows[2])


def film_rows(model: FeatureSource, films: DataSource, cache: Path) -> np.ndarray:
    """Features of the training films, one after the other."""
    data = replace(films, split="train")
    opened = open_captions(data, source=model, per_second=2.0, cache=cache, on_progress=None)
    rows = model.clip_features(opened.clips, [video.clip_idx for video in opened.videos])
    return np.concatenate([one.numpy() for one in rows])


def write_video_features(world: World, films: DataSource, folder: Path) -> Path:
    """What the ordinary way computes for the films of both splits, as others would publish it."""
    cache = world.folder / "cache"
    (model,), _ = load_frozen_models(
        world.base, base=None, cache=cache, device="cpu", on_progress=None
    )
    folder.mkdir()
    for split in ("train", "val_1"):
        opened = open_captions(
            replace(films, split=split), source=model, per_second=2.0, cache=cache, on_progress=None
        )
        rows = model.clip_features(opened.clips, [video.clip_idx for video in opened.videos])
        for video, rows_SD in zip(opened.videos, rows, strict=True):
            np.save(folder / f"{video.id.removeprefix('v_')}_bn.npy", rows_SD.numpy())
    return folder


@pytest.mark.slow
def test_features_of_a_file_give_the_same_numbers_as_videos(
    world: World, films: DataSource, tmp_path: Path
):
    """Losses, weights, scores and predictions, without a model or a video: to the bit."""
    folder = write_video_features(world, films, tmp_path / "theirs")
    annotations = replace(films, videos=None)
    of_videos = finetune(world, films, world.base, tmp_path / "videos").run
    result = finetune_captioning(
        CONFIG, features=folder, data=annotations, out=tmp_path / "file", cpu=True
    )
    of_file = result.run
    assert result.notices[0].startswith("2 arrays of 6 in theirs not read: no video of these")
    logs = [of_videos / "adapted" / "metrics.jsonl", of_file / "features" / "metrics.jsonl"]
    losses = [
        [{k: v for k, v in one.items() if k not in ("time", "check")} for one in lines]
        for lines in (map(json.loads, log.read_text().splitlines()) for log in logs)
    ]
    assert losses[0] == losses[1] and len(losses[0]) == 4
    weights = [head_file(of_videos, "adapted"), head_file(of_file, "features")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    cache = world.folder / "cache"
    (first,), (second,) = (
        one.tasks
        for one in (
            evaluate_captioning(of_videos, data=films, out=tmp_path / "eval videos", cache=cache),
            evaluate_captioning(of_file, data=annotations, out=tmp_path / "eval file"),
        )
    )
    assert first.metrics == second.metrics and first.left_out == second.left_out == ()
    predicted = [
        read_predictions(tmp_path / of / "predictions" / name / "activitynet.json").events_by_video
        for of, name in (("eval videos", "adapted"), ("eval file", "features"))
    ]
    assert predicted[0] == predicted[1] and len(predicted[0]) == 2
    assert films.videos is not None
    with pytest.raises(
        ModelError, match="trained on the features of .*theirs, and videos have none"
    ):
        describe(of_file, list(films.videos.glob("*.mp4")), cache=cache)


def test_descriptions_of_ones_own_videos(
    world: World, films: DataSource, heads: Path, tmp_path: Path
):
    assert films.videos is not None
    video = sorted(films.videos.glob("*.mp4"))[0]
    (tmp_path / "text.mp4").write_text("no video")
    asked = [video, tmp_path / "text.mp4", video, tmp_path / "absent.mp4"]
    found = describe(heads, asked, cache=tmp_path / "cache")
    assert [one.video for one in found] == [video, tmp_path / "text.mp4", tmp_path / "absent.mp4"]
    assert found[0].problem is None and found[0].events and found[0].duration_s > 1
    assert all(0 <= e.start_s < e.end_s <= found[0].duration_s + 1e-3 for e in found[0].events)
    assert all(one.problem and not one.events for one in found[1:])
    write_descriptions(tmp_path / "d.json", found)
    written = load_checked((tmp_path / "d.json").read_text())
    assert [one["video"] for one in written["videos"]] == [str(one.video) for one in found]
    assert written["videos"][0]["events"][0]["sentence"] == found[0].events[0].sentence


def test_an_unfinished_run_is_told_before_anything_is_decoded(
    films: DataSource, heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = tmp_path / "heads"
    shutil.copytree(heads, run)
    head_file(run, "adapted").unlink()
    monkeypatch.setattr(frozen_models, "prepare_clips", None)
    monkeypatch.setattr(captioning_task, "prepare_files", None)
    with pytest.raises(ModelError, match=r"adapted/head\.safetensors: is not there"):
        evaluate_captioning(run, data=films, out=tmp_path / "eval", cache=tmp_path / "cache")
    with pytest.raises(ModelError, match=r"adapted/head\.safetensors: is not there"):
        describe(run, [Path("x.mp4")], cache=tmp_path / "cache")


def test_heads_of_another_task_are_refused(world: World, heads: Path, tmp_path: Path):
    copy = tmp_path / "heads"
    shutil.copytree(heads, copy)
    content = load_checked((copy / "head.json").read_text())
    (copy / "head.json").write_text(json.dumps({**content, "task": "situations"}))
    with pytest.raises(ModelError, match="holds heads for situations, not for captioning"):
        describe(copy, [Path("x.mp4")], cache=world.folder / "cache")


def test_a_damaged_vocabulary_is_named(world: World, heads: Path, tmp_path: Path):
    copy = tmp_path / "heads"
    shutil.copytree(heads, copy)
    content = load_checked((copy / "head.json").read_text())
    (copy / "head.json").write_text(json.dumps({**content, "vocabulary": {"words": [1]}}))
    with pytest.raises(ModelError, match="vocabulary is damaged"):
        describe(copy, [Path("x.mp4")], cache=world.folder / "cache")
    (copy / "head.json").write_text(json.dumps({**content, "task": "poetry"}))
    with pytest.raises(ModelError, match="no task is called 'poetry'"):
        read_head_info(copy)
