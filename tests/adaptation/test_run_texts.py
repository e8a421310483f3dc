from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from figclip.adaptation.run_texts import RunTexts, read_run_texts, write_run_texts
from figclip.errors import CheckpointError
from figclip.runtime.files import write_json
from figclip.training.run_folder import RunFolder
from tests.small_runs import make_records, make_texts

TABLE = make_texts(make_records([2, 1, 3]), num_negatives=2, with_concepts=True)
TEXTS = RunTexts(
    data="of these videos",
    table=TABLE,
    num_cut=3,
    kept_texts=("été 球", "", "a\nb"),
    kept_frames=((2, 0.1), (0, 1 / 3)),
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """One that has come to a checkpoint."""
    run = RunFolder(tmp_path)
    (tmp_path / "checkpoints" / "step-00000001").mkdir(parents=True)
    write_json(run.data, {"hash": TEXTS.data, "kept": []})
    return run


def test_texts_are_read_as_they_were_written(run: RunFolder) -> None:
    write_run_texts(run, TEXTS)
    found = read_run_texts(run)
    assert found is not None
    assert dataclasses.replace(found, table=TABLE) == TEXTS
    assert found.table.texts == TABLE.texts
    for field in dataclasses.fields(TABLE.rows):
        one, other = getattr(found.table.rows, field.name), getattr(TABLE.rows, field.name)
        assert np.array_equal(one, other) and one.dtype == other.dtype
    first = found.table.event_texts(2, 0)
    assert first.video_hash == TABLE.event_texts(2, 0).video_hash


def test_a_run_without_them_has_none(run: RunFolder) -> None:
    assert read_run_texts(run) is None, "an earlier version wrote it"
    write_run_texts(run, TEXTS)
    (run.path / "checkpoints" / "step-00000001").rmdir()
    assert read_run_texts(run) is None, "nothing is lost by starting again"


def test_damage_is_named(run: RunFolder) -> None:
    write_run_texts(run, TEXTS)
    whole = run.texts.read_bytes()
    for place in (4, 40, len(whole) // 2, len(whole) - 3):
        run.texts.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(CheckpointError, match=r"texts.safetensors: cannot be read.*Delete"):
            read_run_texts(run)
    run.texts.write_bytes(whole[:-9])
    with pytest.raises(CheckpointError, match=r"texts.safetensors: cannot be read.*Delete"):
        read_run_texts(run)
    run.texts.write_bytes(whole)
    run.data.write_text(json.dumps({"hash": "of others", "kept": []}))
    with pytest.raises(CheckpointError, match=r"texts.safetensors: .*of other data.*Delete"):
        read_run_texts(run)
