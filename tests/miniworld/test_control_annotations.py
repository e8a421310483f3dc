"""Control annotations: the same videos, told sparsely or with another video's events."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from figclip.annotations.vidsitu import load_source
from figclip.miniworld.annotated_videos import write_control, write_vidsitu
from figclip.miniworld.situations import sample_story
from figclip.records import VideoRecord
from tests.layouts.plain_painter import PAINTER


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world")
    rng = random.Random(0)
    stories = [sample_story(rng, held_out=None) for _ in range(12)]
    write_vidsitu(out, train=stories[:10], valid=stories[10:], painter=PAINTER, seed=0)
    return out / "annotations"


def train(path: Path) -> list[VideoRecord]:
    return [record for record in load_source(path).records if record.split == "train"]


def test_shuffled_annotations_are_those_of_other_videos(source: Path, tmp_path: Path):
    write_control(source, tmp_path / "shuffled.jsonl", control="shuffled", seed=0)
    before, after = train(source), train(tmp_path / "shuffled.jsonl")
    assert [(one.id, one.group) for one in before] == [(one.id, one.group) for one in after]

    def told(record: VideoRecord) -> list[object]:
        return [
            (event.verb, [(role.name, role.text, role.slot) for role in event.roles], event.scene)
            for event in record.annotations[0].events
        ]

    assert all(told(one) != told(other) for one, other in zip(before, after, strict=True))
    assert sorted(map(str, map(told, before))) == sorted(map(str, map(told, after)))


def test_sparse_annotations_tell_who_is_there_and_nothing_else(source: Path, tmp_path: Path):
    write_control(source, tmp_path / "sparse.jsonl", control="sparse", seed=0)
    scenes = 0
    for before, after in zip(train(source), train(tmp_path / "sparse.jsonl"), strict=True):
        assert len(after.annotations[0].events) == 5
        pairs = zip(before.annotations[0].events, after.annotations[0].events, strict=True)
        for event, sparse in pairs:
            assert sparse.verb == "be" and (sparse.start_s, sparse.end_s) == (
                event.start_s,
                event.end_s,
            )
            (seen,) = sparse.roles
            assert seen.text in {role.text for role in event.roles if not role.is_modifier}
            assert sparse.scene in ("", event.scene)
            scenes += bool(sparse.scene)
    assert 15 < scenes < 35  # half of 50, but for the dashes


def test_the_seed_decides(source: Path, tmp_path: Path):
    for name, seed in (("one", 1), ("two", 1), ("other", 2)):
        write_control(source, tmp_path / f"{name}.jsonl", control="sparse", seed=seed)
    one, two, other = ((tmp_path / f"{n}.jsonl").read_text() for n in ("one", "two", "other"))
    assert one == two != other
