"""What a run keeps: pictures found, decoded and remembered; texts; refusals before any work."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from figclip.adaptation import keeping
from figclip.adaptation.adapt import AdaptationPlan, adapt
from figclip.adaptation.keeping import (
    HELD_BACK,
    KeptPictures,
    find_pictures,
    open_pictures,
    plan_keeping,
    read_texts,
)
from figclip.config import KeepConfig
from figclip.errors import CheckpointError, ConfigError, DataError
from figclip.model.folder import medium_hash, read_info
from figclip.runtime.checked_json import load_checked
from figclip.training.loop import StepReport
from figclip.video.container import hash_video
from figclip.video.store import FrameStore, StoreSpec
from tests.adapted_world import World, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), num_videos=6)


@pytest.fixture
def pictures(world: World, tmp_path: Path) -> Path:
    """Five images, one of them in a folder below, a video of four frames, and a text."""
    folder = tmp_path / "pictures"
    (folder / "below").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "c.webp", "below/d.PNG", "e.png"):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(folder / name)
    shutil.copy(sorted(world.videos.iterdir())[0], folder / "film.mp4")
    (folder / "readme.txt").write_text("no picture")
    return folder


def metrics(run: Path) -> list[dict[str, float]]:
    rows = [load_checked(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: one for key, one in row.items() if key != "time"} for row in rows]


def stop_at(step: int) -> Callable[[StepReport], None]:
    def on_step(report: StepReport) -> None:
        if report.step == step:
            signal.raise_signal(signal.SIGINT)

    return on_step


def test_pictures_are_found_by_suffix_in_folders_and_below(pictures: Path):
    found = find_pictures([pictures, pictures / "a.png"])
    kinds = {path.name: medium.kind for medium, path in found.items()}
    assert kinds == {
        **dict.fromkeys(("a.png", "b.jpg", "c.webp", "d.PNG", "e.png"), "image"),
        "film.mp4": "video",
    }


@pytest.mark.parametrize(
    ("name", "problem"),
    [("gone", "does not exist"), ("readme.txt", "holds no image or video"), ("empty", "holds no")],
)
def test_where_there_is_no_picture_is_refused_by_name(pictures: Path, name: str, problem: str):
    (pictures / "empty").mkdir()
    with pytest.raises(DataError, match=f"--keep-images .*{name}: {problem}"):
        find_pictures([pictures, pictures / name])


def test_a_folder_that_cannot_be_read_is_not_passed_over(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
):
    scan = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("below"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=r"--keep-images .*: cannot be read .*Permission.*below"):
        find_pictures([pictures])


def test_a_run_folder_among_the_pictures_is_refused(pictures: Path):
    (pictures / "link").symlink_to(pictures)
    for out in (pictures, pictures / "runs" / "mine", pictures / "link" / "mine"):
        with pytest.raises(ConfigError, match=r"--keep-images .*pictures: holds the run folder"):
            plan_keeping([pictures], None, KeepConfig(weight=1), out=out)
    assert plan_keeping([pictures], None, KeepConfig(weight=1), out=pictures.parent / "mine")


def opened(folder: Path, *, held_back: frozenset[str] = frozenset(), seed: int = 0) -> KeptPictures:
    return open_pictures(
        find_pictures([folder]),
        StoreSpec(size=32),
        stores=folder.parent / "stores",
        held_back=held_back,
        seed=seed,
        on_progress=None,
    )


def test_whatever_lies_in_a_folder_is_a_picture_or_left_out_by_name(tmp_path: Path):
    folder = tmp_path / "dirty"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    turned = Image.Exif()
    turned[0x112] = 6
    colours = [Image.new("RGB", (50, 40), name) for name in ("red", "lime", "blue", "white")]
    picture.save(folder / "a.png")
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    picture.save(folder / "turned.jpg", exif=turned)
    picture.crop((0, 0, 1, 1)).save(folder / "one.png")
    colours[0].save(folder / "moving.webp", save_all=True, append_images=colours[1:])
    colours[0].save(folder / "moving.gif", save_all=True, append_images=colours[1:], duration=100)
    for copy in ("twin.png", "linked.png"):
        shutil.copy(folder / "a.png", folder / copy)
    (folder / "loop").symlink_to(folder)
    pixels = opened(folder)
    assert (pixels.name, pixels.left_out) == ("9 pictures", ()), "equal files are one picture"
    means = [
        pixels.source.read(idx, [time_s]).mean(axis=(0, 1, 2)) for idx, time_s in pixels.frames
    ]
    bright = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]])
    moving = next(i for m, i in pixels.source.clip_of.items() if m.name.endswith("moving.gif"))
    found = [mean for mean, (idx, _) in zip(means, pixels.frames, strict=True) if idx == moving]
    np.testing.assert_allclose(found, bright, atol=8)
    reasons = {
        "zero.png": "empty",
        "text.png": "not-an-image",
        "cut.png": "damaged",
        "deep.png": "too-deep",
        "huge.png": "too-large",
        "linked to nothing.png": "missing",
        "linked to itself.png": "missing",
    }
    (folder / "zero.png").touch()
    (folder / "text.png").write_text("no picture")
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:2000])
    Image.fromarray(noise[..., 0].astype(np.uint16)).save(folder / "deep.png")
    Image.new("1", (12_000, 12_000)).save(folder / "huge.png")
    (folder / "linked to nothing.png").symlink_to("gone.png")
    (folder / "linked to itself.png").symlink_to("linked to itself.png")
    again = opened(folder)
    assert (again.name, again.hash, again.media) == (pixels.name, pixels.hash, pixels.media)
    said = {Path(one.item).name: one.reason.split()[-1] for one in again.left_out}
    assert said == reasons


def test_of_very_many_files_some_are_drawn_by_the_seed(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = opened(pictures)
    assert whole.name == "9 pictures"
    monkeypatch.setattr(keeping, "MAX_PICTURES", 3)
    first, again, other = (opened(pictures, seed=seed) for seed in (0, 0, 1))
    assert first.name.endswith(" pictures, by 3 of 6 files")
    assert first.hash == again.hash != other.hash
    assert first.media < whole.media and len(first.media) == 3


def test_what_is_held_back_is_no_picture(pictures: Path):
    film = medium_hash(hash_video(pictures / "film.mp4"))
    found = opened(pictures, held_back=frozenset({film}))
    assert found.name == "5 pictures" and film not in found.media
    assert [(Path(one.item).name, one.reason) for one in found.left_out] == [
        ("film.mp4", HELD_BACK)
    ]
    with pytest.raises(
        DataError, match=r"--keep-images: not one of 6 files can be used, .*: it sho"
    ):
        opened(pictures, held_back=frozenset({film}) | found.media)


def test_texts_are_lines_each_once(tmp_path: Path):
    file = tmp_path / "texts.txt"
    file.write_text("\ufeffa dog\n\n  a cat \na dog\n", encoding="utf-8")
    assert read_texts(file) == ("a dog", "a cat")
    file.write_text("a dog\n\nA  dog\n")  # which CLIP reads alike
    with pytest.raises(DataError, match=r"texts.txt: has 1 different texts"):
        read_texts(file)
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match=r"--keep-texts .*texts.txt: cannot be read"):
        read_texts(file)
    with pytest.raises(DataError, match="cannot be read"):
        read_texts(tmp_path / "gone.txt")


def test_nothing_is_kept_without_a_weight_and_options_without_one_are_refused(pictures: Path):
    plan = partial(plan_keeping, config=KeepConfig(weight=0), out=Path("run"))
    assert plan([], None) is None
    with pytest.raises(ConfigError, match=r"--keep-images: has no effect: keep.weight is 0"):
        plan([pictures], None)
    with pytest.raises(ConfigError, match=r"--keep-texts: has no effect"):
        plan([], pictures / "readme.txt")


def test_a_run_is_held_to_its_base_on_pictures(world: World, pictures: Path, tmp_path: Path):
    (pictures / "broken.png").write_bytes(b"no picture")
    with FrameStore.open(world.store) as store:
        [held_back] = [one.record.video for one in store.records() if one.record.split != "train"]
    shutil.copy(world.videos / f"{held_back}.mp4", pictures / "held back.mp4")
    plans: list[AdaptationPlan] = []
    config = world.config("keep.weight=1", "keep.pictures=3", "keep.texts=20")
    run = tmp_path / "run"
    adapt(
        config,
        data=[world.store],
        out=run,
        keep_images=[pictures],
        cache=tmp_path / "cache",
        cpu=True,
        on_plan=plans.append,
    )
    assert "held to its base on 9 pictures, by 20 texts" in plans[0].sentences()
    notices = [one for one in plans[0].warnings if one.startswith("--keep-images: 1 left out, ")]
    assert len(notices) == 2 and f"{pictures / 'broken.png'}. data.json lists all." in notices[0]
    assert f"{HELD_BACK}: {pictures / 'held back.mp4'}" in notices[1]
    assert any(one.startswith("Only 20 texts say what") for one in plans[0].warnings)
    data = load_checked((run / "data.json").read_text())
    assert data["pictures"] == "9 pictures"
    left_out, _ = data["pictures_left_out"]
    assert left_out["items"] == [str(pictures / "broken.png")]
    assert left_out["reason"].startswith("unreadable image")
    kept = [row["loss/keep"] for row in metrics(run) if "loss/keep" in row]
    # Nothing is lost before the first step; then the model begins to differ from its base.
    assert kept[0] == pytest.approx(0, abs=1e-6) and kept[-1] > 1e-6
    info = read_info(run / "model")
    assert info is not None
    shown = {medium_hash(hash_video(pictures / name)) for name in ("a.png", "film.mp4")}
    assert shown <= info.seen.trained_on


@pytest.mark.slow
def test_a_strong_hold_leaves_the_base_nearly_as_it_was(
    world: World, pictures: Path, tmp_path: Path
):
    moved: dict[str, float] = {}
    plans: list[AdaptationPlan] = []
    base = load_file(world.base / "model.safetensors")
    for name, weight in (("loose", 0.0), ("held", 1e4)):
        config = world.config(f"keep.weight={weight}", "train.epochs=20", "train.clip_norm=1")
        images = [pictures] if weight else []
        out = tmp_path / name
        adapt(
            config,
            data=[world.store],
            out=out,
            keep_images=images,
            cpu=True,
            on_plan=plans.append,
        )
        weights = load_file(out / "model" / "model.safetensors")
        changes = [(weights[key] - base[key]).norm() ** 2 for key in base if key in weights]
        moved[name] = float(torch.stack(changes).sum().sqrt())
    assert moved["held"] < 0.7 * moved["loose"]
    assert plans[1].memory_bytes > plans[0].memory_bytes, "pictures take memory, too"


def test_without_pictures_the_training_frames_stand_in(world: World, tmp_path: Path):
    plans: list[AdaptationPlan] = []
    config = world.config("keep.weight=1", "keep.texts=4")
    texts = tmp_path / "texts.txt"
    texts.write_text(f"a dog\na cat\na park\n{'a beach ' * 40}\n")
    adapt(
        config,
        data=[world.store],
        out=tmp_path / "run",
        keep_texts=texts,
        cpu=True,
        on_plan=plans.append,
    )
    [sentence] = [one for one in plans[0].sentences() if one.startswith("held to its base")]
    assert "50 frames of the training videos, as no --keep-images is given, by 4 texts" in sentence
    assert any(one.startswith("1 of 4 texts that say what") for one in plans[0].warnings)


@pytest.mark.slow
def test_kept_runs_resume_to_the_same_bits_and_refuse_other_pictures(
    world: World, pictures: Path, tmp_path: Path
):
    config = world.config("keep.weight=1", "keep.pictures=3", "train.epochs=3")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = {"data": [world.store], "cpu": True}
    adapt(config, out=whole, keep_images=[pictures], **options)
    adapt(config, out=broken, keep_images=[pictures], on_step=stop_at(2), **options)
    with pytest.raises(CheckpointError, match="other pictures or texts to keep"):
        adapt(config, out=broken, keep_images=[pictures / "a.png"], resume=True, **options)
    texts = tmp_path / "texts.txt"
    texts.write_text("a dog\na cat\n")
    with pytest.raises(CheckpointError, match="other pictures or texts to keep"):
        adapt(config, out=broken, keep_images=[pictures], keep_texts=texts, resume=True, **options)
    adapt(config, out=broken, keep_images=[pictures], resume=True, **options)
    expected, found = (load_file(run / "model" / "model.safetensors") for run in (whole, broken))
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert metrics(broken) == metrics(whole)


def test_not_one_readable_picture_is_refused(world: World, tmp_path: Path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"--keep-images: not one of 1 files can be used"):
        adapt(
            world.config("keep.weight=1"),
            data=[world.store],
            out=tmp_path / "run",
            keep_images=[folder],
            cpu=True,
        )
