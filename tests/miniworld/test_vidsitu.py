"""Stories in VidSitu's files, read back by the strict reader."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from figclip.annotations.captions import TEMPLATES, caption_event
from figclip.annotations.roles import says_nothing
from figclip.annotations.vidsitu import load_source
from figclip.errors import ConfigError
from figclip.miniworld.annotated_videos import write_vidsitu
from figclip.miniworld.situations import VERBS, Situation, Story, sample_story
from figclip.records import AnnotationSet
from tests.layouts.plain_painter import PAINTER, digests, video_at

NUM_TRAIN, NUM_VALID = 40, 8


def stories(number: int, *, held_out: bool) -> list[Story]:
    rng = random.Random(f"stories {held_out}")
    return [sample_story(rng, held_out=held_out) for _ in range(number)]


TRAIN, VALID = stories(NUM_TRAIN, held_out=False), stories(NUM_VALID, held_out=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("vidsitu")
    write_vidsitu(out, train=TRAIN, valid=VALID, painter=PAINTER, seed=0)
    return out


@pytest.fixture(scope="module")
def annotations(folder: Path) -> AnnotationSet:
    return load_source(folder / "annotations")


def read(folder: Path, path: str) -> Any:
    return json.loads((folder / "annotations" / path).read_text())


def test_the_reader_has_nothing_to_handle(annotations):
    assert annotations.name == "vidsitu"
    assert annotations.split_sizes == {"train": NUM_TRAIN, "valid": NUM_VALID}
    assert annotations.notices == ()
    by_split = Counter(record.split for record in annotations.records)
    assert by_split == {"train": NUM_TRAIN, "valid": NUM_VALID}
    assert {len(r.annotations) for r in annotations.records if r.split == "train"} == {1}
    assert {len(r.annotations) for r in annotations.records if r.split == "valid"} == {3}


def test_videos_show_what_is_annotated(folder, annotations):
    for record, story in zip(annotations.records, (*TRAIN, *VALID), strict=True):
        _, shown = video_at(folder / "videos", record.video)
        assert shown == story
        for annotation in record.annotations:
            for event, situation in zip(annotation.events, story, strict=True):
                verb = VERBS[situation.verb]
                assert (event.verb, event.gloss, event.sense) == (
                    verb.verb,
                    verb.gloss,
                    verb.sense,
                )
                texts = {role.slot: role.text for role in event.roles if not role.is_modifier}
                assert situation.agent.kind in texts["Arg0"]
                assert ("Arg1" in texts) == verb.is_transitive
                assert situation.patient is None or situation.patient.kind in texts["Arg1"]
                assert situation.scene in event.scene or says_nothing(event.scene)


def test_two_of_three_segments_share_a_youtube_video_within_their_split(annotations):
    train = [record.group for record in annotations.records if record.split == "train"]
    assert [train[0], train[3]] == [train[1], train[4]]
    assert sorted(Counter(train[:6]).values()) == [1, 1, 2, 2]
    valid = {record.group for record in annotations.records if record.split == "valid"}
    assert not valid & set(train)
    assert any(group.startswith("-") for group in train) and all("_" in group for group in train)
    assert len({record.id for record in annotations.records}) == NUM_TRAIN + NUM_VALID


def test_vinfo_names_the_annotated_verbs_and_ten_choices(folder):
    rows = read(folder, "vinfo_files/vinfo_valid_lb.json")
    entries = read(folder, "vseg_ann_files/vsann_valid_lb.json")[::3]
    sense_of = {f"{verb.verb} ({verb.gloss})": verb.sense for verb in VERBS.values()}
    agreeing = 0
    for row, entry in zip(rows, entries, strict=True):
        assert row["vb_to_use"] == {name: event["Verb"] for name, event in entry.items()}
        for name, event in entry.items():
            assert len(row["vb_lst"][name]) == 10
            assert row["vbid_lst"][name] == [sense_of[verb] for verb in row["vb_lst"][name]]
            agreeing += row["vb_lst"][name].count(event["Verb"])
    assert 0.75 < agreeing / (50 * NUM_VALID) < 0.9


def test_vocabulary_is_numbered_by_how_often_training_has_the_verb(folder):
    vocabulary = read(folder, "vsitu_vocab/verb_voc.json")
    assert list(vocabulary)[:4] == ["<s>", "<pad>", "</s>", "<unk>"]
    assert list(vocabulary.values()) == list(range(4 + len(VERBS)))
    counts = Counter(VERBS[event.verb].sense for story in TRAIN for event in story)
    in_order = [counts[sense] for sense in list(vocabulary)[4:]]
    assert in_order == sorted(in_order, reverse=True)


def test_relations_to_the_middle_event(folder):
    entries = read(folder, "vseg_ann_files/vsann_train_lb.json")
    assert all("EvRel" not in entry["Ev3"] for entry in entries)
    relations = {entry[name]["EvRel"] for entry in entries for name in ("Ev1", "Ev2", "Ev4", "Ev5")}
    assert relations == {"NoRel", "Enables", "Causes", "Reaction To"}


def test_dense_captions_of_the_methods_tell_all(tmp_path):
    event = Situation(
        verb="chase",
        agent=replace(TRAIN[0][0].agent, kind="dog", colour="blue", size="big"),
        patient=replace(TRAIN[0][0].agent, kind="man", colour="red", size="small"),
        direction="left",
        manner="slowly",
        scene="park",
    )
    story = tuple(replace(event, direction=way) for way in ("left", "right") * 3)[:5]
    write_vidsitu(tmp_path, train=[story] * 30, valid=[story], painter=PAINTER, seed=1)
    captions = {
        caption_event(r.annotations[0].events[0], template=TEMPLATES["default"])
        for r in load_source(tmp_path / "annotations").records
    }
    assert len(captions) > 20, "annotators choose their words"
    assert all(caption.startswith("In this photo, the action is chase, ") for caption in captions)


def test_same_seed_same_files_other_seed_other_words(folder, tmp_path):
    write_vidsitu(tmp_path / "again", train=TRAIN, valid=VALID, painter=PAINTER, seed=0)
    assert digests(tmp_path / "again") == digests(folder)
    write_vidsitu(tmp_path / "other", train=TRAIN, valid=VALID, painter=PAINTER, seed=1)
    ids = [
        set(read(root, "split_files/vseg_split_train_lb.json"))
        for root in (folder, tmp_path / "other")
    ]
    assert not ids[0] & ids[1]


def test_a_segment_does_not_depend_on_how_many_there_are(folder, tmp_path):
    write_vidsitu(tmp_path, train=TRAIN[:2], valid=VALID[:1], painter=PAINTER, seed=0)
    videos = {path: digest for path, digest in digests(tmp_path).items() if "videos" in path}
    assert len(videos) == 3 and videos.items() <= digests(folder).items()


@pytest.mark.parametrize(("train", "valid"), [([], VALID), (TRAIN, [])])
def test_an_empty_split_is_refused(tmp_path, train, valid):
    with pytest.raises(ConfigError, match="empty"):
        write_vidsitu(tmp_path, train=train, valid=valid, painter=PAINTER, seed=0)
    assert not list(tmp_path.iterdir())
