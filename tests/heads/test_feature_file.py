"""Heads on features that others publish, in both layouts: made-up files, no model, no video."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

import figclip.heads.feature_file as feature_file
from figclip.config import (
    CaptioningConfig,
    EventQueries,
    HeadTrainConfig,
    SituationConfig,
    TransformerConfig,
)
from figclip.datasets.records import LeftOut
from figclip.errors import CheckpointError, ConfigError, DataError, ModelError
from figclip.evaluation.sources import DataSource
from figclip.heads.captioning.task import evaluate_captioning, finetune_captioning
from figclip.heads.feature_file import FeatureFile
from figclip.heads.run import head_file, read_head_info
from figclip.heads.situations.task import evaluate_situations, finetune_situations
from figclip.heads.sources import load_sources
from figclip.model.embedding_settings import EmbeddingSettings
from figclip.reporting.head_data import read_head_data
from figclip.reporting.report import write_report
from figclip.runtime.checked_json import load_checked
from figclip.video.stored import StoredVideos
from tests.annotation_files import own_event, own_video, write_jsonl

DIM = 6
SIZE = TransformerConfig(
    width=8, heads=2, encoder_layers=1, decoder_layers=1, max_words=10, min_word_count=1
)
TRAIN = HeadTrainConfig(epochs=2, videos_per_batch=2, lr=1e-3)
SITUATIONS = SituationConfig(recipe="test", head=SIZE, train=TRAIN)
CAPTIONS = CaptioningConfig(
    recipe="test", head=SIZE, train=TRAIN, queries=EventQueries(num=3, decoder_layers=1)
)


def random_rows(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    np.savez(path, **arrays)
    return path


# --- Events: VidSitu's layout


def annotated(folder: Path) -> DataSource:
    """Four training videos of two events, and two others."""
    splits = {"t1": "train", "t2": "train", "t3": "train", "t4": "train", "e1": "valid"}
    videos = [
        own_video(id=name, video=f"{name}.mp4", split=split, group=name)
        for name, split in {**splits, "e2": "valid"}.items()
    ]
    return DataSource(name="events", path=write_jsonl(folder / "mine.jsonl", videos))


def event_arrays(*, rows: int = 1, dim: int = DIM) -> dict[str, np.ndarray]:
    names = ("t1", "t2", "t3", "t4", "e1", "e2")
    return {name: random_rows(2, rows, dim, seed=i) for i, name in enumerate(names)}


def train(folder: Path, features: Path, **settings):
    return finetune_situations(
        settings.pop("config", SITUATIONS),
        features=features,
        data=settings.pop("data", None) or annotated(folder),
        out=folder / "run",
        cpu=True,
        **settings,
    )


def test_heads_are_trained_and_scored_on_features_of_events(tmp_path: Path):
    flat = {f"{name}_feats": one[:, 0] for name, one in event_arrays().items()}
    features = write(tmp_path / "theirs.npz", {**flat, "another": random_rows(2, DIM)})
    result = train(tmp_path, features)
    assert result.kept_steps == {"features": 4}
    said = (
        "1 array of 7 in theirs.npz not read: no video of these annotations is called so, for "
        "example 'another'."
    )
    assert said in result.notices
    scored = evaluate_situations(result.run, data=annotated(tmp_path), out=result.run / "eval")
    (task,) = scored.tasks
    assert task.task == "situations" and task.base is None and task.counts["videos"] == 2
    assert task.adapted.name == "theirs.npz" and task.settings["features"] == "file"
    assert task.trained_on == () and task.left_out == ()
    folder = result.run / "eval" / "predictions" / "features"
    assert len(load_checked((folder / "verbs.json").read_text())) == 2
    assert read_head_data(result.run).columns == ("features",)
    page = write_report(result.run, out=tmp_path / "page.html", data=())
    assert "theirs.npz" in page.read_text()


@pytest.mark.parametrize("options", [{"precision": "bf16"}, {"batch_size": 8}])
def test_features_take_no_precision_and_no_size_of_batches(tmp_path: Path, options):
    embedding = EmbeddingSettings(**options)
    with pytest.raises(ConfigError, match="--precision and --batch-size: are of a model"):
        load_sources(
            None,
            features=tmp_path / "theirs.npz",
            cache=None,
            device="cpu",
            embedding=embedding,
            on_progress=None,
        )


def test_an_event_may_have_several_rows_and_layouts_of_one_are_equal(tmp_path: Path):
    arrays = event_arrays(rows=3)
    found = features_of(tmp_path, arrays)
    for name, rows_PTD in found.items():
        unit = arrays[name] / np.linalg.norm(arrays[name], axis=-1, keepdims=True)
        assert np.allclose(rows_PTD.numpy(), unit, atol=1e-6)
    one = {name: array[:, :1] for name, array in arrays.items()}
    with_axis, without = (
        features_of(tmp_path, layout)
        for layout in (one, {name: array[:, 0] for name, array in one.items()})
    )
    assert all(with_axis[name].equal(without[name]) for name in found)


def features_of(folder: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Features of the training videos by their ids."""
    source = FeatureFile.open(write(folder / "some.npz", arrays))
    data = dataclasses.replace(annotated(folder), split="train")
    opened = source.open_events(data, frames_per_event=4, cache=None, on_progress=None)
    assert isinstance(opened.content, StoredVideos)
    features = source.event_features(opened.content, frames_per_event=4)
    records = opened.content.records
    return {records[item.video_idx].id: rows for item, rows in features.rows.items()}


def test_rows_of_length_1_stay_as_they_are_and_zeros_stay_zeros(tmp_path: Path):
    arrays = event_arrays()
    once = {name: one.numpy() for name, one in features_of(tmp_path, arrays).items()}
    again = features_of(tmp_path, once)
    assert all(np.array_equal(again[name].numpy(), one) for name, one in once.items())
    half = features_of(
        tmp_path, {name: 1e30 * one.astype(np.float64) for name, one in once.items()}
    )
    assert all(np.allclose(half[name].numpy(), one, atol=1e-6) for name, one in once.items())
    nothing = features_of(tmp_path, {name: 0 * one for name, one in once.items()})
    assert not any(one.any() for one in nothing.values())


def test_videos_that_a_file_lacks_are_left_out_and_named(tmp_path: Path):
    arrays = event_arrays()
    del arrays["t3"], arrays["e2"]
    result = train(tmp_path, write(tmp_path / "theirs.npz", arrays))
    said = "1 video cannot be trained on, for example t3: the array of its features is missing."
    assert said in result.notices
    assert load_checked((result.run / "data.json").read_text())["train"] == ["t1", "t2", "t4"]
    (task,) = evaluate_situations(result.run, data=annotated(tmp_path), out=tmp_path / "eval").tasks
    assert task.left_out == (LeftOut(item="e2", reason="the array of its features is missing"),)
    assert task.counts["videos"] == 1
    assert task.data.coverage == {
        "listed": 2, "annotated": 2, "found": 1, "stored": 1, "quarantined": 0
    }  # fmt: skip


def test_a_file_of_its_own_is_scored_and_must_have_the_dimension(tmp_path: Path):
    arrays = event_arrays()
    run = train(tmp_path, write(tmp_path / "train.npz", arrays)).run
    data = annotated(tmp_path)
    other = write(tmp_path / "valid.npz", {name: arrays[name] for name in ("e1", "e2")})
    first = evaluate_situations(run, data=data, out=tmp_path / "a").tasks[0]
    second = evaluate_situations(run, data=data, features=other, out=tmp_path / "b").tasks[0]
    assert first.metrics == second.metrics and first.data.hash == second.data.hash
    assert second.adapted.name == "valid.npz" and first.adapted.hash != second.adapted.hash
    wide = write(tmp_path / "wide.npz", event_arrays(dim=DIM + 1))
    with pytest.raises(DataError, match=r"wide.npz: e1: has rows of 7 numbers, and 6 are expected"):
        evaluate_situations(run, data=data, features=wide, out=tmp_path / "c")
    write(tmp_path / "train.npz", event_arrays(rows=2))
    with pytest.raises(ModelError, match="is not the file whose features.* --features"):
        evaluate_situations(run, data=data, out=tmp_path / "c")
    (tmp_path / "train.npz").unlink()
    with pytest.raises(DataError, match=r"train\.npz: does not exist"):
        evaluate_situations(run, data=data, out=tmp_path / "c")
    assert not (tmp_path / "c").exists() or not list((tmp_path / "c").rglob("*.json"))


def test_videos_that_were_trained_on_are_told_by_their_features(tmp_path: Path):
    arrays = event_arrays()
    arrays["e1"] = arrays["t1"]
    run = train(tmp_path, write(tmp_path / "theirs.npz", arrays)).run
    data = annotated(tmp_path)
    told = evaluate_situations(run, data=data, out=tmp_path / "told").tasks[0]
    assert told.trained_on == ("e1",)
    less = evaluate_situations(run, data=data, out=tmp_path / "less", leave_out_trained=True)
    assert [one.item for one in less.tasks[0].left_out] == ["e1"]


def test_interrupted_and_resumed_equals_undisturbed(tmp_path: Path):
    def interrupt(name: str, report) -> None:
        if report.step == 2 and report.loss is not None:
            signal.raise_signal(signal.SIGINT)

    features = write(tmp_path / "theirs.npz", event_arrays())
    data = annotated(tmp_path)
    runs = [tmp_path / name for name in ("whole", "stopped")]
    for run in runs:
        run.mkdir()
    whole = train(runs[0], features, data=data)
    stopped = train(runs[1], features, data=data, on_step=interrupt)
    assert stopped.interrupted_by == signal.SIGINT
    with pytest.raises(ModelError, match="is not there: the training is not finished"):
        evaluate_situations(stopped.run, data=data, out=tmp_path / "eval")
    write(features, {**event_arrays(), "t1": random_rows(2, DIM)})
    with pytest.raises(CheckpointError, match="on other models or features than .*theirs.npz"):
        train(runs[1], features, data=data, resume=True)
    write(features, event_arrays())
    train(runs[1], features, data=data, resume=True)
    files = [head_file(one.run, "features").read_bytes() for one in (whole, stopped)]
    assert files[0] == files[1]


def change(name: str, array: np.ndarray) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda arrays: arrays.update({name: array})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            change("t2", random_rows(3, DIM)),
            r"t2: is of shape \(3, 6\), and the video has 2 events",
        ),
        (change("t2", random_rows(2, 1, 1, DIM)), r"t2: is of shape \(2, 1, 1, 6\)"),
        (change("t2", random_rows(DIM)), r"t2: is of shape \(6,\): no rows"),
        (change("t2", random_rows(2, 0, DIM)), r"t2: is of shape \(2, 0, 6\): no rows"),
        (change("t2", random_rows(2, 1, DIM + 1)), "t2: has rows of 7 numbers, and 6 are expected"),
        (change("t2", random_rows(2, 4, DIM)), "t2: has 4 rows an event, and 1 are expected"),
        (change("t1", random_rows(2, 1100, DIM)), "t1: has 1,100 rows an event"),
        (change("t2", np.full((2, DIM), np.inf)), "t2: cannot be read .*not finite"),
        (change("t2_feats", random_rows(2, DIM)), "several arrays of 't2': 't2', 't2_feats'"),
    ],
)
def test_features_of_events_that_cannot_be_learnt_from(tmp_path: Path, spoil, said: str):
    arrays = event_arrays()
    spoil(arrays)
    with pytest.raises(DataError, match=said):
        train(tmp_path, write(tmp_path / "theirs.npz", arrays))
    assert not (tmp_path / "run" / "head.json").exists()


def test_annotations_of_different_spans_are_refused(tmp_path: Path):
    videos = [
        own_video(id="t1", events=[own_event(end_s=end_s), own_event(start_s=4, end_s=5)])
        for end_s in (1, 2)
    ]
    data = DataSource(name="events", path=write_jsonl(tmp_path / "mine.jsonl", videos))
    with pytest.raises(DataError, match="t1: has annotations of different spans"):
        train(tmp_path, write(tmp_path / "theirs.npz", event_arrays()), data=data)


def test_memory_is_counted_before_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feature_file, "free_memory_bytes", lambda device: 2 * 2 * DIM * 4)
    with pytest.raises(DataError, match="t3: is more than the memory that is free"):
        train(tmp_path, write(tmp_path / "theirs.npz", event_arrays()))


def test_what_does_not_go_together_is_refused_before_any_work(tmp_path: Path):
    features = write(tmp_path / "theirs.npz", event_arrays())
    data = annotated(tmp_path)
    with pytest.raises(ConfigError, match="--model: cannot be given beside --features"):
        train(tmp_path, features, model="somebody/clip")
    with pytest.raises(ConfigError, match="--base: cannot be given beside --features"):
        train(tmp_path, features, base="somebody/clip")
    with pytest.raises(ConfigError, match="nothing to train heads on.*--features"):
        finetune_situations(SITUATIONS, data=data, out=tmp_path / "run")
    with pytest.raises(ConfigError, match="videos=clips: cannot be given beside --features"):
        train(tmp_path, features, data=dataclasses.replace(data, videos=Path("clips")))
    with pytest.raises(DataError, match=r"absent\.jsonl: does not exist"):
        train(tmp_path, features, data=dataclasses.replace(data, path=tmp_path / "absent.jsonl"))
    with pytest.raises(
        DataError, match="none of the 6 annotated videos.*'e1'.*first one there 'x'"
    ):
        train(tmp_path, write(tmp_path / "x.npz", {"x": random_rows(2, DIM)}))
    with pytest.raises(DataError, match="no videos of split 'train'"):
        train(tmp_path, write(tmp_path / "e.npz", {"e1": random_rows(2, DIM)}))
    assert not (tmp_path / "run" / "head.json").exists()


# --- Whole videos: PDVC's layout


def captioned(folder: Path) -> DataSource:
    entries = {
        f"v_film{i}": {
            "duration": 10.0 + i,
            "timestamps": [[0.0, 4.0], [5.0, 9.5]],
            "sentences": ["A man runs.", "He jumps."],
        }
        for i in range(4)
    }
    parts = {
        "train": ("v_film0", "v_film1", "v_film2"),
        "val_1": ("v_film3",),
        "val_2": ("v_film3",),
    }
    for split, names in parts.items():
        content = {name: entries[name] for name in names}
        (folder / f"{split}.json").write_text(json.dumps(content))
    return DataSource(name="activitynet", path=folder)


def film_arrays() -> dict[str, np.ndarray]:
    return {f"v_film{i}": random_rows(5 + i, DIM, seed=i) for i in range(4)}


def train_captions(folder: Path, features: Path):
    data = captioned(folder)
    return finetune_captioning(CAPTIONS, features=features, data=data, out=folder / "run", cpu=True)


def test_heads_are_trained_and_scored_on_features_of_whole_videos(tmp_path: Path):
    arrays = film_arrays()
    del arrays["v_film1"]
    folder = tmp_path / "theirs"
    folder.mkdir()
    for name, array in arrays.items():  # as PDVC's TSN: without v_
        np.save(folder / f"{name.removeprefix('v_')}_resnet.npy", array)
    result = train_captions(tmp_path, folder)
    assert result.kept_steps == {"features": 2}
    said = "1 video of 3 cannot be trained on, for example v_film1: the array of its features is"
    assert f"{said} missing." in result.notices
    info = read_head_info(result.run)
    assert info.model == str(folder) and tuple(info.models) == ("features",)
    scored = evaluate_captioning(result.run, data=captioned(tmp_path), out=result.run / "eval")
    (task,) = scored.tasks
    assert task.base is None and task.counts["videos"] == 1 and task.settings["features"] == "file"
    assert task.data.coverage == {"listed": 1, "found": 1, "stored": 1, "quarantined": 0}
    assert (result.run / "eval" / "predictions" / "features" / "activitynet.json").exists()
    write_report(result.run, out=tmp_path / "page.html", data=())
    (folder / "film3_resnet.npy").rename(folder / "elsewhere.npy")
    with pytest.raises(DataError, match="none of the 1 videos can be used.*'v_film3': the array"):
        evaluate_captioning(
            result.run, data=captioned(tmp_path), features=folder, out=tmp_path / "eval"
        )


def test_rows_are_midpoints_of_equal_segments_of_the_annotated_duration(tmp_path: Path):
    arrays = {"v_a": random_rows(4, DIM), "v_b": random_rows(5000, DIM, seed=1)}
    source = FeatureFile.open(write(tmp_path / "theirs.npz", arrays))
    clips = source.open_clips(
        {"v_a": 10.0, "v_b": 100.0, "v_c": 1.0, "v_d": 1e-9},
        videos=None, per_second=1.0, cache=None, on_progress=None,
    )  # fmt: skip
    assert clips.times_s[0] == (1.25, 3.75, 6.25, 8.75)
    assert {one.name: why for one, why in clips.absent.items()} == {
        "v_c": "the array of its features is missing", "v_d": "the array of its features is missing"
    }  # fmt: skip
    first, second = source.clip_features(clips, [0, 1])
    assert first.shape == (4, DIM) and len(clips.times_s[1]) == len(second) == 2048
    assert clips.times_s[1][0] + clips.times_s[1][-1] == pytest.approx(100, abs=1e-5)
    # Of 5,000 rows those in which the midpoints of 2,048 equal segments lie.
    whole = arrays["v_b"] / np.linalg.norm(arrays["v_b"], axis=-1, keepdims=True)
    expected = [whole[int(time_s / 100 * 5000)] for time_s in clips.times_s[1]]
    assert np.allclose(second.numpy(), expected, atol=1e-6)


def test_a_duration_of_nothing_leaves_a_video_out(tmp_path: Path):
    source = FeatureFile.open(write(tmp_path / "theirs.npz", {"v_a": random_rows(4, DIM)}))
    clips = source.open_clips(
        {"v_a": 1e-9}, videos=None, per_second=1.0, cache=None, on_progress=None
    )
    ((medium, why),) = clips.absent.items()
    assert medium.name == "v_a" and "bad-time" in why and not clips.clip_of


@pytest.mark.parametrize("shape", [(2, 3, DIM), (DIM,), (0, DIM)])
def test_features_of_whole_videos_of_another_shape(tmp_path: Path, shape: tuple[int, ...]):
    arrays = {**film_arrays(), "v_film1": random_rows(*shape)}
    with pytest.raises(DataError, match=r"v_film1: is of shape"):
        train_captions(tmp_path, write(tmp_path / "theirs.npz", arrays))


def test_heads_on_a_model_take_no_file(tmp_path: Path):
    run = train(tmp_path, write(tmp_path / "theirs.npz", event_arrays())).run
    content = load_checked((run / "head.json").read_text())
    content["models"] = {"adapted": content["models"]["features"]}
    (run / "head.json").write_text(json.dumps(content))
    with pytest.raises(
        ConfigError, match="--features: cannot be given: the heads of .* not on a file"
    ):
        evaluate_situations(
            run, data=annotated(tmp_path), features=tmp_path / "theirs.npz", out=tmp_path / "eval"
        )
