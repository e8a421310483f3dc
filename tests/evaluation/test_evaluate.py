from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import figclip.evaluation.evaluate as evaluation
from figclip.errors import ConfigError, DataError, ModelError, StoreError
from figclip.evaluation.evaluate import evaluate
from figclip.evaluation.results import format_table
from figclip.evaluation.seen_items import media_in
from figclip.evaluation.sources import DataSource, open_annotated
from figclip.model.backbone import Backbone, load_backbone, weights_hash
from figclip.model.embedding_settings import EmbeddingSettings
from figclip.model.figclip import FiGCLIP
from figclip.model.folder import ModelInfo, SeenMedia, read_info, write_clip_files, write_info
from figclip.model.lora import add_adaptation, lora_layers, plain_state
from figclip.model.pooling import TextPooling
from figclip.runtime.checked_json import load_checked
from figclip.video.store import StoreSpec
from tests.annotation_files import own_video, write_jsonl
from tests.dense_sets import with_split, write_store
from tests.model_folders import adapt_at_random
from tests.small_clip import write_small_clip
from tests.small_runs import IMAGE_SIZE, make_records, write_tiny_clip

SPEC = StoreSpec(size=IMAGE_SIZE)
RECORDS = make_records([3, 2, 2, 3])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip") / "tiny", seed=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("store") / "own.store", RECORDS)


@pytest.fixture(scope="module")
def adapted(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapted(clip, tmp_path_factory.mktemp("adapted") / "mine")


def write_adapted(clip: Path, path: Path, *, kind: str = "lora_image") -> Path:
    """A model folder with a strong random adaptation, as `adapt` writes one."""
    backbone = load_backbone(str(clip))
    base_hash = weights_hash(backbone.clip)
    config, size = backbone.clip.config, backbone.preprocessing
    add_adaptation(backbone, "lora_image", rank=4, lora_alpha=4.0, seed=0)
    tensors = {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name, layer in lora_layers(backbone.clip).items():
            torch.nn.init.normal_(layer.lora_B["default"].weight, std=0.3)
            for part in ("lora_A", "lora_B"):
                weight = getattr(layer, part)["default"].weight
                tensors[f"base_model.model.{name}.{part}.weight"] = weight.detach().contiguous()
    write_clip_files(
        path,
        state=plain_state(backbone.clip, alpha=1.0),
        config=config,
        tokenizer=backbone.tokenizer,
        preprocessing=size,
    )
    (path / "adapter").mkdir()
    save_file(
        tensors, path / "adapter" / "adapter_model.safetensors", metadata={"base_hash": base_hash}
    )
    info = ModelInfo(
        activation="quick_gelu",
        adaptation=kind,
        alpha=1.0,
        lora_scale=1.0 if kind == "lora_image" else 0.0,
        pixel_pipeline="pil",
        pooling="mean",
        base="",
        base_hash=base_hash,
        contextualizer=None,
        seen=SeenMedia(),
    )
    write_info(path, info)
    return path


def run(model: Path, store: Path, out: Path, **options: Any) -> evaluation.EvaluationResult:
    options = {"frames_per_event": 2, "data": [DataSource(name="events", path=store)], **options}
    return evaluate(model, out=out, **options)


def test_a_model_beside_itself_differs_by_exactly_nothing(
    clip: Path, store: Path, tmp_path: Path
) -> None:
    result = run(clip, store, tmp_path, base=clip)
    assert [one.task for one in result.tasks] == ["dense_retrieval", "srl_swap", "role_grounding"]
    assert result.notices == ()
    num_intervals = 0
    for task in result.tasks:
        for one in task.metrics.values():
            assert one.difference == 0.0
            if one.interval is not None:
                num_intervals += 1
                assert (one.interval.low, one.interval.high) == (0.0, 0.0)
    # Events: R@1, R@5, mean rank; videos: R@1, mean rank; two directions. Swap: three kinds in two
    # wordings, accuracy and blind accuracy with ties each, the gain; text only once a kind.
    # Grounding: accuracy, blind, over blind of agents and of other roles.
    assert num_intervals == 2 * 3 + 2 * 2 + 3 * 2 * 5 + 3 + 2 * 3


def test_lora_is_compared_with_itself_at_strength_zero(
    clip: Path, adapted: Path, store: Path, tmp_path: Path
) -> None:
    alone = run(clip, store, tmp_path / "base")
    both = run(adapted, store, tmp_path / "both")
    for task, base_task in zip(both.tasks, alone.tasks, strict=True):
        assert task.base is not None
        assert (task.base.alpha, task.adapted.alpha) == (0.0, 1.0)
        assert (task.base.name, task.adapted.name) == ("mine", "mine")
        for metric, one in task.metrics.items():
            assert one.base == base_task.metrics[metric].adapted
    retrieval = both.tasks[0].metrics
    assert any(one.difference != 0.0 for one in retrieval.values())
    halved = run(adapted, store, tmp_path / "half", alpha=0.5)
    assert halved.tasks[0].adapted.alpha == 0.5
    assert halved.tasks[0].adapted.hash != both.tasks[0].adapted.hash


def test_without_a_base_there_is_one_column_and_a_notice(
    clip: Path, store: Path, tmp_path: Path
) -> None:
    progress: list[str] = []
    result = run(clip, store, tmp_path / "a", on_progress=lambda label, *_: progress.append(label))
    assert result.tasks[0].base is None
    assert set(progress) == {f"embedding ({clip.name})"}
    assert "is a plain CLIP: there is nothing to compare" in result.notices[0]
    assert "Note: " in format_table(result)
    full = write_adapted(clip, tmp_path / "full", kind="full")
    result = run(full, store, tmp_path / "b")
    assert result.tasks[0].base is None
    assert "full fine-tune: give --base DIR" in result.notices[0]
    result = run(full, store, tmp_path / "c", base=clip)
    assert result.tasks[0].base is not None
    assert result.notices == ()


def test_a_strength_beyond_the_trained_ones_is_noticed(
    adapted: Path, store: Path, tmp_path: Path
) -> None:
    result = run(adapted, store, tmp_path, alpha=1.5, tasks=["dense_retrieval"])
    assert "Strength 1.5 is beyond what was trained, 0 to 1." in result.notices


def test_another_model_than_the_base_is_noticed(adapted: Path, store: Path, tmp_path: Path) -> None:
    other = write_tiny_clip(tmp_path / "other", seed=2)
    result = run(adapted, store, tmp_path / "out", base=other)
    assert "other is not the base that" in result.notices[0]


def test_results_are_files_that_say_what_they_are_about(
    adapted: Path, store: Path, tmp_path: Path
) -> None:
    result = run(adapted, store, tmp_path, seed=3)
    assert [one.name for one in result.files] == [
        "dense_retrieval-own.json",
        "srl_swap-own.json",
        "role_grounding-own.json",
    ]
    content = load_checked(result.files[1].read_text())
    assert content["settings"]["seed"] == content["interval"]["seed"] == 3
    assert content["counts"]["events"] == 10
    assert content["models"]["adapted"]["name"] == "mine"
    assert str(tmp_path) not in json.dumps(content["models"])
    assert {"python", "figclip", "torch", "pillow", "av"} < set(content["versions"])
    accuracy = content["metrics"]["verb"]
    items = [
        json.loads(line)
        for line in (tmp_path / "srl_swap-own.items.jsonl").read_text().splitlines()
    ]
    values = [one["adapted"]["verb"] for one in items if one["block"] == "verb"]
    assert accuracy["adapted"]["official"] == pytest.approx(sum(values) / len(values))
    assert accuracy["difference"] == pytest.approx(
        accuracy["adapted"]["official"] - accuracy["base"]["official"]
    )


def test_several_data_sets_keep_their_results_apart(
    clip: Path, store: Path, tmp_path: Path
) -> None:
    other = write_store(tmp_path / "b.store", with_split(RECORDS[:2], "valid"))
    result = run(
        clip,
        store,
        tmp_path / "out",
        data=[DataSource(name="events", path=path) for path in (store, other)],
        tasks=["retrieval"],
    )
    assert [one.name for one in result.files] == [
        "dense_retrieval-own.json",
        "dense_retrieval-b.json",
    ]
    counts = [load_checked(file.read_text())["counts"]["videos"] for file in result.files]
    assert counts == [4, 2]
    again = run(clip, other, tmp_path / "out", tasks=["dense_retrieval"])
    assert again.files[0].name == "dense_retrieval-b.json"


def test_results_of_another_precision_are_kept_apart_and_say_so(
    adapted: Path, store: Path, tmp_path: Path
) -> None:
    exact = run(adapted, store, tmp_path, tasks=["dense_retrieval"])
    half = EmbeddingSettings(precision="bf16")
    other = run(adapted, store, tmp_path, tasks=["dense_retrieval"], embedding=half)
    one_by_one = EmbeddingSettings(precision="fp32", batch_size=1)
    again = run(adapted, store, tmp_path, tasks=["dense_retrieval"], embedding=one_by_one)
    assert again.files == exact.files != other.files
    for result, precision in ((exact, "fp32"), (other, "bf16")):
        models = load_checked(result.files[0].read_text())["models"]
        assert {one["precision"] for one in models.values()} == {precision}


def test_a_result_of_an_earlier_version_is_kept_apart(
    clip: Path, store: Path, tmp_path: Path
) -> None:
    [file] = run(clip, store, tmp_path, tasks=["dense_retrieval"]).files
    content = load_checked(file.read_text())
    del content["models"]["adapted"]["precision"]
    file.write_text(json.dumps(content))
    [other] = run(clip, store, tmp_path, tasks=["dense_retrieval"]).files
    assert other != file


def test_a_second_run_embeds_nothing(
    adapted: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = {"frames": 0, "texts": 0}
    encode_frames, encode_tokens = Backbone.encode_frames, Backbone.encode_tokens

    def count_frames(self, frames, **options):  # noqa: ANN001, ANN003, ANN202
        embedded["frames"] += len(frames)
        return encode_frames(self, frames, **options)

    def count_tokens(self, tokens):  # noqa: ANN001, ANN202
        embedded["texts"] += len(tokens.ids_NL)
        return encode_tokens(self, tokens)

    monkeypatch.setattr(Backbone, "encode_frames", count_frames)
    monkeypatch.setattr(Backbone, "encode_tokens", count_tokens)
    progress: list[tuple[str, int, int]] = []
    first = run(
        adapted,
        store,
        tmp_path / "a",
        cache=tmp_path / "cache",
        on_progress=lambda *step: progress.append(step),
    )
    # Ten events of two frames under two models, each frame once for both tasks.
    assert embedded["frames"] == 2 * 10 * 2
    assert embedded["texts"] > 0
    assert ("embedding (base)", 20, 20) in progress
    assert ("embedding (adapted)", 20, 20) in progress
    embedded.update(frames=0, texts=0)
    second = run(adapted, store, tmp_path / "b", cache=tmp_path / "cache")
    assert embedded == {"frames": 0, "texts": 0}
    assert [one.metrics for one in second.tasks] == [one.metrics for one in first.tasks]


def test_what_cannot_run_is_named_before_a_model_is_loaded(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "ColumnLoader", None)
    with pytest.raises(ConfigError, match="unknown task 'x'.*composition, dense_retrieval"):
        run(tmp_path, store, tmp_path, tasks=["x"])
    with pytest.raises(ConfigError, match="no task to run"):
        run(tmp_path, store, tmp_path, data=[])
    with pytest.raises(DataError, match="does not exist"):
        run(tmp_path, tmp_path / "none", tmp_path)
    source = DataSource(name="events", path=store)
    with pytest.raises(ConfigError, match=r"own\.store: is given twice"):
        run(tmp_path, store, tmp_path, data=[source, source])
    with pytest.raises(DataError, match="no videos of split 'test'"):
        run(tmp_path, store, tmp_path, data=[dataclasses.replace(source, split="test")])
    with pytest.raises(StoreError, match="lacks frames for 3 an event"):
        run(tmp_path, store, tmp_path, frames_per_event=3)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written into"):
        run(tmp_path, store, tmp_path / "file" / "out")
    assert not (tmp_path / "out").exists()


def write_stills(folder: Path) -> DataSource:
    """Two stills with labels, which would have to be decoded."""
    folder.mkdir()
    for number, name in enumerate(("a.png", "b.png")):
        Image.new("RGB", (16, 16), (9, 9, number)).save(folder / name)
    (folder / "kinds.csv").write_text("file,label\na.png,red\nb.png,blue\n")
    return DataSource(name="actions", path=folder / "kinds.csv", images=folder)


def test_what_stores_tell_is_told_before_other_data_are_decoded(
    clip: Path, adapted: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stills = write_stills(tmp_path / "stills")
    cache = tmp_path / "cache"
    monkeypatch.setattr("figclip.evaluation.plan.prepare_clips", None)  # would raise TypeError
    larger = tmp_path / "larger"
    write_small_clip(larger, seed=0, image_size=32, patch_size=8, width=32, layers=2)
    own = DataSource(name="events", path=store)
    with pytest.raises(StoreError, match="16 px frames .* but 32 px frames"):
        run(larger, store, tmp_path / "out", data=[stills, own], cache=cache)
    (tmp_path / "a.mp4").write_bytes(b"")
    lines = write_jsonl(tmp_path / "own.jsonl", [own_video(video="a.mp4")])
    filled = DataSource(name="events", path=lines, videos=tmp_path, store=store)
    with pytest.raises(StoreError, match="16 px frames .* as raw, but 16 px .* as jpeg"):
        run(clip, store, tmp_path / "out", data=[stills, filled], cache=cache)
    model = tmp_path / "model"
    shutil.copytree(adapted, model)
    info = read_info(model)
    assert info is not None
    everything = media_in(open_annotated(own, spec=SPEC, frames_per_event=2, cache=None).content)
    write_info(model, dataclasses.replace(info, seen=SeenMedia(validated_on=everything)))
    with pytest.raises(DataError, match="nothing of it is left: 4 left out"):
        run(model, store, tmp_path / "out", data=[stills, own], cache=cache)
    assert not (tmp_path / "out").exists()


def test_results_are_in_the_order_of_the_data(clip: Path, store: Path, tmp_path: Path) -> None:
    """Stores are opened first, which decode nothing."""
    stills, own = write_stills(tmp_path / "stills"), DataSource(name="events", path=store)
    options = {"cache": tmp_path / "cache", "tasks": ["actions", "dense_retrieval"]}
    for number, data in enumerate(([stills, own], [own, stills])):
        result = run(clip, store, tmp_path / str(number), data=data, **options)
        names = [one.data.name for one in result.tasks]
        assert names == [one.name for one in data]


def test_a_plain_clip_has_no_strength(clip: Path, store: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no adaptation to scale"):
        run(clip, store, tmp_path, alpha=0.5)


def test_frames_of_another_pipeline_are_noticed(adapted: Path, tmp_path: Path) -> None:
    path = write_store(tmp_path / "a.store", RECORDS, pipeline="swscale")
    result = run(adapted, path, tmp_path / "out")
    assert "are of pipeline swscale, the model's is pil" in result.notices[0]


def test_pooling_is_of_the_adapted_model_and_fits_the_texts(
    clip: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dense captions are in context, and the base is as it was."""
    model = adapt_at_random(clip)
    pooling = TextPooling(from_words=5, long="vc", contrast="both")
    shape = model.info.contextualizer
    assert shape is not None
    info = dataclasses.replace(
        model.info,
        text_pooling=pooling,
        contextualizer=dataclasses.replace(shape, frames_per_event=2),
    )
    folder = dataclasses.replace(model, info=info).write(tmp_path / "model")
    tasks = ["dense_retrieval"]
    found = {
        option: run(folder, store, tmp_path / option, pooling=option, tasks=tasks).tasks[0]
        for option in ("mean", "vc", "auto")
    }
    assert "pooling" not in found["mean"].settings
    assert found["vc"].settings["pooling"] == found["auto"].settings["pooling"] == "vc"
    assert found["auto"].metrics == found["vc"].metrics != found["mean"].metrics
    assert any("through its contextualizer" in one for one in found["auto"].notices)
    for metric, value in found["mean"].metrics.items():
        assert value.base == found["vc"].metrics[metric].base
    swap = run(folder, store, tmp_path / "swap", pooling="auto", tasks=["srl_swap"]).tasks[0]
    assert swap.settings["pooling"] == "both"
    stills = write_stills(tmp_path / "stills")
    labels = run(
        folder, store, tmp_path / "labels", data=[stills], pooling="auto", cache=tmp_path / "cache"
    )
    # Whatever the prompt: "a photo of a red" has five words.
    assert labels.tasks[0].settings["pooling"] == "mean"
    monkeypatch.setattr(FiGCLIP, "pooling_for", lambda *_, **__: "mean")
    short = run(folder, store, tmp_path / "short", pooling="auto", tasks=tasks).tasks[0]
    assert short.settings["pooling"] == "mean" and short.metrics == found["mean"].metrics


def test_poolings_that_cannot_be_are_refused(
    clip: Path, adapted: Path, store: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="unknown pooling 'x'"):
        run(adapted, store, tmp_path, pooling="x")
    with pytest.raises(ConfigError, match="preset clip4clip is a benchmark's own"):
        run(adapted, store, tmp_path, pooling="auto", preset="clip4clip")
    with pytest.raises(ModelError, match="pooling=vc needs a Video Contextualizer"):
        run(adapted, store, tmp_path, pooling="vc")
    both = [DataSource(name="events", path=store), write_stills(tmp_path / "stills")]
    with pytest.raises(ConfigError, match="the contextualizer has one strength"):
        run(adapted, store, tmp_path, data=both, pooling="auto", sweep_alpha=True, cache=tmp_path)
    # A model of an earlier version, or without a contextualizer, is pooled by the mean.
    result = run(adapted, store, tmp_path / "out", pooling="auto", tasks=["dense_retrieval"])
    assert "pooling" not in result.tasks[0].settings
