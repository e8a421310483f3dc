"""The ground truth of situations: every annotator, in order, and what is wrong with the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from figclip.annotations.own_files import load_annotations
from figclip.annotations.roles import short_role
from figclip.annotations.vidsitu import load_vidsitu
from figclip.datasets.situations import (
    TrueEvent,
    TrueVideo,
    kept_annotations,
    load_situation_truth,
    related_events,
    situation_truth_of,
)
from figclip.errors import AnnotationError
from tests.situation_files import ARGS, EVENTS, SEGMENTS, annotation, official, write_official


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("Arg0 (walker)", "Arg0"),
        ("Arg1 (thing climbed (clomb?))", "Arg1"),
        ("Arg5 (x)", "Arg5"),
        ("Scene of the Event", "AScn"),
        ("ArgM (location)", "ALoc"),
        ("ArgM (direction (usually up or down))", "ADir"),
        ("ArgM (manner of the goal)", "AMnr"),  # the words are looked for in VidSitu's order
        ("ArgM (purpose)", "APrp"),
        ("ArgM (goal)", "AGol"),
        ("ArgM (instrument)", "instrument"),
        ("Arg7 (x)", "Arg7"),
    ],
)
def test_short_names_of_roles(name: str, short: str):
    assert short_role(name) == short


def test_events_related_to_the_middle_one():
    assert related_events(5) == (0, 1, 3, 4)
    assert related_events(2) == (0,)
    assert related_events(1) == ()


def test_official_files_are_read_as_they_are(tmp_path: Path):
    content = official()
    content["vsann_valid_lb.json"][1]["Ev1"]["Args"]["Arg0 (walker)"] = "boy"
    truth = load_situation_truth(write_official(tmp_path / "data", content), "valid")
    assert (truth.name, truth.source, truth.split) == ("vidsitu", "data", "valid")
    assert [video.id for video in truth.videos] == list(SEGMENTS)
    assert [video.group for video in truth.videos] == ["aaaaaaaaaaa", "bbbbbbbbbbb", "aaaaaaaaaaa"]
    first = truth.videos[0]
    # Equal annotations stay apart, in the order of the file.
    assert [events[0].roles["Arg0 (walker)"] for events in first.annotations] == [
        ARGS["Arg0 (walker)"],
        "boy",
        ARGS["Arg0 (walker)"],
    ]
    assert first.annotations[0][0] == TrueEvent(verb_id="walk.01", roles=ARGS, relation="Causes")
    assert first.annotations[0][2].relation == ""
    assert first.verb_ids == (("walk.01",) * 10,) * 5
    assert truth.notices == ()


def test_the_order_is_that_of_the_split(tmp_path: Path):
    content = official()
    content["vseg_split_valid_lb.json"].reverse()
    truth = load_situation_truth(write_official(tmp_path, content), "valid")
    assert [video.id for video in truth.videos] == list(reversed(SEGMENTS))


def test_only_ten_verbs_count_and_nan_is_allowed_in_vinfo(tmp_path: Path):
    content = official()
    rows = content["vinfo_valid_lb.json"]
    rows[0]["vbid_lst"]["Ev2"] = [f"v.{number}" for number in range(14)]
    rows[1]["clip_name"] = float("nan")
    truth = load_situation_truth(write_official(tmp_path, content), "valid", parts=("verbs",))
    assert truth.videos[0].verb_ids[1] == tuple(f"v.{number}" for number in range(10))
    assert truth.videos[0].annotations == ()


def test_parts_need_only_their_files(tmp_path: Path):
    content = official()
    del content["vsann_valid_lb.json"]
    folder = write_official(tmp_path, content)
    assert load_situation_truth(folder, "valid", parts=("verbs",)).videos[2].has("verbs")
    with pytest.raises(AnnotationError, match=r"holds no vsann_valid_lb\.json"):
        load_situation_truth(folder, "valid", parts=("roles",))
    with pytest.raises(AnnotationError, match="3 problems") as caught:
        load_situation_truth(folder, "testvb")
    for name in ("vseg_split_testvb", "vinfo_testvb", "vsann_testvb"):
        assert f"holds no {name}_lb.json" in str(caught.value)


def test_a_path_that_is_no_folder_is_named(tmp_path: Path):
    with pytest.raises(AnnotationError, match="absent: is no folder"):
        load_situation_truth(tmp_path / "absent", "valid")


def test_segments_without_annotation_stay_in_their_place(tmp_path: Path):
    content = official()
    content["vsann_valid_lb.json"] = content["vsann_valid_lb.json"][3:]
    content["vinfo_valid_lb.json"] = content["vinfo_valid_lb.json"][1:]
    truth = load_situation_truth(write_official(tmp_path, content), "valid")
    assert [video.has("roles") for video in truth.videos] == [False, True, True]
    assert [video.has("verbs") for video in truth.videos] == [False, True, True]


def test_the_official_name_is_taken_of_several(tmp_path: Path):
    content = official()
    folder = write_official(tmp_path, {**content, "vsann_valid_part.json": []})
    (notice,) = load_situation_truth(folder, "valid").notices
    assert notice == "vsann_valid_lb.json is read, not vsann_valid_part.json"
    (folder / "vsann_valid_lb.json").rename(folder / "vsann_valid_more.json")
    with pytest.raises(AnnotationError, match=r"holds vsann_valid_more\.json, vsann_valid_part"):
        load_situation_truth(folder, "valid")
    (folder / "vsann_valid_part.json").unlink()
    assert load_situation_truth(folder, "valid").videos[0].has("roles")


def test_the_hash_is_of_the_content(tmp_path: Path):
    content = official()
    one = load_situation_truth(write_official(tmp_path / "a", content), "valid").hash
    assert load_situation_truth(write_official(tmp_path / "b", content), "valid").hash == one
    content["vsann_valid_lb.json"][0]["Ev1"]["Args"]["Arg0 (walker)"] = "boy"
    assert load_situation_truth(write_official(tmp_path / "c", content), "valid").hash != one


def test_all_problems_are_named_in_one_go(tmp_path: Path):
    content = official()
    split, entries = content["vseg_split_valid_lb.json"], content["vsann_valid_lb.json"]
    rows = content["vinfo_valid_lb.json"]
    split += ["no id", SEGMENTS[0]]
    del entries[0]["Ev3"]
    del entries[1]["Ev1"]["VerbID"]
    entries[2]["Ev2"]["Args"]["Arg9 (x)"] = "what"
    entries[3]["Ev4"]["Args"]["Arg0 (walker)"] = ["a list"]
    entries[4]["Ev5"] = "no object"
    entries[5]["Ev1"]["EvRel"] = 3
    entries.append("no entry")
    rows[0]["vbid_lst"]["Ev1"] = ["walk.01"] * 8
    rows[1]["vbid_lst"]["Ev2"] = "walk.01"
    rows.append(rows[2])
    rows.append({})
    with pytest.raises(AnnotationError) as caught:
        load_situation_truth(write_official(tmp_path, content), "valid")
    message = str(caught.value)
    for part in (
        "[[3]]: is 'no id', which is no segment id",
        f"[[4]]: lists {SEGMENTS[0]} again",
        "[Ev3]: is missing",
        "[Ev1.VerbID]: must be text, got None",
        "[Ev2.Args.Arg9 (x)]: is no role of VidSitu",
        "[Ev4.Args.Arg0 (walker)]: must be text, got a list",
        "[Ev5]: must be an object, got 'no object'",
        "[Ev1.EvRel]: must be text, got 3",
        "[[9]]: must be an object whose Ev1 has a vid_seg_int",
        "[vbid_lst.Ev1]: names 8 annotators, fewer than 9",
        "[vbid_lst.Ev2]: must be a list of verb ids",
        f"{SEGMENTS[2]}: stands twice in the file",
        "[[4]]: must be an object with vid_seg_int",
    ):
        assert part in message, part


def test_a_role_that_only_the_first_annotator_gives_is_named(tmp_path: Path):
    content = official(SEGMENTS[:1])
    content["vsann_valid_lb.json"] = [annotation(SEGMENTS[0]) for _ in range(3)]
    kept = np.random.RandomState(5).permutation(3)
    first, other = (content["vsann_valid_lb.json"][idx] for idx in kept[:2])
    first["Ev2"]["Args"]["ArgM (direction)"] = "up"  # is not scored, so nobody minds
    del other["Ev2"]["Args"]["Arg1 (path)"]
    with pytest.raises(AnnotationError, match="1 problem") as caught:
        load_situation_truth(write_official(tmp_path, content), "valid", parts=("roles",))
    assert f"{SEGMENTS[0]} Ev2 [Args.Arg1 (path)]: is a role that not all" in str(caught.value)


def test_relations_are_of_all_annotators_or_of_none(tmp_path: Path):
    content = official()
    for entry in content["vsann_valid_lb.json"][:3]:
        for event in entry.values():
            event.pop("EvRel", None)
    folder = write_official(tmp_path, content)
    truth = load_situation_truth(folder, "valid", parts=("relations",))
    assert [video.has("relations") for video in truth.videos] == [False, True, True]
    del content["vsann_valid_lb.json"][4]["Ev5"]["EvRel"]
    with pytest.raises(AnnotationError, match=r"Ev5 \[EvRel\]: is missing in one of the"):
        load_situation_truth(write_official(folder, content), "valid", parts=("relations",))


def video_of(num_annotations: int) -> TrueVideo:
    return TrueVideo(
        id="v",
        group="v",
        event_names=("Ev1",),
        annotations=tuple((TrueEvent(verb_id=str(number)),) for number in range(num_annotations)),
    )


def test_three_annotations_are_kept_by_one_shuffle_of_all_videos():
    videos = [video_of(number) for number in (5, 0, 1, 4, 3)]
    np.random.seed(5)  # as the official evaluator does
    expected = [np.random.permutation(number)[:3].tolist() for number in (5, 0, 1, 4, 3)]
    found = [[int(events[0].verb_id) for events in kept] for kept in kept_annotations(videos)]
    assert found == expected
    assert kept_annotations(videos[3:])[0] != kept_annotations(videos)[3]


# --- Own annotations


def own_line(**changes: Any) -> str:
    event = {
        "start_s": 0.0,
        "end_s": 2.0,
        "verb": "walk",
        "roles": {"walker": "man", "instrument": "stick", "location": "road", "manner": "slow"},
        "scene": "village",
    }
    events = [event, {**event, "start_s": 2.0, "end_s": 3.0, "sense": "walk.01"}]
    return json.dumps({"video": "a.mp4", "split": "valid", "events": events, **changes})


def test_own_annotations(tmp_path: Path):
    file = tmp_path / "own.jsonl"
    slots = {"walker": "Arg0", "instrument": "ArgM"}
    line = json.loads(own_line())
    for event in line["events"]:
        event["slots"] = slots
    file.write_text(json.dumps(line) + "\n")
    truth = situation_truth_of(load_annotations(file))
    (video,) = truth.videos
    assert (truth.name, truth.source, truth.split) == ("events", "own.jsonl", "valid")
    assert video.event_names == ("Ev1", "Ev2")
    assert video.verb_ids == (("walk",), ("walk.01",))
    roles = video.annotations[0][0].roles
    assert {short_role(name): text for name, text in roles.items()} == {
        "Arg0": "man",
        "instrument": "stick",
        "ALoc": "road",
        "AMnr": "slow",
        "AScn": "village",
    }
    assert situation_truth_of(load_annotations(file).records).hash == truth.hash


def test_own_annotations_of_other_events_are_left_out(tmp_path: Path):
    file = tmp_path / "own.jsonl"
    other = json.loads(own_line())["events"][:1]
    lines = [own_line(), own_line(captions=["again"]), own_line(events=other)]
    file.write_text("\n".join(lines) + "\n")
    truth = situation_truth_of(load_annotations(file))
    assert [len(video.annotations) for video in truth.videos] == [2]
    assert truth.videos[0].verb_ids == (("walk",) * 2, ("walk.01",) * 2)
    assert "1 annotation of other events than its video's first: left out" in truth.notices


def test_videos_with_captions_only_say_nothing_of_situations(tmp_path: Path):
    file = tmp_path / "own.jsonl"
    file.write_text(json.dumps({"video": "b.mp4", "captions": ["A man walks."]}) + "\n")
    (video,) = situation_truth_of(load_annotations(file)).videos
    assert not video.has("verbs") and not video.has("roles") and not video.has("relations")


def test_official_annotations_by_our_reader_have_relations(tmp_path: Path):
    truth = situation_truth_of(load_vidsitu(write_official(tmp_path)))
    assert [event.relation for event in truth.videos[0].annotations[0]] == [
        "Causes",
        "Enables",
        "",
        "Reaction To",
        "NoRel",
    ]
    assert len(truth.videos[0].event_names) == len(EVENTS)
