"""MSR-VTT, HMDB51 and stills, read back by the benchmarks' readers."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from figclip.datasets.catalogue import load_benchmark
from figclip.datasets.records import ActionSet, RetrievalSet
from figclip.miniworld.named_tests import write_captioned_stills, write_stills
from figclip.miniworld.situations import VERBS, sample_situation
from figclip.miniworld.wording import EVALUATION_STYLES, natural_sentence
from tests.layouts.hmdb51 import write_hmdb51
from tests.layouts.msrvtt import write_msrvtt
from tests.layouts.plain_painter import PAINTER, digests, still_at, video_at

RNG = random.Random("layouts")
SITUATIONS = [sample_situation(RNG, held_out=None) for _ in range(150)]


def test_msrvtt(tmp_path: Path):
    write_msrvtt(tmp_path, SITUATIONS, painter=PAINTER, seed=0)
    loaded = load_benchmark("msrvtt", tmp_path)
    assert isinstance(loaded, RetrievalSet) and loaded.notices == ()
    assert len(loaded.items) == len(SITUATIONS)
    styles = Counter()
    for item, situation in zip(loaded.items, SITUATIONS, strict=True):
        _, shown = video_at(tmp_path / "videos", item.medium.name)
        assert shown == (situation,)
        (style,) = [
            style
            for style in EVALUATION_STYLES
            if natural_sentence(situation, style) == item.captions[0]
        ]
        styles[style] += 1
    assert len(styles) == len(EVALUATION_STYLES)
    row = (tmp_path / "MSRVTT_JSFUSION_test.csv").read_text().splitlines()[1]
    assert row.startswith("ret0,msr7020,video7020,")


def test_hmdb51(tmp_path: Path):
    write_hmdb51(tmp_path, SITUATIONS, painter=PAINTER, seed=0)
    loaded = load_benchmark("hmdb51", tmp_path)
    assert isinstance(loaded, ActionSet)
    assert loaded.classes == tuple(sorted(VERBS))
    assert loaded.notices == ("only 16 of the 51 classes have lists",)
    # Each video is tested in one split.
    assert len({item.id for item in loaded.items}) == len(loaded.items) == len(SITUATIONS)
    assert len({item.group for item in loaded.items}) == len(SITUATIONS)
    per_class = Counter((item.split, item.class_idx) for item in loaded.items)
    assert len(per_class) == 3 * len(VERBS)
    for item in loaded.items:
        _, (shown,) = video_at(tmp_path / "videos", item.medium.name)
        assert shown.verb == loaded.classes[item.class_idx]
    lines = (tmp_path / "splits/walk_test_split1.txt").read_text().splitlines()
    assert [line.split()[1] for line in lines[:4]] == ["2", "1", "1", "2"]


def test_hmdb51_wants_a_video_of_each_verb_for_each_split(tmp_path: Path):
    with pytest.raises(AssertionError, match="only 1 videos"):
        write_hmdb51(tmp_path, SITUATIONS[:1], painter=PAINTER, seed=0)


def test_captioned_stills(tmp_path: Path):
    write_captioned_stills(tmp_path, SITUATIONS, painter=PAINTER, seed=0)
    loaded = load_benchmark("retrieval", tmp_path / "stills.jsonl")
    assert isinstance(loaded, RetrievalSet) and len(loaded.items) == len(SITUATIONS)
    for item, situation in zip(loaded.items, SITUATIONS, strict=True):
        assert still_at(tmp_path / "images" / item.medium.name)[1] == situation


def test_stills(tmp_path: Path):
    alone = [one for one in SITUATIONS if one.patient is None]
    write_stills(tmp_path, alone, painter=PAINTER, seed=0)
    for name in ("kinds", "colours", "scenes"):
        loaded = load_benchmark("actions", tmp_path / f"{name}.csv")
        assert isinstance(loaded, ActionSet) and loaded.notices == ()
        assert len(loaded.items) == len(alone)
        for item in loaded.items:
            _, shown = still_at(tmp_path / "images" / item.medium.name)
            facts = {"kinds": shown.agent.kind, "colours": shown.agent.colour}
            assert loaded.classes[item.class_idx] == facts.get(name, shown.scene)
    with pytest.raises(AssertionError, match="whose class"):
        write_stills(tmp_path, SITUATIONS, painter=PAINTER, seed=0)


def test_same_seed_same_files(tmp_path: Path):
    for name in ("one", "two"):
        out = tmp_path / name
        write_msrvtt(out / "msrvtt", SITUATIONS, painter=PAINTER, seed=3)
        write_hmdb51(out / "hmdb51", SITUATIONS, painter=PAINTER, seed=3)
        write_captioned_stills(out / "stills", SITUATIONS, painter=PAINTER, seed=3)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
