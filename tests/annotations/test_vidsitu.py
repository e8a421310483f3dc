"""Official VidSitu files: what they mean, the rules for their dirt, and that problems are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from figclip.annotations.vidsitu import SegmentId, load_source, load_vidsitu, parse_segment_id
from figclip.errors import AnnotationError
from figclip.records import Annotation, Event, Role
from tests.annotation_files import (
    YOUTUBE_IDS,
    own_video,
    segment_id,
    vidsitu_entry,
    vidsitu_event,
    write_jsonl,
    write_vidsitu,
)

TRAIN_FILE = "vseg_ann_files/vsann_train_lb.json"


def write(folder: Path, name: str, value: object) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")


def write_entries(folder: Path, *entries: object, name: str = "vsann_train.json") -> Path:
    write(folder, name, list(entries))
    return folder


def only_event(folder: Path, **changes: Any) -> Event:
    write_entries(folder, {"Ev2": {**vidsitu_event(segment_id()), **changes}})
    (record,) = load_vidsitu(folder).records
    (event,) = record.annotations[0].events
    return event


def problems_of(folder: Path) -> list[tuple[str, str, str]]:
    """Place after the folder, field and what of every problem."""
    with pytest.raises(AnnotationError) as caught:
        load_vidsitu(folder)
    assert all(problem.fix for problem in caught.value.problems)
    return [
        (problem.where.removeprefix(f"{folder}/"), problem.field, problem.what)
        for problem in caught.value.problems
    ]


# --- Ids


@pytest.mark.parametrize(
    ("text", "youtube_id", "start_s", "end_s"),
    [
        ("v_plainId0001_seg_5_15", "plainId0001", 5, 15),
        ("v_aB3_dE-7hIj_seg_120_130", "aB3_dE-7hIj", 120, 130),
        ("v_-starts_4th_seg_0_10", "-starts_4th", 0, 10),
        ("v__lead_ing_1_seg_0_10", "_lead_ing_1", 0, 10),
        ("v_x_seg_0_10z_seg_40_50", "x_seg_0_10z", 40, 50),
        (f"v_{'_' * 11}_seg_1_2", "_" * 11, 1, 2),
    ],
)
def test_segment_id(text: str, youtube_id: str, start_s: int, end_s: int) -> None:
    assert parse_segment_id(text) == SegmentId(youtube_id=youtube_id, start_s=start_s, end_s=end_s)


@pytest.mark.parametrize(
    "text",
    [
        *("", "v_short_seg_0_10", "v_twelve_chars_seg_0_10", "plainId0001_seg_0_10"),
        *("v_plainId0001_seg_0", "v_plainId0001_seg_0_10.mp4", "v_plainId0001_seg_0_10\n"),
        *("v_plain/d0001_seg_0_10", "v_plainId0001_seg_-5_5", "v_plainId0001_seg_٣_١٣"),
    ],
)
def test_no_segment_id(text: str) -> None:
    assert parse_segment_id(text) is None


# --- What good files mean


def test_reads_an_entry_into_records(tmp_path: Path) -> None:
    write_vidsitu(tmp_path, num_train=1, num_valid=0)
    loaded = load_vidsitu(tmp_path)
    (record,) = loaded.records
    assert (record.id, record.video) == ("v_aB3_dE-7hIj_seg_0_10", "v_aB3_dE-7hIj_seg_0_10")
    assert (record.split, record.group) == ("train", "aB3_dE-7hIj")
    (annotation,) = record.annotations
    assert annotation.events[0] == Event(
        start_s=0.0,
        end_s=2.0,
        verb="juggle",
        gloss="toss (and catch)",
        sense="juggle.01",
        roles=(
            Role(name="juggler(s)", text="clown in a striped coat", slot="Arg0"),
            Role(name="things tossed, caught", text="three lemons", slot="Arg1"),
            Role(name="manner", text="calmly", slot="ArgM"),
        ),
        scene="rooftop garden",
        relation="Enables",
    )
    assert annotation.events[1].roles[1].name == "hearer (if any, not the tune)"
    assert [(event.start_s, event.end_s) for event in annotation.events] == [
        (0.0, 2.0),
        (2.0, 4.0),
        (4.0, 6.0),
        (6.0, 8.0),
        (8.0, 10.0),
    ]
    assert [event.relation for event in annotation.events] == [
        *("Enables", "Causes", "", "Reaction To", "NoRel")
    ]
    assert loaded.name == "vidsitu"
    assert loaded.source == str(tmp_path)
    assert loaded.split_sizes == {"train": 1, "valid": 1}
    assert loaded.notices == ()


def test_flat_folder_equals_official_layout(tmp_path: Path) -> None:
    nested = load_vidsitu(write_vidsitu(tmp_path / "nested", dirt=True))
    flat = load_vidsitu(write_vidsitu(tmp_path / "flat", dirt=True, flat=True))
    assert flat.records == nested.records
    assert (flat.notices, flat.split_sizes) == (nested.notices, nested.split_sizes)


def test_annotators_of_a_segment_stay_apart(tmp_path: Path) -> None:
    loaded = load_vidsitu(write_vidsitu(tmp_path, num_valid=2))
    counts = [(record.split, len(record.annotations)) for record in loaded.records]
    assert counts == [("train", 1), ("train", 1), ("valid", 3), ("valid", 3)]


def test_role_names_keep_commas_and_parentheses(tmp_path: Path) -> None:
    args = {
        "Arg2 (hearer (if any; not (ever) the tune), or not)": "b",
        "ArgM (direction (usually up or down))": "up",
        "Arg0 (tosser(s))": "a",
        "Arg1 (left (open)": "c",
    }
    roles = only_event(tmp_path, Args=args, Arg_List={}).roles
    assert [(role.slot, role.name, role.text) for role in roles] == [
        ("Arg2", "hearer (if any; not (ever) the tune), or not", "b"),
        ("ArgM", "direction (usually up or down)", "up"),
        ("Arg0", "tosser(s)", "a"),
        ("Arg1", "left (open", "c"),
    ]


def test_texts_are_verbatim(tmp_path: Path) -> None:
    padded = "counter  clockwise" + " " * 37_000
    event = only_event(tmp_path, Args={"Arg0 (a)": padded, "Scene of the Event": '"-"'})
    assert event.roles[0].text == padded
    assert event.scene == '"-"'


# --- Dirt handled by rule


def test_dirt_is_handled_and_counted(tmp_path: Path) -> None:
    loaded = load_vidsitu(write_vidsitu(tmp_path, num_train=1, dirt=True))
    assert loaded.notices == (
        "1 annotation without all five events: kept as annotated",
        "1 annotation equal to another of the segment: merged with it",
        "1 event without VerbID: completed from vinfo",
        "1 event without VerbID, not named by vinfo either: left empty",
        "1 event with a verb outside the vocabulary: kept",
        "2 values NaN in vinfo: read as missing",
        "1 segment in no split file: the annotation file's name decides",
    )
    clean, odd, partial, unlisted, _valid = loaded.records
    assert len(clean.annotations) == 1
    assert clean.annotations[0].events[0].relation == "Enables"
    texts = [role.text for role in odd.annotations[0].events[0].roles]
    assert texts == ["-", '"-"', "...", "Unkown", "not applicable", "<none>", "no one"]
    # The events turn by two: the fourth of this entry is the first of the made-up story.
    assert odd.annotations[0].events[3].sense == "juggle.01"
    assert odd.annotations[0].events[4].sense == ""
    assert [event.start_s for event in partial.annotations[0].events] == [6.0]
    assert (unlisted.split, unlisted.group) == ("train", YOUTUBE_IDS[3])


def test_equal_annotation_with_relations_wins_in_either_order(tmp_path: Path) -> None:
    plain = vidsitu_entry(segment_id(), relations=False)
    related = vidsitu_entry(segment_id())
    for name, entries in (("a", [plain, related]), ("b", [related, plain, related])):
        (record,) = load_vidsitu(write_entries(tmp_path / name, *entries)).records
        (annotation,) = record.annotations
        assert annotation.events[1].relation == "Causes"


def test_annotations_that_differ_in_their_relations_stay_apart(tmp_path: Path) -> None:
    other = vidsitu_entry(segment_id())
    other["Ev1"]["EvRel"] = "Causes"
    loaded = load_vidsitu(write_entries(tmp_path, vidsitu_entry(segment_id()), other))
    assert len(loaded.records[0].annotations) == 2
    assert loaded.notices == ()


def test_annotations_of_one_segment_are_joined_over_files(tmp_path: Path) -> None:
    write_entries(tmp_path, vidsitu_entry(segment_id()), name="vsann_train_b.json")
    write_entries(tmp_path, vidsitu_entry(segment_id(), first=1), name="vsann_train_a.json")
    (record,) = load_vidsitu(tmp_path).records
    verbs = [annotation.events[0].verb for annotation in record.annotations]
    assert verbs == ["whistle", "juggle"]


def test_split_file_decides_over_the_annotation_file(tmp_path: Path) -> None:
    write_entries(tmp_path, vidsitu_entry(segment_id()))
    write(tmp_path, "vseg_split_valid_lb.json", [segment_id()])
    loaded = load_vidsitu(tmp_path)
    assert loaded.records[0].split == "valid"
    assert loaded.notices == (
        "1 segment annotated in a file of another split: the split file, else the first file, "
        "decides",
    )


def test_segment_in_files_of_two_splits_goes_to_the_first(tmp_path: Path) -> None:
    write_entries(tmp_path, vidsitu_entry(segment_id()), name="vsann_valid.json")
    write_entries(tmp_path, vidsitu_entry(segment_id()), name="vsann_train.json")
    loaded = load_vidsitu(tmp_path)
    assert [record.split for record in loaded.records] == ["train"]
    assert loaded.notices[1].startswith("1 segment annotated in a file of another split")


def test_test_file_holds_all_test_splits(tmp_path: Path) -> None:
    segments = [segment_id(), segment_id(YOUTUBE_IDS[1])]
    write_entries(tmp_path, *map(vidsitu_entry, segments), name="vsann_test_lb.json")
    write(tmp_path, "vseg_split_testsrl_lb.json", segments[:1])
    write(tmp_path, "vseg_split_testvb_lb.json", segments[1:])
    loaded = load_vidsitu(tmp_path)
    assert [record.split for record in loaded.records] == ["testsrl", "testvb"]
    assert loaded.notices == ()


def test_youtube_video_in_two_splits_is_noticed(tmp_path: Path) -> None:
    write_entries(tmp_path, vidsitu_entry(segment_id()))
    write_entries(tmp_path, vidsitu_entry(segment_id(start_s=50)), name="vsann_valid.json")
    assert load_vidsitu(tmp_path).notices == (
        "1 group in more than one split, the first is 'aB3_dE-7hIj'",
    )


def test_verb_with_two_ids_in_vinfo_is_not_completed(tmp_path: Path) -> None:
    write_entries(tmp_path, {"Ev1": vidsitu_event(segment_id(), verb_id=None)})
    verbs = {"Ev1": ["walk (on foot)", "walk (on foot)"]}
    row = {"vb_lst": verbs, "vbid_lst": {"Ev1": ["walk.01", "walk.02"]}}
    write(tmp_path, "vinfo_train_lb.json", [row])
    loaded = load_vidsitu(tmp_path)
    assert loaded.records[0].annotations[0].events[0].sense == ""
    assert loaded.notices[-1] == "1 event without VerbID, not named by vinfo either: left empty"


def test_unknown_keys_are_counted(tmp_path: Path) -> None:
    write_entries(tmp_path, {"Ev1": {**vidsitu_event(segment_id()), "Worker": "w7"}})
    assert "1 key of unknown meaning: ignored ('Worker')" in load_vidsitu(tmp_path).notices


# --- Problems


BAD_EVENTS: list[tuple[dict[str, Any], str, str]] = [
    ({"Verb": ""}, "Verb", "is missing or empty"),
    ({"Verb": "(on foot)"}, "Verb", "is missing or empty"),
    ({"Verb": 3}, "Verb", "must be text, got 3"),
    ({"VerbID": None}, "VerbID", "must be text, got None"),
    ({"EvRel": ["Causes"]}, "EvRel", "must be text, got a list"),
    ({"Args": None}, "Args", "must be an object, got None"),
    ({"Args": {"Arg0 (a)": None}}, "Args.Arg0 (a)", "must be text, got None"),
    ({"Args": {"Arg0 (a)": "x" * 10_001}}, "Args.Arg0 (a)", "is longer than 10,000"),
    ({"Args": {"Arg0 (a)": "x\x00"}}, "Args.Arg0 (a)", "holds the character"),
    ({"Args": {"Arg0": "x"}}, "Args.Arg0", "is no role"),
    ({"Args": {"Arg0 ()": "x"}}, "Args.Arg0 ()", "is no role"),
    ({"Args": {"ArgX (a)": "x"}}, "Args.ArgX (a)", "is no role"),
    ({"Args": {"scene": "x"}}, "Args.scene", "is no role"),
]


@pytest.mark.parametrize(("changes", "field", "what"), BAD_EVENTS)
def test_bad_event(tmp_path: Path, changes: dict[str, Any], field: str, what: str) -> None:
    write_entries(tmp_path, {"Ev2": {**vidsitu_event(segment_id()), **changes}})
    ((where, found_field, found_what),) = problems_of(tmp_path)
    assert where == f"vsann_train.json: {segment_id()} Ev2"
    assert found_field == field
    assert found_what.startswith(what)


@pytest.mark.parametrize(
    ("entry", "field", "what"),
    [
        (7, "[1]", "must be an object of events"),
        ({}, "[1]", "must be an object of events"),
        ({"Ev6": {}}, "[1].Ev6", "is an unknown event"),
        ({"Ev1": []}, "[1].Ev1", "must be an object, got a list"),
        ({"Ev1": vidsitu_event("v_x_seg_0_10")}, "[1].Ev1.vid_seg_int", "is 'v_x_seg_0_10'"),
        (
            {"Ev1": vidsitu_event("v_plainId0001_seg_0_9")},
            "[1].Ev1.vid_seg_int",
            "v_plainId0001_seg_0_9 is not 10 s long",
        ),
        (
            {"Ev1": vidsitu_event(segment_id()), "Ev2": vidsitu_event(segment_id(start_s=5))},
            "[1].vid_seg_int",
            "of one annotation name several segments",
        ),
    ],
)
def test_bad_entry(tmp_path: Path, entry: object, field: str, what: str) -> None:
    write_entries(tmp_path, vidsitu_entry(segment_id()), entry)
    ((where, found_field, found_what),) = problems_of(tmp_path)
    assert (where, found_field) == ("vsann_train.json", field)
    assert found_what.startswith(what)


@pytest.mark.parametrize(
    ("name", "text", "field", "what"),
    [
        (TRAIN_FILE, "{}", "", "must be a list, got an object"),
        (TRAIN_FILE, "null", "", "holds nothing but null"),
        (TRAIN_FILE, "[NaN]", "", "NaN is not a JSON value"),
        (TRAIN_FILE, '[\n{"Ev1": 1,\n "Ev1": 2}]', "", "key 'Ev1' stands twice"),
        (TRAIN_FILE, "[\n\n1 2]", "", "is not JSON: Expecting ',' delimiter (line 3, column 3)"),
        (TRAIN_FILE, "[" * 100_000, "", "is nested too deeply"),
        ("split_files/vseg_split_valid_lb.json", '["v_x"]', "[0]", "is 'v_x', which is no segm"),
        ("split_files/vseg_split_valid_lb.json", "[3]", "[0]", "is 3, which is no segment id"),
        (
            "split_files/vseg_split_valid_lb.json",
            f'["{segment_id()}"]',
            "[0]",
            f"puts {segment_id()} into valid, but it is in train",
        ),
        ("vsitu_vocab/verb_voc.json", "[]", "", "must hold an object"),
        ("vinfo_files/vinfo_valid_lb.json", "[{}]", "[0].vb_lst", "or vbid_lst is missing"),
        (
            "vinfo_files/vinfo_valid_lb.json",
            '[{"vb_lst": {"Ev1": ["a"]}, "vbid_lst": {"Ev1": []}}]',
            "[0].vb_lst.Ev1",
            "and vbid_lst.Ev1 do not pair up",
        ),
    ],
)
def test_bad_file(tmp_path: Path, name: str, text: str, field: str, what: str) -> None:
    write_vidsitu(tmp_path, dirt=True)
    write(tmp_path, name, text)
    ((where, found_field, found_what),) = problems_of(tmp_path)
    assert (where, found_field) == (name, field)
    assert found_what.startswith(what)


def test_problems_of_all_files_are_listed(tmp_path: Path) -> None:
    write_vidsitu(tmp_path)
    write(tmp_path, "split_files/vseg_split_train_lb.json", ["x"])
    write_entries(tmp_path, {"Ev1": 1}, 2, name=TRAIN_FILE)
    write(tmp_path, "vsitu_vocab/verb_voc.json", "{")
    assert [(where, field) for where, field, _ in problems_of(tmp_path)] == [
        ("split_files/vseg_split_train_lb.json", "[0]"),
        (TRAIN_FILE, "[0].Ev1"),
        (TRAIN_FILE, "[1]"),
        ("vsitu_vocab/verb_voc.json", ""),
    ]


def test_folder_without_annotations_is_named(tmp_path: Path) -> None:
    ((_, _, what),) = problems_of(tmp_path)
    assert what == "holds no VidSitu annotation file vsann_*.json"
    ((_, _, what),) = problems_of(write_entries(tmp_path / "empty"))
    assert what == "holds no annotations"


def test_load_source_reads_folders_and_files(tmp_path: Path) -> None:
    assert load_source(write_vidsitu(tmp_path / "folder")).name == "vidsitu"
    assert load_source(write_jsonl(tmp_path / "own.jsonl", [own_video()])).name == "events"


# --- Any input


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 3), st.text(max_size=3), st.just(segment_id())
)
KEYS = st.sampled_from(
    ["Ev1", "Ev4", "vid_seg_int", "Args", "Verb", "VerbID", "EvRel", "Arg0 (a)", "ArgM ()", "x"]
)
EVENTS = st.fixed_dictionaries(
    {"vid_seg_int": st.just(segment_id()), "Verb": st.sampled_from(["walk (x)", "(", "run"])},
    optional={
        "Args": st.dictionaries(KEYS, SCALARS, max_size=2),
        "EvRel": SCALARS,
        "VerbID": SCALARS,
    },
)
ENTRIES = st.dictionaries(KEYS, EVENTS | SCALARS, max_size=2)
ANY_JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner), max_leaves=9
)


@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(value=st.lists(ENTRIES, max_size=3) | ANY_JSON, other=ANY_JSON)
def test_any_json_parses_or_raises_annotation_error(
    tmp_path: Path, value: object, other: object
) -> None:
    write(tmp_path, "vsann_train.json", json.dumps(value))
    write(tmp_path, "vinfo_train.json", json.dumps(other))
    try:
        loaded = load_vidsitu(tmp_path)
    except AnnotationError as error:
        assert all(problem.what and problem.fix for problem in error.problems)
    else:
        assert all(record.annotations != (Annotation(),) for record in loaded.records)
