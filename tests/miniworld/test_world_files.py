"""The world's files: what is annotated, and a folder of one world only."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import av
import pytest

from figclip.annotations.splits import MIN_GROUPS, split_training
from figclip.annotations.vidsitu import load_source
from figclip.config.recipes import build_recipe
from figclip.datasets.dense_captions import read_caption_references
from figclip.errors import ConfigError
from figclip.miniworld.annotated_videos import write_vidsitu
from figclip.miniworld.situations import FPS, sample_story
from figclip.miniworld.world_files import (
    TRAINING_SEED,
    WorldFolder,
    WorldPart,
    WorldSize,
    draw_world,
)
from tests.layouts.plain_painter import PAINTER, digests

SIZE = WorldSize(
    train=3,
    valid=2,
    pairs=10,
    stills=2,
    pictures=4,
    selection_stills=2,
    films=0,
    valid_films=0,
)


def draw(
    out: Path,
    *,
    seed: int = 0,
    size: WorldSize = SIZE,
    parts: Sequence[WorldPart] = get_args(WorldPart),
) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    draw_world(
        WorldFolder(out),
        parts=parts,
        size=size,
        evaluation_seed=seed,
        on_progress=lambda done, total: told.append((done, total)),
    )
    return told


def test_all_is_drawn_once(tmp_path: Path):
    num_files = 5 + 7 * 10 + 2 * 2 + 4 + 2 * 2
    assert draw(tmp_path)[-1] == (num_files, num_files)
    assert draw(tmp_path) == [(num_files, num_files)]
    records = load_source(WorldFolder(tmp_path).vidsitu / "annotations").records
    assert [record.split for record in records] == ["train"] * 3 + ["valid"] * 2
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.slow
def test_parts_are_drawn_apart_and_add_up(tmp_path: Path):
    apart, together = tmp_path / "apart", tmp_path / "together"
    draw(apart, parts=["kept"])
    assert not WorldFolder(apart).detail.exists()
    draw(apart, parts=["detail"])
    assert not WorldFolder(apart).vidsitu.exists() and WorldFolder(apart).detail.exists()
    draw(apart, parts=["training"])
    draw(together)
    assert digests(apart) == digests(together)


@pytest.mark.slow
def test_films_are_drawn_beside_the_same_other_files(tmp_path: Path):
    without, beside = WorldFolder(tmp_path / "without"), WorldFolder(tmp_path / "with")
    draw(without.path)
    assert not without.films.exists()
    draw(beside.path, size=replace(SIZE, films=2, valid_films=1))
    references = [
        read_caption_references(beside.films / f"{name}.json")
        for name in ("train", "val_1", "val_2")
    ]
    assert [len(one.videos) for one in references] == [2, 1, 1]
    for video in (*references[0].videos, *references[1].videos):
        with av.open(str(beside.films / f"videos/{video.id}.mp4")) as film:
            num_frames = len(list(film.decode(video=0)))
        assert num_frames == round(FPS * video.duration_s)
    files = {path.relative_to(without.path) for path in without.path.rglob("*.*")}
    assert files == {
        path.relative_to(beside.path)
        for path in beside.path.rglob("*.*")
        if beside.films not in path.parents
    }
    for path in files:
        if path.suffix in (".json", ".jsonl", ".csv", ".png") and path.name != "world.json":
            assert (without.path / path).read_bytes() == (beside.path / path).read_bytes()


def test_a_folder_is_of_one_world(tmp_path: Path):
    draw(tmp_path)
    claim = tmp_path / "world.json"
    # However it is laid out.
    claim.write_text(json.dumps(json.loads(claim.read_text())))
    draw(tmp_path)
    with pytest.raises(ConfigError, match="another world"):
        draw(tmp_path, seed=1)
    with pytest.raises(ConfigError, match="another world"):
        draw(tmp_path, size=replace(SIZE, train=4))


def test_enough_videos_are_held_back_to_choose_by(tmp_path: Path):
    """Else the quickstart would choose neither a checkpoint nor, by detail, a strength."""
    rng, size = random.Random(f"{TRAINING_SEED}:stories"), WorldSize()
    stories = [sample_story(rng, held_out=False) for _ in range(size.train)]
    write_vidsitu(tmp_path, train=stories, valid=stories[:1], painter=PAINTER, seed=TRAINING_SEED)
    records = load_source(tmp_path / "annotations").records
    fraction = build_recipe("mini").data.val_fraction
    split = split_training(records, val_fraction=fraction)
    assert len({records[i].group for i in split.val}) >= MIN_GROUPS
    assert len(split.train) + len(split.val) == size.train
