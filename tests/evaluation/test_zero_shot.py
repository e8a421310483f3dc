"""Whole evaluations of the three zero-shot tasks, from official files to tables and pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import figclip.runtime.worker_pool as worker_pool
from figclip.errors import AnnotationError, ConfigError, DataError
from figclip.evaluation.evaluate import evaluate
from figclip.evaluation.results import EvaluationResult, format_table
from figclip.evaluation.sources import parse_source
from figclip.model.backbone import Backbone, TokenBatch
from figclip.runtime.checked_json import load_checked
from figclip.video.sampling import PRESETS
from tests.dense_sets import write_store
from tests.evaluation.test_evaluate import write_adapted
from tests.small_benchmarks import SmallBenchmarks, write_benchmarks
from tests.small_runs import make_records, write_tiny_clip


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory: pytest.TempPathFactory) -> SmallBenchmarks:
    return write_benchmarks(tmp_path_factory.mktemp("benchmarks"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip") / "tiny", seed=1)


@pytest.fixture(scope="module")
def adapted(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapted(clip, tmp_path_factory.mktemp("adapted") / "mine")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def run(model: Path, data: list[str], out: Path, cache: Path, **options: Any) -> EvaluationResult:
    return evaluate(
        model, data=[parse_source(one) for one in data], out=out, cache=cache, **options
    )


def test_three_tasks_in_one_call_give_one_table_and_three_files(
    adapted: Path, benchmarks: SmallBenchmarks, tmp_path: Path
) -> None:
    data = [benchmarks.retrieval, benchmarks.actions, benchmarks.composition]
    result = run(adapted, data, tmp_path / "out", tmp_path / "cache")
    assert [file.name for file in result.files] == [
        "retrieval-msrvtt.json",
        "actions-hmdb51.json",
        "composition-sugarcrepe.json",
    ]
    assert [file.name for file in result.pictures] == ["actions-hmdb51.confusion.png"]
    with Image.open(result.pictures[0]) as picture:
        assert picture.width > picture.height > 300
    table = format_table(result)
    assert sum(line.startswith("test ") for line in table.splitlines()) == 1
    assert table.index("DETAIL") < table.index("composition on sugarcrepe")
    assert table.index("KEPT") < table.index(
        "retrieval on msrvtt:msrvtt (1k-A): 6 videos, 6 captions"
    )
    assert "actions on hmdb51:hmdb51 (1+2+3): 6 videos, 6 classes" in table
    contents = [load_checked(file.read_text()) for file in result.files]
    assert [notice for one in contents for notice in one["notices"]] == list(result.notices)
    assert [one["settings"]["preset"] for one in contents] == ["figclip"] * 3
    assert [one["face"] for one in contents] == ["kept", "kept", "detail"]
    for content in contents:
        for metric in content["metrics"].values():
            assert set(metric) >= {"base", "adapted", "difference", "interval_95"}
            assert set(metric["adapted"]) == {"official", "corrected"}
    items = (tmp_path / "out" / "actions-hmdb51.items.jsonl").read_text().splitlines()
    assert json.loads(items[0])["labels"]["adapted"]["true"] == "clap"
    assert [notice.partition(":")[0] for notice in result.notices] == ["hmdb51", "sugarcrepe"]
    assert "replace_rel" in result.notices[1]


def test_a_second_run_decodes_and_embeds_nothing(
    adapted: Path, benchmarks: SmallBenchmarks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = [benchmarks.retrieval, benchmarks.actions, benchmarks.composition]
    first = run(adapted, data, tmp_path / "a", tmp_path / "cache")

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("done again")

    monkeypatch.setattr(worker_pool, "_start", fail)
    monkeypatch.setattr(Backbone, "encode_frames", fail)
    monkeypatch.setattr(Backbone, "encode_tokens", fail)
    second = run(adapted, data, tmp_path / "b", tmp_path / "cache")
    assert [one.metrics for one in second.tasks] == [one.metrics for one in first.tasks]
    assert [one.data for one in second.tasks] == [one.data for one in first.tasks]


def test_base_and_adapted_share_text_embeddings(
    adapted: Path, benchmarks: SmallBenchmarks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[int] = []
    encode_tokens = Backbone.encode_tokens

    def count(self: Backbone, tokens: TokenBatch) -> torch.Tensor:
        texts.append(len(tokens.ids_NL))
        return encode_tokens(self, tokens)

    monkeypatch.setattr(Backbone, "encode_tokens", count)
    run(adapted, [benchmarks.composition], tmp_path / "out", tmp_path / "cache")
    assert sum(texts) == 2 * 6


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_gives_scores_of_its_own(
    preset: str, clip: Path, benchmarks: SmallBenchmarks, cache: Path, tmp_path: Path
) -> None:
    result = run(clip, [benchmarks.retrieval], tmp_path, cache, preset=preset)
    content = load_checked(result.files[0].read_text())
    assert content["settings"]["preset"] == preset
    assert content["data"]["pipeline"] == ("vificlip" if preset == "vificlip" else "pil")


@pytest.mark.parametrize(("preset", "class_names"), [("figclip", "words"), ("vificlip", "labels")])
def test_classes_are_named_as_the_preset_says(
    preset: str,
    class_names: str,
    clip: Path,
    benchmarks: SmallBenchmarks,
    cache: Path,
    tmp_path: Path,
) -> None:
    result = run(clip, [benchmarks.actions], tmp_path, cache, preset=preset)
    assert result.tasks[0].settings["class_names"] == class_names


def test_the_sweep_goes_from_the_base_to_the_adapted_model(
    adapted: Path, benchmarks: SmallBenchmarks, cache: Path, tmp_path: Path
) -> None:
    data = [benchmarks.retrieval, benchmarks.composition]
    result = run(adapted, data, tmp_path, cache, sweep_alpha=True)
    assert result.sweep is not None
    points = result.sweep.points
    assert [point.alpha for point in points] == [i / 10 for i in range(11)]
    for point, role in ((points[0], "base"), (points[-1], "adapted")):
        names = ("retrieval-msrvtt", "composition-sugarcrepe")
        for task, name in zip(result.tasks, names, strict=True):
            for metric, value in point.headlines[name].items():
                assert value == getattr(task.metrics[metric], role).value
        assert point.faces["detail"] == point.headlines["composition-sugarcrepe"]["accuracy"]
        retrieval = point.headlines["retrieval-msrvtt"]
        assert point.faces["kept"] == pytest.approx(sum(retrieval.values()) / 2)
    content = load_checked((tmp_path / "sweep.json").read_text())
    assert content["points"][3]["alpha"] == pytest.approx(0.3)
    assert result.pictures[-1] == tmp_path / "sweep.png"
    assert result.pictures[-1].stat().st_size > 10_000


def test_a_source_may_say_what_it_tests_and_its_prompts(
    adapted: Path, benchmarks: SmallBenchmarks, cache: Path, tmp_path: Path
) -> None:
    data = [
        f"{benchmarks.actions},face=detail,prompts=someone who is busy with {{}}",
        benchmarks.actions,
        f"{benchmarks.retrieval},face=detail",
    ]
    result = run(adapted, data, tmp_path, cache, sweep_alpha=True)
    assert [one.face for one in result.tasks] == ["detail", "kept", "detail"]
    prompts = [one.settings.get("prompts") for one in result.tasks]
    assert prompts == ["someone who is busy with {}", "photo", None]
    contents = [load_checked(file.read_text()) for file in result.files]
    assert [one["face"] for one in contents] == ["detail", "kept", "detail"]
    table = format_table(result)
    assert table.index("DETAIL") < table.index("retrieval on msrvtt") < table.index("KEPT")
    assert result.sweep is not None
    point = result.sweep.points[-1]
    busy, photo, retrieval = (
        sum(scores.values()) / len(scores) for scores in point.headlines.values()
    )
    assert point.faces["detail"] == pytest.approx((busy + retrieval) / 2)
    assert point.faces["kept"] == pytest.approx(photo)


def test_dense_retrieval_is_a_test_of_detail_too(
    adapted: Path, benchmarks: SmallBenchmarks, cache: Path, tmp_path: Path
) -> None:
    store = write_store(tmp_path / "own.store", make_records([2, 2, 2]))
    data = [benchmarks.retrieval, f"events:{store}"]
    result = run(
        adapted,
        data,
        tmp_path,
        cache,
        sweep_alpha=True,
        tasks=["retrieval"],
        frames_per_event=2,
    )
    assert result.sweep is not None
    (detail,) = (
        scores for name, scores in result.sweep.points[0].headlines.items() if "dense" in name
    )
    assert set(detail) == {"events t2v R@1", "events v2t R@1"}


def test_a_sweep_needs_both_faces_and_a_model_with_a_strength(
    adapted: Path, clip: Path, benchmarks: SmallBenchmarks, cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="sweep needs tests of detail"):
        run(adapted, [benchmarks.retrieval], tmp_path, cache, sweep_alpha=True)
    both = [benchmarks.retrieval, benchmarks.composition]
    with pytest.raises(ConfigError, match="plain CLIP, which has no strength"):
        run(clip, both, tmp_path, cache, sweep_alpha=True)


def test_what_is_missing_or_unreadable_is_named_and_the_rest_is_scored(
    clip: Path, cache: Path, tmp_path: Path
) -> None:
    some = write_benchmarks(tmp_path / "some")
    (tmp_path / "some" / "videos" / "video7000.mp4").unlink()
    (tmp_path / "some" / "videos" / "video7001.mp4").write_bytes(b"nothing to see")
    (tmp_path / "some" / "images" / "000000000002.jpg").write_bytes(b"\xff\xd8\xff")
    result = run(clip, [some.retrieval, some.composition], tmp_path / "out", cache)
    retrieval, composition = (load_checked(file.read_text()) for file in result.files)
    assert retrieval["counts"]["videos"] == 4
    assert retrieval["data"]["coverage"] == {
        "listed": 6,
        "found": 5,
        "stored": 4,
        "quarantined": 1,
    }
    reasons = {one["reason"]: one["items"] for one in retrieval["left_out"]}
    assert reasons["the video is missing"] == ["video7000"]
    assert [items for reason, items in reasons.items() if "unreadable" in reason] == [["video7001"]]
    (reason,) = composition["left_out"]
    assert "unreadable image" in reason["reason"] and reason["count"] == 1
    assert "5 of the 6 files listed are ready; 1 left out" in format_table(result)
    assert "retrieval on msrvtt:msrvtt: 1 left out: the video is missing." in result.notices


def test_a_caption_of_300_words_is_cut_and_said_so(
    clip: Path, cache: Path, benchmarks: SmallBenchmarks, tmp_path: Path
) -> None:
    file = tmp_path / "own.jsonl"
    folder = benchmarks.retrieval.split("videos=")[1]
    lines = [
        {"video": "video7000.mp4", "captions": ["word " * 300]},
        {"video": "video7001.mp4", "captions": ["short"]},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = run(clip, [f"retrieval:{file},videos={folder}"], tmp_path / "out", cache)
    assert any("1 different texts are too long" in notice for notice in result.notices)


def test_own_pairs_have_controls_and_files_named_after_theirs(
    clip: Path, cache: Path, benchmarks: SmallBenchmarks, tmp_path: Path
) -> None:
    images = benchmarks.composition.split("images=")[1]
    sides = ("a red one", "a blue one")
    for name in ("role_swap", "verb"):
        lines = [
            {
                "image": f"{number:012d}.jpg",
                "positives": [f"{name} {number // 2} {sides[number % 2]}"],
                "negatives": [f"{name} {number // 2} {sides[1 - number % 2]}"],
                "group": str(number // 2),
            }
            for number in range(6)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"{name}.jsonl").write_text(text)
    data = [f"pairs:{tmp_path / name}.jsonl,images={images}" for name in ("role_swap", "verb")]
    result = run(clip, data, tmp_path / "out", cache)
    assert [file.name for file in result.files] == [
        "composition-role_swap.json",
        "composition-verb.json",
    ]
    content = load_checked(result.files[1].read_text())
    for control in ("blind accuracy", "text-only accuracy"):
        assert content["metrics"][control]["adapted"]["official"] == 0.5
        assert content["metrics"][control]["chance"] == 0.5
    table = format_table(result)
    assert "composition on pairs:role_swap.jsonl: 6 items, 6 mirrored items" in table
    assert "composition on pairs:verb.jsonl: 6 items, 6 mirrored items" in table
    assert table.count("blind accuracy (%)") == table.count("text-only accuracy (%)") == 2


def test_bad_data_is_named_before_a_model_is_loaded(tmp_path: Path, cache: Path) -> None:
    some = write_benchmarks(tmp_path / "some")
    none = tmp_path / "no model"
    with pytest.raises(DataError, match="no items of split '9'|split '9'"):
        run(none, [some.actions + ",split=9"], tmp_path / "out", cache)
    csv = tmp_path / "some" / "msrvtt" / "MSRVTT_JSFUSION_test.csv"
    csv.write_text(csv.read_text().replace("video7001", "video7000"))
    with pytest.raises(AnnotationError, match="video7000"):
        run(none, [some.retrieval], tmp_path / "out", cache)
    with pytest.raises(ConfigError, match="unknown preset 'x'.*clip4clip"):
        run(none, [some.composition], tmp_path / "out", cache, preset="x")
    with pytest.raises(ConfigError, match="--template: unknown template 'x'.*srl_clip"):
        run(none, [some.composition], tmp_path / "out", cache, template="x")
    for option, value in (("seed", -1), ("frames_per_event", 0), ("alpha", float("nan"))):
        with pytest.raises(ConfigError, match=f"--{option.partition('_')[0]}: .*{value}"):
            run(none, [some.composition], tmp_path / "out", cache, **{option: value})
    with pytest.raises(ConfigError, match="no task to run.*sugarcrepe: composition"):
        run(none, [some.composition], tmp_path / "out", cache, tasks=["actions"])
    with pytest.raises(ConfigError, match="unknown set of prompts 'x'.*bare"):
        run(none, [some.composition], tmp_path / "out", cache, prompts="x")
    assert not (tmp_path / "out").exists()


def test_not_one_file_is_named_with_where_it_was_looked_for(
    clip: Path, cache: Path, benchmarks: SmallBenchmarks, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    data = benchmarks.composition.split(",")[0] + f",images={tmp_path / 'empty'}"
    with pytest.raises(DataError, match="none of the 6 files.*000000000000.jpg.*is missing"):
        run(clip, [data], tmp_path / "out", cache)
