"""The world's files: what is annotated, and a folder of one world only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from figclip.data.vidsitu import load_source
from figclip.errors import ConfigError
from figclip.quickstart.world_files import WorldFolder, WorldSize, draw_world

SIZE = WorldSize(train=3, valid=2, pairs=10, stills=2, selection_stills=2)


def draw(out: Path, *, seed: int = 0, size: WorldSize = SIZE) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    draw_world(
        WorldFolder(out),
        size=size,
        evaluation_seed=seed,
        on_progress=lambda done, total: told.append((done, total)),
    )
    return told


def test_all_is_drawn_once(tmp_path: Path):
    num_files = 5 + 2 * 5 * 10 + 2 * 2 + 2 * 2
    assert draw(tmp_path)[-1] == (num_files, num_files)
    assert draw(tmp_path) == [(num_files, num_files)]
    records = load_source(WorldFolder(tmp_path).vidsitu / "annotations").records
    assert [record.split for record in records] == ["train"] * 3 + ["valid"] * 2
    assert not list(tmp_path.rglob("*.part"))


def test_a_folder_is_of_one_world(tmp_path: Path):
    draw(tmp_path)
    claim = tmp_path / "world.json"
    # However it is laid out.
    claim.write_text(json.dumps(json.loads(claim.read_text())))
    draw(tmp_path)
    with pytest.raises(ConfigError, match="another world"):
        draw(tmp_path, seed=1)
    with pytest.raises(ConfigError, match="another world"):
        draw(tmp_path, size=WorldSize(train=4, valid=2, pairs=10, stills=2, selection_stills=2))
