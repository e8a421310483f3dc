"""The strength of an adaptation is chosen by the data of `--keep`, and recorded."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import shutil
import traceback
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import CLIPModel

import figclip.adaptation.adapt as selection
from figclip.adaptation import strength
from figclip.adaptation.adapt import AdaptationPlan
from figclip.adaptation.strength import (
    LITTLE,
    SCORED,
    KeptInfo,
    StrengthChoice,
    choose_strength,
    open_kept,
    plan_kept,
)
from figclip.annotations.splits import MIN_GROUPS
from figclip.errors import CheckpointError, ConfigError, DataError
from figclip.evaluation.evaluate import evaluate
from figclip.evaluation.results import format_table
from figclip.evaluation.seen_items import SELECTED, TRAINED, VALIDATED, groups_in, half_of
from figclip.evaluation.sources import DataSource
from figclip.metrics.strength import KeptPoint, StrengthPoint
from figclip.model.backbone import Backbone, load_backbone, weights_hash
from figclip.model.embedder import Embedder
from figclip.model.figclip import FiGCLIP
from figclip.model.folder import SeenMedia, read_info
from figclip.model.lora import add_adaptation, lora_layers, plain_copy, plain_state
from figclip.runtime.checked_json import load_checked
from figclip.runtime.process_group import ALONE, Processes
from figclip.training.loop import TrainingLoop
from figclip.video.store import StoreSpec
from tests.dense_sets import write_store
from tests.kept_sets import COLOURS, NUM_STILLS, KeptWorld, write_kept_world
from tests.ranks_as_threads import run_ranks
from tests.small_runs import IMAGE_SIZE, make_records

Run = tuple[Path, selection.AdaptationResult, list[tuple[str, int, int]]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> KeptWorld:
    return write_kept_world(tmp_path_factory.mktemp("kept") / "world")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def run(world: KeptWorld, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run with two kept tests, undisturbed."""
    out = tmp_path_factory.mktemp("run") / "mine"
    progress: list[tuple[str, int, int]] = []
    result = selection.adapt(
        world.config(),
        data=[world.store],
        out=out,
        keep=world.keep,
        cache=cache,
        cpu=True,
        on_progress=lambda *step: progress.append(step),
    )
    return out, result, progress


def read_choice(run: Path) -> dict:
    return load_checked((run / "strength.json").read_text())


def test_the_choice_is_recorded_with_the_whole_curve(run: Run) -> None:
    out, result, progress = run
    content = read_choice(out)
    assert content["format"] == 2
    assert content["limits"] == {
        "mean": 0.01, "test": 0.02, "confidence": 0.95, "resamples": 2000, "seed": 0,
    }  # fmt: skip
    assert list(content["kept"]) == ["actions-colours", "retrieval-captions"]
    for kept in content["kept"].values():
        assert kept["groups"] + kept["groups_reported"] == NUM_STILLS
    assert content["kept"]["actions-colours"]["metrics"] == ["top-1"]
    assert content["kept"]["retrieval-captions"]["metrics"] == ["t2v R@1 of 10", "v2t R@1 of 10"]
    assert [one["alpha"] for one in content["curve"]] == sorted({*SCORED, content["alpha"]})
    base = content["curve"][0]
    for one in content["curve"]:
        assert one["detail"] == pytest.approx(np.mean(list(one["detail_parts"].values())))
        assert set(one["detail_parts"]) == {"event_r1", "over_blind"}
        tests = one["tests"].values()
        assert one["kept"] == pytest.approx(np.mean([test["score"] for test in tests]))
        assert one["loss"] == pytest.approx(base["kept"] - one["kept"])
        assert one["qualifies"] == (
            one["alpha"] == 0
            or (one["loss_bound"] <= 0.01 and all(t["loss_bound"] <= 0.02 for t in tests))
        )
    [chosen] = [one for one in content["curve"] if one["alpha"] == content["alpha"]]
    assert chosen["qualifies"]
    assert result.strength is not None and result.strength.alpha == content["alpha"]
    assert (out / "strength.png").read_bytes().startswith(b"\x89PNG")
    assert str(out.parent) not in (out / "strength.json").read_text(), "paths must not leak"
    done = [step for step in progress if step[0] == "choosing the strength"]
    assert done == [("choosing the strength", i, 7) for i in range(8)]


def test_alpha_zero_is_the_first_validation_of_the_run(run: Run) -> None:
    out, _, _ = run
    rows = [load_checked(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    [base] = [row for row in rows if row["step"] == 0]
    parts = read_choice(out)["curve"][0]["detail_parts"]
    assert parts["event_r1"] == base["val/event_r1"]
    assert parts["over_blind"] == base["val/over_blind"]


@pytest.mark.slow
def test_the_curve_bends_where_the_tests_do(
    world: KeptWorld, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model folder is at the chosen strength, and goes to any other from there."""
    monkeypatch.setattr("figclip.adaptation.strength.choose_strength_idx", lambda *_: 37)
    kept, plain = tmp_path / "kept", tmp_path / "plain"
    options = {"data": [world.store], "cache": cache, "cpu": True}
    chosen = selection.adapt(world.config(), out=kept, keep=world.keep, **options)
    without = selection.adapt(world.config(), out=plain, **options)
    assert without.strength is None and not (plain / "strength.json").exists()
    info, full = read_info(kept / "model"), read_info(plain / "model")
    assert info is not None and full is not None
    assert (info.alpha, full.alpha) == (0.37, 1.0)
    assert chosen.strength is not None
    assert info.seen.selected_on == frozenset(chosen.strength.selected_on)
    num_selecting = chosen.strength.kept["actions-colours"].groups
    assert len(info.seen.selected_on) == 2 + num_selecting, "two sets about the same stills"
    assert full.seen.selected_on == frozenset()
    merged = CLIPModel.from_pretrained(kept / "model").state_dict()
    for name, tensor in FiGCLIP.from_pretrained(kept).backbone.clip.state_dict().items():
        assert torch.equal(tensor, merged[name]), name
    for alpha in (0.0, 0.37, 1.0):
        found = FiGCLIP.from_pretrained(kept, alpha=alpha).backbone.clip.state_dict()
        expected = FiGCLIP.from_pretrained(plain, alpha=alpha).backbone.clip.state_dict()
        for name, tensor in expected.items():
            assert torch.allclose(found[name], tensor, atol=1e-6), (alpha, name)


@pytest.mark.slow
def test_the_selecting_half_is_left_out_of_what_is_reported(
    run: Run, world: KeptWorld, cache: Path, tmp_path: Path
) -> None:
    out, _, _ = run
    kept = read_choice(out)["kept"]["actions-colours"]
    whole = evaluate(world.base, data=[world.colours], out=tmp_path / "base", cache=cache)
    assert whole.tasks[0].counts["images"] == NUM_STILLS
    for number, model in enumerate((out, out / "model")):
        result = evaluate(
            model,
            data=[dataclasses.replace(world.colours, face="detail"), world.captions],
            out=tmp_path / str(number),
            cache=cache,
            preset="velociti",
            alpha=0.5,
            sweep_alpha=True,
        )
        for task in result.tasks:
            assert task.counts["images"] == kept["groups_reported"]
            assert {one.reason for one in task.left_out} == {
                "its half chose the strength of the model"
            }
            assert len(task.left_out) == kept["groups"]
            assert task.data.hash != whole.tasks[0].data.hash
        assert any("chose the strength of the model" in one for one in result.notices)
        items = result.tasks[0].adapted_items[0].item_ids
        assert len(items) == kept["groups_reported"]
    content = load_checked(result.files[0].read_text())
    assert content["left_out"][0]["count"] == kept["groups"]
    # Against it as base, another model is tested on the same half.
    beside = evaluate(
        world.base, base=out, data=[world.colours], out=tmp_path / "beside", cache=cache
    )
    assert beside.tasks[0].counts["images"] == kept["groups_reported"]


@pytest.mark.slow
def test_the_training_file_is_no_test(
    run: Run, world: KeptWorld, cache: Path, tmp_path: Path
) -> None:
    """Of 84 videos 42 chose the checkpoint; the other 42 were trained on, under any name."""
    renamed = [
        dataclasses.replace(one, id=f"renamed {one.id}", video="x.mp4", split="test", group="")
        for one in make_records([2] * 84)
    ]
    copy = write_store(tmp_path / "copy.store", renamed, id_of=lambda one: one.id.split()[-1])
    for number, source in enumerate(
        (DataSource(name="events", path=world.store), DataSource(name="vidsitu", path=copy))
    ):
        out = tmp_path / str(number)
        told = evaluate(run[0], data=[source], out=out, frames_per_event=2)
        for task, file in zip(told.tasks, told.files, strict=True):
            assert len(task.trained_on) == 42
            assert sum(one.reason == VALIDATED for one in task.left_out) == 42
            test = f"{task.task} on {source.name}:{source.path.name}"
            assert (
                f"{test}: 42 of the 42 items scored show what the model was trained on: the scores "
                "say little about others. --leave-out-trained leaves these out."
            ) in task.notices
            content = load_checked(file.read_text())["trained_on"]
            assert content == {"count": 42, "is_whole": True, "items": list(task.trained_on)}
            assert task.base is not None and task.base_items is not None
            assert task.base_items[0].item_ids == task.adapted_items[0].item_ids
        assert told.tasks[0].counts["videos"] == 42
        assert "; 42 left out; 42 TRAINED ON" in format_table(told)
        with pytest.raises(
            DataError, match=r"nothing of it is left: 42 left out: .*; 42 left out: "
        ):
            evaluate(run[0], data=[source], out=out, frames_per_event=2, leave_out_trained=True)
    # As a base, too: what it saw is no test of the other model beside it.
    beside = evaluate(
        world.base,
        base=run[0] / "model",
        data=[DataSource(name="events", path=world.store)],
        out=tmp_path / "beside",
        frames_per_event=2,
    )
    assert beside.tasks[0].counts["videos"] == len(beside.tasks[0].trained_on) == 42


def test_a_base_that_was_adapted_hands_down_what_it_has_seen(
    run: Run, world: KeptWorld, tmp_path: Path
) -> None:
    others = [
        dataclasses.replace(record, id=f"other {record.id}", group=f"other {record.group}")
        for record in make_records([2] * 84)
    ]
    store = write_store(tmp_path / "others.store", others)
    config = world.config(f"model.base={run[0]}", "train.keep=last")
    selection.adapt(config, data=[store], out=tmp_path / "second", cpu=True)
    first, second = read_info(run[0] / "model"), read_info(tmp_path / "second" / "model")
    assert first is not None and second is not None
    assert second.seen.trained_on > first.seen.trained_on
    assert len(second.seen.trained_on) == 42 + 42
    # Of the second run's val nothing was chosen: the last step is kept, and no strength.
    assert second.seen.validated_on == first.seen.validated_on
    assert second.seen.selected_on == first.seen.selected_on


@pytest.mark.slow
def test_a_folder_of_an_earlier_version_says_that_it_does_not_know(
    run: Run, world: KeptWorld, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(run[0] / "model", model)
    info = load_checked((model / "figclip.json").read_text())
    for name in ("trained_on", "validated_on"):
        del info["provenance"][name]
    (model / "figclip.json").write_text(json.dumps(info))
    (model / "trained_on.txt").unlink()
    source = DataSource(name="events", path=world.store)
    result = evaluate(model, data=[source], out=tmp_path / "eval", frames_per_event=2)
    assert result.tasks[0].counts["videos"] == 84
    [notice] = [one for one in result.notices if "not known" in one]
    assert notice.startswith("It is not known which images and videos model learnt from")
    assert load_checked(result.files[0].read_text())["trained_on"]["is_whole"] is False
    plans: list[AdaptationPlan] = []
    selection.adapt(
        world.config(f"model.base={model}"),
        data=[world.store],
        out=tmp_path / "next",
        cpu=True,
        on_plan=plans.append,
    )
    assert any("images and videos the base learnt from" in one for one in plans[0].warnings)
    later = read_info(tmp_path / "next" / "model")
    assert later is not None and not later.seen.is_whole and len(later.seen.trained_on) == 42


def test_other_data_are_reported_but_for_what_they_share_with_those_that_chose(
    run: Run, world: KeptWorld, cache: Path, tmp_path: Path
) -> None:
    stills = tmp_path / "stills"
    stills.mkdir()
    Image.new("RGB", (16, 16), (9, 9, 9)).save(stills / "other.png")
    shutil.copy(world.stills / "000.png", stills / "first.png")
    shutil.copy(world.stills / "001.png", stills / "second.png")
    table = tmp_path / "other.csv"
    table.write_text("file,label\nother.png,red\nfirst.png,red\nsecond.png,green\n")
    # Named after the stills, as sets without groups are: one selects, the other is reported.
    assert {half_of("000.png"), half_of("001.png")} == {"selecting", "reported"}
    other = DataSource(name="actions", path=table, images=stills)
    result = evaluate(run[0], data=[other], out=tmp_path / "eval", cache=cache)
    assert result.tasks[0].counts["images"] == 2
    [left_out] = result.tasks[0].left_out
    assert left_out.reason == SELECTED


@pytest.mark.slow
def test_killed_while_it_chooses_it_is_resumed_to_the_same_bytes(
    run: Run, world: KeptWorld, cache: Path, tmp_path: Path
) -> None:
    whole, broken = run[0], tmp_path / "mine"  # the picture holds the run's name
    options = {"data": [world.store], "out": broken, "keep": world.keep, "cache": cache}

    def interrupt(label: str, done: int, _: int) -> None:
        if (label, done) == ("choosing the strength", 4):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        selection.adapt(world.config(), cpu=True, on_progress=interrupt, **options)
    assert not (broken / "model").exists() and not (broken / "strength.json").exists()
    resumed = selection.adapt(world.config(), cpu=True, resume=True, **options)
    assert resumed.model == broken / "model"
    for file in ("strength.json", "strength.png", "model/model.safetensors", "model/figclip.json"):
        assert (broken / file).read_bytes() == (whole / file).read_bytes(), file


def test_resumed_with_other_tests_is_refused(
    run: Run, world: KeptWorld, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    shutil.copytree(run[0], out)
    monkeypatch.setattr("figclip.adaptation.strength.open_works", None)  # nothing is decoded
    for keep in ([], world.keep[:1]):
        with pytest.raises(CheckpointError, match=r"other tests to keep \(2 then, \d now\)"):
            selection.adapt(
                world.config(),
                data=[world.store],
                out=out,
                keep=keep,
                cache=cache,
                cpu=True,
                resume=True,
            )


def test_what_cannot_be_chosen_is_refused_before_training(
    world: KeptWorld, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingLoop, "run", None)
    monkeypatch.setattr("figclip.adaptation.strength.open_works", None)  # nothing is decoded
    monkeypatch.setattr(selection, "assemble", None)  # no model is loaded
    small = tmp_path / "small.csv"
    rows = world.colours.path.read_text().splitlines(keepends=True)
    small.write_text("".join(rows[:40]))
    missing = dataclasses.replace(world.colours, path=tmp_path / "none.csv")
    too_small = dataclasses.replace(world.colours, path=small)
    detail = dataclasses.replace(world.colours, face="detail")
    no_images = dataclasses.replace(world.colours, images=None)
    cases = [
        (["model.adaptation=full"], world.keep, ConfigError, "no strength to choose"),
        ([], [missing], DataError, "does not exist"),
        ([], [no_images], DataError, "needs its"),
        ([], [detail], ConfigError, "face=detail"),
        ([], [world.colours] * 2, ConfigError, "given twice"),
        ([], [too_small], DataError, "39 groups of items are too few"),
    ]
    for overrides, keep, kind, message in cases:
        out = tmp_path / "run"
        with pytest.raises(kind, match=message):
            selection.adapt(
                world.config(*overrides),
                data=[world.store],
                out=out,
                keep=keep,
                cache=cache,
                cpu=True,
            )
        assert not out.exists(), message
    with pytest.raises(DataError, match="no place for decoded pictures"):
        selection.adapt(
            world.config(), data=[world.store], out=tmp_path / "a", keep=world.keep, cpu=True
        )


@pytest.mark.parametrize("fraction", [0.0, 0.4])
def test_without_validation_the_largest_strength_that_keeps_enough_is_taken(
    world: KeptWorld, cache: Path, tmp_path: Path, fraction: float
) -> None:
    """0.4 of 84 groups are 34: too few to choose by."""
    plans: list[AdaptationPlan] = []
    result = selection.adapt(
        world.config(f"data.val_fraction={fraction}", "train.keep=best"),
        data=[world.store],
        out=tmp_path / "run",
        keep=[world.colours],
        cache=cache,
        cpu=True,
        on_plan=plans.append,
    )
    assert result.kept_step == result.outcome.step and result.outcome.best_step is None
    choice = result.strength
    assert choice is not None and {point.detail for point in choice.curve} == {None}
    assert choice.alpha == max(one.alpha for one in choice.curve if one.qualifies)
    assert any("Nothing was held back to measure detail" in one for one in choice.notices)
    assert not (tmp_path / "run" / "strength.png").exists()
    curve = read_choice(tmp_path / "run")["curve"]
    assert {one["detail"] for one in curve} == {None}
    said = "Nothing is held back: 34 of 84 groups of videos (0.4) would be too few"
    assert any(one.startswith(said) for one in plans[0].warnings) == (fraction == 0.4)


def choice_of(*points: StrengthPoint, alpha: float, groups: int = 500) -> StrengthChoice:
    """A choice among these, by one kept test."""
    info = KeptInfo(
        task="actions", name="actions", source="kinds.csv", split=None, hash="0",
        metrics=("top-1",), groups=groups, groups_reported=groups,
    )  # fmt: skip
    return StrengthChoice(
        alpha=alpha, curve=points, kept={"actions-kinds": info}, media=frozenset(), seed=0
    )


def point_of(alpha: float, detail: float, bound: float = 0.0) -> StrengthPoint:
    """A strength with this bound of the loss of the kept test."""
    kept = KeptPoint(score=0.9, loss=0.0, loss_bound=bound)
    return StrengthPoint(
        alpha=alpha, detail=detail, detail_parts={}, kept=0.9, loss=0.0, loss_bound=0.0,
        tests={"actions-kinds": kept},
    )  # fmt: skip


def test_a_strength_of_zero_says_why() -> None:
    costly = (point_of(0.0, 0.4), point_of(0.2, 0.5, 0.031), point_of(1.0, 0.9, 0.2))
    [notice] = choice_of(*costly, alpha=0.0).notices
    assert notice == (
        "Strength 0: the model is its base, unchanged. Already at 0.2 actions-kinds may lose "
        "3.1 points (limit 2)."
    )
    useless = (point_of(0.0, 0.4), point_of(0.2, 0.3), point_of(1.0, 0.2))
    [notice] = choice_of(*useless, alpha=0.0).notices
    assert notice.endswith("No larger strength that keeps enough has more detail on val.")
    little = (point_of(0.0, 0.4), point_of(0.05, 0.41), point_of(0.2, 0.5, 0.031))
    [notice] = choice_of(*little, alpha=0.05).notices
    assert notice.startswith("Strength 0.05: the model is nearly its base. Already at 0.2 ")
    enough = choice_of(point_of(0.0, 0.4), point_of(LITTLE, 0.5), alpha=LITTLE)
    assert enough.notices == ()
    assert (enough.base.alpha, enough.chosen.alpha) == (0.0, LITTLE)


@pytest.mark.parametrize("num_groups", [MIN_GROUPS - 1, MIN_GROUPS])
def test_so_many_groups_choose_a_strength(num_groups: int) -> None:
    source = DataSource(name="actions", path=Path("kinds.csv"))
    if num_groups == MIN_GROUPS:
        strength._check_groups(source, num_groups)
        return
    with pytest.raises(DataError, match="39 groups of items are too few"):
        strength._check_groups(source, num_groups)


def test_a_kept_set_too_small_to_prove_its_bound_says_so() -> None:
    """Of 2 % lost, 148 groups show none more than once in twenty times; 149 do not."""
    points = (point_of(0.0, 0.4), point_of(0.2, 0.5))
    [notice] = choice_of(*points, alpha=0.2, groups=148).notices
    assert "148 choosing groups are too few to prove that at most 2 points" in notice
    assert choice_of(*points, alpha=0.2, groups=149).notices == ()
    [notice] = choice_of(*points, alpha=0.2, groups=50).notices
    # 1 - 0.05 ** (1 / 50)
    assert "even if none of them shows a loss, it may be 5.8." in notice
    assert 0.98**148 > 0.05 > 0.98**149


@pytest.mark.slow
def test_annotated_events_may_be_kept_and_both_towers_scaled(
    world: KeptWorld, cache: Path, tmp_path: Path
) -> None:
    others = [
        dataclasses.replace(record, id=f"other {record.id}", group=f"other {record.group}")
        for record in make_records([1] * 41)
    ]
    events = write_store(tmp_path / "events.store", others)
    result = selection.adapt(
        world.config("model.adaptation=lora_both"),
        data=[world.store],
        out=tmp_path / "run",
        keep=[DataSource(name="events", path=events)],
        cache=cache,
        cpu=True,
    )
    assert result.strength is not None
    names = [f"{task}-events" for task in ("dense_retrieval", "srl_swap", "role_grounding")]
    assert list(result.strength.kept) == names
    assert len({one.hash for one in result.strength.kept.values()}) == 1, "three tests on one set"


@pytest.mark.slow
def test_what_training_has_seen_does_not_choose(
    world: KeptWorld, cache: Path, tmp_path: Path
) -> None:
    """A kept set of the training videos, of some others, and of all together."""
    seen = make_records([2] * 84)
    others = [
        dataclasses.replace(record, id=f"other {record.id}", group=f"other {record.group}")
        for record in make_records([1] * 41)
    ]
    own = DataSource(name="events", path=world.store)
    few = DataSource(name="events", path=write_store(tmp_path / "few", [*seen, *others[:39]]))
    for keep, message in (
        (own, r"frames.store: nothing of it is left: .*trained on"),
        (few, "39 groups of items are too few"),
    ):
        with pytest.raises(DataError, match=message):
            selection.adapt(
                world.config(),
                data=[world.store],
                out=tmp_path / "refused",
                keep=[keep],
                cache=cache,
                cpu=True,
            )
        assert not (tmp_path / "refused").exists()
    both = DataSource(name="events", path=write_store(tmp_path / "both", [*seen, *others]))
    plans: list[AdaptationPlan] = []
    result = selection.adapt(
        world.config(),
        data=[world.store],
        out=tmp_path / "c",
        keep=[both],
        cache=cache,
        cpu=True,
        on_plan=plans.append,
    )
    assert result.strength is not None
    for kept in result.strength.kept.values():
        assert kept.groups + kept.groups_reported == 41
    warnings = [one for one in plans[0].warnings if "left out" in one]
    assert warnings == [
        f"{task}-both: {number} left out: {why}."
        for task in ("dense_retrieval", "srl_swap", "role_grounding")
        for number, why in ((42, TRAINED), (42, VALIDATED))
    ]
    # Its set is known again, and its selecting half left out of what is reported.
    reported = evaluate(
        tmp_path / "c",
        data=[dataclasses.replace(both, face="detail")],
        out=tmp_path / "eval",
        frames_per_event=2,
        leave_out_trained=True,
    )
    groups = result.strength.kept["dense_retrieval-both"].groups_reported
    assert reported.tasks[0].counts["videos"] == groups


def adapted_backbone(base: Path, *, std: float) -> Backbone:
    """A base with a random adaptation."""
    backbone = load_backbone(str(base))
    add_adaptation(backbone, "lora_image", rank=4, lora_alpha=4.0, seed=0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for layer in lora_layers(backbone.clip).values():
            torch.nn.init.normal_(layer.lora_B["default"].weight, std=std)
    return backbone


def test_a_plain_copy_is_the_base_and_takes_any_strength(world: KeptWorld) -> None:
    backbone = adapted_backbone(world.base, std=0.3)
    plain = plain_copy(backbone)
    base = load_backbone(str(world.base))
    assert not lora_layers(plain.clip) and lora_layers(backbone.clip)
    for name, tensor in base.clip.state_dict().items():
        assert torch.equal(plain.clip.state_dict()[name], tensor), name
    frames = torch.randint(0, 256, (3, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=torch.uint8)
    plain.clip.load_state_dict(plain_state(backbone.clip, alpha=1.0))
    with torch.inference_mode():
        expected = backbone.encode_frames(frames)
        assert torch.allclose(plain.encode_frames(frames), expected, atol=1e-5)
        assert not torch.allclose(base.encode_frames(frames), expected, atol=1e-2)


def write_known_pairs(world: KeptWorld, folder: Path) -> DataSource:
    """Of two texts for each still, the one that the base prefers is called true."""
    model = FiGCLIP.from_pretrained(world.base)
    lines = []
    for still in sorted(world.stills.iterdir()):
        texts = [f"{word} of {still.stem}" for word in ("drawing", "photograph")]
        cosines = (model.encode_image([still]) @ model.encode_text(texts).T)[0]
        order = cosines.argsort(descending=True).tolist()
        true, false = (texts[i] for i in order)
        lines.append({"image": still.name, "positives": [true], "negatives": [false]})
    file = folder / "known.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return DataSource(name="pairs", path=file, images=world.stills)


def test_an_adaptation_that_destroys_is_held_back(
    world: KeptWorld, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Detail that grows with the strength is bought only as long as the kept test allows it."""
    backbone = adapted_backbone(world.base, std=0.5)
    # Twice the same pictures: the second test must cost nothing.
    keep = [write_known_pairs(world, tmp_path), world.colours]
    planned = plan_kept(keep, world.config(), cache=cache)
    assert planned is not None
    spec = StoreSpec(size=IMAGE_SIZE)
    tests = open_kept(planned, spec, seen=SeenMedia(), on_progress=None)
    num_frames: list[int] = []
    num_texts: list[int] = []
    encode_frames, encode_tokens = Backbone.encode_frames, Backbone.encode_tokens

    def count_frames(self, frames, **options):  # noqa: ANN001, ANN003, ANN202
        num_frames.append(len(frames))
        return encode_frames(self, frames, **options)

    def count_texts(self, tokens):  # noqa: ANN001, ANN202
        num_texts.append(len(tokens.ids_NL))
        return encode_tokens(self, tokens)

    monkeypatch.setattr(Backbone, "encode_frames", count_frames)
    monkeypatch.setattr(Backbone, "encode_tokens", count_texts)
    details = iter((*SCORED, 0.5))

    def grow(_: Embedder) -> dict[str, float]:
        detail = next(details)
        return {"event_r1": detail, "score": detail}

    choice = choose_strength(backbone, tests, detail=grow, micro_batch=16, seed=0, on_progress=None)
    assert choice.base.tests["composition-known"].score == 1.0
    assert choice.curve[-1].tests["composition-known"].loss > 0.1
    assert not choice.curve[-1].qualifies
    assert 0 < choice.alpha == max(one.alpha for one in choice.curve if one.qualifies) < 1
    assert choice.alpha not in SCORED, "between the strengths that were scored first"
    # Each still of the selecting half once a strength, no other; each text once at all.
    stills = groups_in(tests[0].work.opened[spec].content, "selecting")
    assert sum(num_frames) == (len(SCORED) + 1) * len(stills)
    assert sum(num_texts) == 2 * len(stills) + len(COLOURS)


def test_processes_share_the_strengths_and_choose_the_same(world: KeptWorld, cache: Path) -> None:
    backbone = adapted_backbone(world.base, std=0.5)
    planned = plan_kept(world.keep, world.config(), cache=cache)
    assert planned is not None
    spec = StoreSpec(size=IMAGE_SIZE)
    tests = open_kept(planned, spec, seen=SeenMedia(), on_progress=None)
    assert len(tests) == 2
    scored: list[tuple[int, str]] = []

    def choose(processes: Processes) -> StrengthChoice:
        def detail(embedder: Embedder) -> dict[str, float]:
            model = weights_hash(embedder._backbone.clip)
            scored.append((processes.rank, model))
            return {"event_r1": int(model[:4], 16) / 2**16, "score": int(model[:4], 16) / 2**16}

        # Each process has what the main one opened.
        mine = pickle.loads(pickle.dumps(tests))
        return choose_strength(
            copy.deepcopy(backbone),
            mine,
            detail=detail,
            micro_batch=16,
            seed=0,
            on_progress=None,
            processes=processes,
        )

    alone = choose(ALONE)
    models = [model for _, model in scored]
    assert len(set(models)) == len(models) == len({*SCORED, alone.alpha})
    scored.clear()
    for choice in run_ranks(3, choose):
        assert choice == alone
    first = {rank: models[rank : len(SCORED) : 3] for rank in range(3)}
    first[0] += models[len(SCORED) :]  # the one that was chosen between them
    assert {rank: [m for r, m in scored if r == rank] for rank in range(3)} == first


class Float64Makers(TorchDispatchMode):
    """Notes which modules of figclip make tensors in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        result = func(*args, **(kwargs or {}))
        made = result if isinstance(result, (tuple, list)) else [result]
        if any(isinstance(one, torch.Tensor) and one.dtype == torch.float64 for one in made):
            calls = [one for one in traceback.extract_stack() if "/figclip/" in one.filename]
            self.found.add(Path(calls[-1].filename).stem)
        return result


@pytest.mark.slow
@pytest.mark.parametrize("adaptation", ["lora_both", "full"])
def test_only_merging_uses_float64_tensors(
    world: KeptWorld, cache: Path, tmp_path: Path, adaptation: str
) -> None:
    """Apple's GPUs have none. Merging takes place on the CPU: tests/model/test_lora.py."""
    with Float64Makers() as makers:
        selection.adapt(
            world.config(f"model.adaptation={adaptation}", "loss.learn_logit_scale=true"),
            data=[world.store],
            out=tmp_path / "run",
            keep=[] if adaptation == "full" else world.keep,
            cache=cache,
            cpu=True,
        )
    assert makers.found == (set() if adaptation == "full" else {"lora"})
