"""Own annotation files: what they mean, and that every problem is found and named."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from figclip.annotations.own_files import load_annotations, split_verb
from figclip.errors import AnnotationError
from figclip.records import Annotation, AnnotationSet, Event, Role, VideoRecord
from tests.annotation_files import own_event, own_video, write_csv, write_jsonl


def load_lines(tmp_path: Path, *videos: object) -> AnnotationSet:
    return load_annotations(write_jsonl(tmp_path / "own.jsonl", videos))


def load_bytes(tmp_path: Path, data: bytes, *, name: str = "own.jsonl") -> AnnotationSet:
    path = tmp_path / name
    path.write_bytes(data)
    return load_annotations(path)


def problems_of(tmp_path: Path, *videos: object) -> list[tuple[str, str, str]]:
    """Line, field and what of every problem."""
    with pytest.raises(AnnotationError) as caught:
        load_lines(tmp_path, *videos)
    return [(p.where.rpartition(":")[2], p.field, p.what) for p in caught.value.problems]


def one_problem(tmp_path: Path, data: bytes, *, name: str = "own.jsonl") -> tuple[str, str, str]:
    with pytest.raises(AnnotationError) as caught:
        load_bytes(tmp_path, data, name=name)
    (problem,) = caught.value.problems
    assert problem.fix
    return problem.where.rpartition("own")[2], problem.field, problem.what


def roles_of(tmp_path: Path, **changes: object) -> tuple[Role, ...]:
    loaded = load_lines(tmp_path, own_video(events=[own_event(**changes)]))
    return loaded.records[0].annotations[0].events[0].roles


# --- What a good file means


def test_reads_a_line_into_records(tmp_path: Path) -> None:
    loaded = load_lines(tmp_path, own_video())
    pouring = Event(
        start_s=0.0,
        end_s=2.5,
        verb="pour",
        gloss="let flow",
        sense="pour.01",
        roles=(
            Role(name="pourer", text="nurse in green", slot="Arg0"),
            Role(name="liquid", text="tea", slot="Arg1"),
            Role(name="direction", text="down", slot="ArgM"),
        ),
        scene="tent",
    )
    drinking = Event(start_s=2.5, end_s=4.0, verb="drink", roles=pouring.roles, scene="tent")
    annotation = Annotation(events=(pouring, drinking), captions=("A nurse pours tea.",))
    record = VideoRecord(
        id="a1", video="clips/a1.mp4", split="train", group="film7", annotations=(annotation,)
    )
    assert loaded == AnnotationSet(
        name="events", source=str(tmp_path / "own.jsonl"), records=(record,)
    )


def test_defaults(tmp_path: Path) -> None:
    event = {"start_s": 0, "end_s": 1, "verb": "wave"}
    (record,) = load_lines(tmp_path, {"video": "b.mp4", "events": [event]}).records
    assert (record.id, record.split, record.group) == ("b.mp4", "train", "")
    assert record.annotations[0].events == (Event(start_s=0.0, end_s=1.0, verb="wave"),)


def test_captions_alone_are_enough(tmp_path: Path) -> None:
    (record,) = load_lines(
        tmp_path, {"video": "b.mp4", "captions": ["A cat."], "events": []}
    ).records
    assert record.annotations == (Annotation(captions=("A cat.",)),)


def test_text_is_kept_verbatim(tmp_path: Path) -> None:
    text = ' "-"  M&Ms \u2028 ' + " " * 20_000
    (role,) = roles_of(tmp_path, roles={"eater": text}, slots={})
    assert role.text == text


@pytest.mark.parametrize(
    ("text", "verb", "gloss"),
    [
        ("walk", "walk", ""),
        (" deflect (block, avoid) ", "deflect", "block, avoid"),
        ("clamber (climb (clomb?))", "clamber", "climb (clomb?)"),
        ("dance (dance!)", "dance", "dance!"),
        ("look up (raise) (the eyes)", "look up", "raise) (the eyes"),
        ("walk ()", "walk", ""),
        ("walk (on foot", "walk (on foot", ""),
        ("(on foot)", "", "on foot"),
    ],
)
def test_split_verb(text: str, verb: str, gloss: str) -> None:
    assert split_verb(text) == (verb, gloss)


def test_default_slots_skip_modifiers_and_slots_already_given(tmp_path: Path) -> None:
    names = ["manner", "thing", "giver", "Location", "purpose", "goal", "taker", "direction"]
    roles = roles_of(tmp_path, roles=dict.fromkeys(names, "x"), slots={"giver": "Arg0"})
    assert [role.name for role in roles] == names
    assert [role.slot for role in roles] == [
        *("ArgM", "Arg1", "Arg0", "ArgM", "ArgM", "ArgM", "Arg2", "ArgM")
    ]


def test_given_slots_win_over_defaults(tmp_path: Path) -> None:
    roles = roles_of(
        tmp_path, roles={"tool": "saw", "goal": "ball"}, slots={"tool": "ArgM", "goal": "Arg9"}
    )
    assert [role.slot for role in roles] == ["ArgM", "Arg9"]


def test_role_called_scene_is_the_scene(tmp_path: Path) -> None:
    event = own_event(roles={"scene": "harbour", "pourer": "nurse"}, scene=None)
    (record,) = load_lines(tmp_path, own_video(events=[event])).records
    (read,) = record.annotations[0].events
    assert read.scene == "harbour"
    assert [role.name for role in read.roles] == ["pourer"]


def test_lines_of_one_id_are_annotations_of_one_video(tmp_path: Path) -> None:
    other = own_video(captions=["Tea time."])
    loaded = load_lines(tmp_path, own_video(), own_video(id="b"), other, own_video(), other)
    assert [(record.id, len(record.annotations)) for record in loaded.records] == [
        ("a1", 2),
        ("b", 1),
    ]
    assert loaded.records[0].annotations[1].captions == ("Tea time.",)
    assert loaded.notices == ("2 annotations equal another of its video: dropped",)


def test_leaks_between_splits_are_noticed(tmp_path: Path) -> None:
    loaded = load_lines(
        tmp_path,
        own_video(),
        own_video(id="b", split="valid"),
        own_video(id="c", video="c.mp4", split="valid"),
        own_video(id="d", video="d.mp4", split="valid", group="film8"),
    )
    assert loaded.notices == (
        "1 group in more than one split, the first is 'film7'",
        "1 video file in more than one split, the first is 'clips/a1.mp4'",
    )


def test_byte_order_mark_crlf_and_blank_lines(tmp_path: Path) -> None:
    line = json.dumps(own_video()).encode()
    data = b"\xef\xbb\xbf\r\n" + line + b"\r\n\r\n  \r\n" + line.replace(b"a1", b"b") + b"\r\n"
    assert [record.id for record in load_bytes(tmp_path, data).records] == ["a1", "b"]


def test_line_separator_inside_a_text_does_not_end_the_line(tmp_path: Path) -> None:
    loaded = load_lines(tmp_path, own_video(captions=["one\u2028two\x85three"]))
    assert loaded.records[0].annotations[0].captions == ("one\u2028two\x85three",)


# --- CSV


def test_csv_equals_jsonl(tmp_path: Path) -> None:
    rows = [
        {
            **{"id": "a1", "video": "clips/a1.mp4", "split": "train", "group": "film7"},
            **{"start_s": "0.0", "end_s": " 2.5 ", "verb": "pour (let flow)", "sense": "pour.01"},
            **{
                "role:pourer": "nurse, in\r\n green",
                "role:liquid": "tea",
                "role:direction": "down",
            },
            "scene": "tent",
        },
        {
            **{"id": "a1", "video": "clips/a1.mp4", "split": "train", "group": "film7"},
            **{"start_s": "2.5", "end_s": "4", "verb": "drink", "role:to:whom:Arg2": "boy"},
        },
    ]
    roles = {"pourer": "nurse, in\r\n green", "liquid": "tea", "direction": "down"}
    events = [
        own_event(roles=roles),
        {
            **{"start_s": 2.5, "end_s": 4.0, "verb": "drink"},
            **{"roles": {"to:whom": "boy"}, "slots": {"to:whom": "Arg2"}},
        },
    ]
    from_csv = load_annotations(write_csv(tmp_path / "own.CSV", rows))
    from_jsonl = load_lines(tmp_path, own_video(events=events, captions=None))
    assert from_csv.records == from_jsonl.records


def test_times_in_csv_may_have_any_white_space_around_them(tmp_path: Path) -> None:
    rows = [{"video": "v.mp4", "start_s": "\x1d0", "end_s": "\u20032.5\x1f", "verb": "walk"}]
    ((annotation,),) = (
        one.annotations for one in load_annotations(write_csv(tmp_path / "own.csv", rows)).records
    )
    assert (annotation.events[0].start_s, annotation.events[0].end_s) == (0, 2.5)


def test_csv_rows_of_a_video_may_lie_apart(tmp_path: Path) -> None:
    """Problems of the rows come first, then those of the videos in order of their first rows."""
    path = tmp_path / "own.csv"
    path.write_text(
        "video,split,start_s,end_s,verb\n"
        "a,train,0,1,\nb,train,1,0,walk\na,valid,2,1,walk\nb,train\na,train,5,6,\n"
    )
    with pytest.raises(AnnotationError) as caught:
        load_annotations(path)
    found = [(one.where.rpartition(":")[2], one.field) for one in caught.value.problems]
    assert found == [
        ("4", "split"), ("5", ""), ("2", "verb"), ("4", "end_s"), ("6", "verb"), ("3", "end_s")
    ]  # fmt: skip


def test_csv_annotation_column_keeps_annotators_apart(tmp_path: Path) -> None:
    row = {"video": "b.mp4", "start_s": "0", "end_s": "1", "verb": "wave", "annotation": "x"}
    rows = [row, {**row, "annotation": "y", "verb": "nod"}, {**row, "start_s": "0.5"}]
    (record,) = load_annotations(write_csv(tmp_path / "own.csv", rows)).records
    verbs = [[event.verb for event in annotation.events] for annotation in record.annotations]
    assert verbs == [["wave", "wave"], ["nod"]]


@pytest.mark.parametrize(
    ("text", "line", "field", "what"),
    [
        ("video,start_s,end_s\na.mp4,0,1\n", "1", "verb", "column is missing"),
        ("video,start_s,end_s,verb,vreb\n", "1", "vreb", "is an unknown column"),
        ("video,start_s,end_s,verb,verb\n", "1", "verb", "is the name of two columns"),
        ("video,start_s,end_s,verb,role:a,role:a:Arg1\n", "1", "role:a", "is the role of two"),
        ("video,start_s,end_s,verb,role:\n", "1", "role:", "has no role name"),
        ("video,start_s,end_s,verb\n\na.mp4,0,1\n", "3", "", "has 3 cells, the first row has 4"),
        ('video,start_s,end_s,verb\na.mp4,0,1,"walk"s\n', "2", "", "is not CSV"),
        ("video,start_s,end_s,verb\na.mp4,0,1,\n", "2", "verb", "is missing or empty"),
        ('video,start_s,end_s,verb\na.mp4,0,"0,5",walk\n', "2", "end_s", "must be a number"),
        ("video,start_s,end_s,verb\na.mp4,0,nan,walk\n", "2", "end_s", "must be a number"),
        ("video,start_s,end_s,verb\na.mp4,0,1e999,walk\n", "2", "end_s", "is inf, outside"),
        ("video,start_s,end_s,verb,split\na,0,1,b,x\na,1,2,b,y\n", "3", "split", "is 'y', but 'x'"),
        ("video,start_s,end_s,verb\na.mp4,2,1,walk\n", "2", "end_s", "is 1, not after start_s 2"),
        (f"video,start_s,end_s,verb\na,0,1,{'x' * 140_000}\n", "2", "", "is not CSV: field larger"),
        ("video,start_s,end_s,verb\n", "", "", "holds no videos"),
    ],
)
def test_csv_problems(tmp_path: Path, text: str, line: str, field: str, what: str) -> None:
    where, found_field, found_what = one_problem(tmp_path, text.encode(), name="own.csv")
    assert where == f".csv:{line}".rstrip(":")
    assert found_field == field
    assert found_what.startswith(what)


# --- Problems of JSONL


def test_all_problems_are_listed_in_file_order(tmp_path: Path) -> None:
    events = [own_event(end_s=-1), own_event(verb="  "), own_event(start_s="0", sens="x")]
    problems = problems_of(tmp_path, own_video(video="/a.mp4"), own_video(events=events), 7)
    assert [(line, field) for line, field, _ in problems] == [
        ("1", "video"),
        ("2", "events[0].end_s"),
        ("2", "events[1].verb"),
        ("2", "events[2].sens"),
        ("2", "events[2].start_s"),
        ("3", ""),
    ]


def test_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match='Did you mean "end_s"'):
        load_lines(tmp_path, own_video(events=[own_event(ends=3)]))
    with pytest.raises(AnnotationError, match="Valid are video, id, split"):
        load_lines(tmp_path, own_video(zzz=3))


BAD_LINES: list[tuple[dict[str, Any], str, str]] = [
    ({"video": None}, "video", "is missing"),
    ({"video": ""}, "video", "is ''"),
    ({"video": 3}, "video", "must be text, got 3"),
    ({"video": "/abs/a.mp4"}, "video", "'/abs/a.mp4' is an absolute path"),
    ({"video": "C:/a.mp4"}, "video", "'C:/a.mp4' is an absolute path"),
    ({"video": "a\\b.mp4"}, "video", "'a\\\\b.mp4' holds a backslash"),
    ({"video": "../a.mp4"}, "video", "'../a.mp4' has a \"..\" part"),
    ({"video": "b/../../a.mp4"}, "video", "'b/../../a.mp4' has a \"..\" part"),
    ({"id": " a1"}, "id", "is ' a1'"),
    ({"split": "a\nb"}, "split", "is 'a\\nb'"),
    ({"group": ["x"]}, "group", "must be text, got a list"),
    ({"format": 2}, "format", "is 2, this figclip reads format 1"),
    ({"format": True}, "format", "is True"),
    ({"events": {}}, "events", "must be a list of events, got an object"),
    ({"events": [], "captions": []}, "events", "and captions are both missing"),
    ({"events": None, "captions": None}, "events", "and captions are both missing"),
    ({"events": ["x"]}, "events[0]", "must be an object, got 'x'"),
    ({"events": [own_event()] * 33}, "events", "has 33 entries, at most 32"),
    ({"captions": "A cat."}, "captions", "must be a list of sentences, got 'A cat.'"),
    ({"captions": ["x", " "]}, "captions[1]", "is empty"),
    ({"captions": [None]}, "captions[0]", "must be text, got None"),
    ({"captions": ["x" * 10_001]}, "captions[0]", "is longer than 10,000 characters"),
    ({"captions": ["a\x00b"]}, "captions[0]", "holds the character '\\x00'"),
    ({"zzz": 1}, "zzz", "is an unknown key"),
]
BAD_EVENTS: list[tuple[dict[str, Any], str, str]] = [
    ({"start_s": None}, "start_s", "is missing"),
    ({"start_s": -0.1}, "start_s", "is -0.1, outside 0"),
    ({"start_s": 2.5}, "end_s", "is 2.5, not after start_s 2.5"),
    ({"start_s": 3}, "end_s", "is 2.5, not after start_s 3"),
    ({"start_s": False}, "start_s", "must be a number, got False"),
    ({"end_s": "2"}, "end_s", "must be a number, got '2'"),
    ({"end_s": 1_000_001}, "end_s", "is 1000001, outside 0 … 1,000,000 s"),
    ({"end_s": 10**400}, "end_s", "is 1000000"),
    ({"verb": None}, "verb", "is missing or empty"),
    ({"verb": " (on foot)"}, "verb", "is missing or empty"),
    ({"verb": "(on foot"}, "verb", "is missing or empty"),
    ({"verb": ["walk"]}, "verb", "must be text, got a list"),
    ({"sense": ""}, "sense", "is ''"),
    ({"roles": []}, "roles", "must be an object, got a list"),
    ({"roles": {"walker": 3}}, "roles.walker", "must be text, got 3"),
    ({"roles": {" ": "x"}}, "roles. ", "is empty"),
    ({"roles": {f"r{i}": "x" for i in range(11)}}, "roles", "has more than 10 roles"),
    ({"roles": {"scene": "x"}}, "scene", "is given twice"),
    ({"scene": 3}, "scene", "must be text"),
    ({"slots": []}, "slots", "must be an object, got a list"),
    ({"slots": {"walker": "Arg0"}}, "slots.walker", "is not one of the roles"),
    ({"slots": {"pourer": "Arg10"}}, "slots.pourer", "is 'Arg10'"),
    ({"slots": {"pourer": ["Arg1"]}}, "slots.pourer", "is a list"),
    ({"slots": {"pourer": "Arg1", "liquid": "Arg1"}}, "slots.liquid", "is Arg1, as another"),
    ({"scene": None, "roles": {"scene": "x"}, "slots": {"scene": "ArgM"}}, "slots.scene", "has no"),
    ({"sens": "x"}, "sens", "is an unknown key"),
]


@pytest.mark.parametrize(("changes", "field", "what"), BAD_LINES)
def test_bad_line(tmp_path: Path, changes: dict[str, Any], field: str, what: str) -> None:
    ((line, found_field, found_what),) = problems_of(tmp_path, own_video(**changes))
    assert (line, found_field) == ("1", field)
    assert found_what.startswith(what)


@pytest.mark.parametrize(("changes", "field", "what"), BAD_EVENTS)
def test_bad_event(tmp_path: Path, changes: dict[str, Any], field: str, what: str) -> None:
    video = own_video(events=[own_event(), own_event(**changes)])
    ((line, found_field, found_what),) = problems_of(tmp_path, video)
    assert (line, found_field) == ("1", f"events[1].{field}")
    assert found_what.startswith(what)


@pytest.mark.parametrize(
    ("data", "where", "what"),
    [
        (b"", ".jsonl", "holds no videos"),
        (b"\n \r\n", ".jsonl", "holds no videos"),
        (b'{"video": "a"', ".jsonl:1", "is not JSON: Expecting ',' delimiter (column 14)"),
        (b'\n{"video": NaN}', ".jsonl:2", "NaN is not a JSON value"),
        (b'{"video": -Infinity}', ".jsonl:1", "-Infinity is not a JSON value"),
        (b'{"a": 1, "b": 2, "a": 3}', ".jsonl:1", "key 'a' stands twice in one object"),
        (b"[" * 100_000, ".jsonl:1", "is nested too deeply"),
        (b'{"video": ' + b"9" * 5_000 + b"}", ".jsonl:1", "Exceeds the limit"),
        (b"\xff\xfe{\x00}\x00", ".jsonl", "is UTF-16 text"),
        (b"\n\n\xe9\n", ".jsonl:3", "is not UTF-8 text (byte 1 of the line)"),
        (b"null", ".jsonl:1", "must be an object, got None"),
        (b"[1]", ".jsonl:1", "must be an object, got a list"),
    ],
)
def test_bad_bytes(tmp_path: Path, data: bytes, where: str, what: str) -> None:
    if b"\xe9" in data:
        # The line that is not UTF-8 is not JSON either; the first problem is the cause.
        with pytest.raises(AnnotationError) as caught:
            load_bytes(tmp_path, data)
        found = caught.value.problems[0]
        assert (found.where.rpartition("own")[2], found.what) == (where, what)
    else:
        found_where, _, found_what = one_problem(tmp_path, data)
        assert found_where == where
        assert found_what.startswith(what)


def test_lone_surrogate_is_refused(tmp_path: Path) -> None:
    _, field, what = one_problem(tmp_path, b'{"video": "a", "captions": ["\\ud83d"]}')
    assert field == "captions[0]"
    assert what == "holds the character '\\ud83d', which is not text"


@pytest.mark.parametrize("field", ["video", "split", "group"])
def test_lines_of_one_id_must_agree(tmp_path: Path, field: str) -> None:
    ((line, found_field, what),) = problems_of(
        tmp_path, own_video(), own_video(captions=["x"], **{field: "other"})
    )
    assert (line, found_field) == ("2", field)
    assert what.startswith("is 'other', but '")
    assert "own.jsonl:1 for the same id" in what


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"none\.jsonl: cannot be read \(No such file"):
        load_annotations(tmp_path / "none.jsonl")
    with pytest.raises(AnnotationError, match="cannot be read"):
        load_annotations(tmp_path)
    (tmp_path / "own.txt").write_text("{}")
    with pytest.raises(AnnotationError, match=r"neither \.jsonl nor \.csv"):
        load_annotations(tmp_path / "own.txt")


# --- Any input


VALID_KEYS = [
    *("video", "id", "split", "group", "events", "captions", "format"),
    *("start_s", "end_s", "verb", "sense", "roles", "slots", "scene", "walker", "direction"),
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 9),
    st.floats(),
    st.integers(),
    st.text(max_size=5),
    st.sampled_from(
        ["a", "b.mp4", "Arg0", "Arg1", "ArgM", "walk (x)", "..", "/x", "\ud800", "\x00"]
    ),
)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.one_of(st.sampled_from(VALID_KEYS), st.text(max_size=3))
    return st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=6)


EVENTS = st.fixed_dictionaries(
    {"start_s": st.sampled_from([0, 0.5]), "end_s": st.sampled_from([1, 2.5, 0]), "verb": SCALARS},
    optional={
        "roles": st.dictionaries(st.sampled_from(["a", "scene", "goal", ""]), SCALARS, max_size=3),
        "slots": st.dictionaries(st.sampled_from(["a", "goal"]), SCALARS, max_size=2),
        "scene": SCALARS,
        "sense": SCALARS,
    },
)
VIDEOS = st.fixed_dictionaries(
    {"video": st.sampled_from(["a.mp4", "b/c.mp4", "..", ""])},
    optional={
        "events": st.lists(EVENTS, max_size=3),
        "captions": st.lists(SCALARS, max_size=2),
        "format": st.sampled_from([1, 1.0, 2]),
        "id": SCALARS,
    },
)
JSON_LINES = st.lists(VIDEOS | st.recursive(SCALARS, _containers, max_leaves=12), max_size=3)
ANY_BYTES = st.one_of(
    st.binary(max_size=60),
    st.text(alphabet='{}[],:"\\\n\r 0123eENa-\ufeff\ud83d\ude00', max_size=40).map(
        lambda text: text.encode("utf-8", errors="surrogatepass")
    ),
    JSON_LINES.map(lambda lines: "\n".join(map(json.dumps, lines)).encode()),
)
FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SCHEMA: dict[str, Any] = json.loads(
    files("figclip.annotations").joinpath("annotations.schema.json").read_text(encoding="utf-8")
)


def schema_accepts(line: Any) -> bool:
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(line)


@FUZZ
@given(data=ANY_BYTES)
def test_any_bytes_parse_or_raise_annotation_error(tmp_path: Path, data: bytes) -> None:
    for name in ("own.jsonl", "own.csv"):
        try:
            loaded = load_bytes(tmp_path, data, name=name)
        except AnnotationError as error:
            assert error.problems
            assert all(problem.what and problem.fix for problem in error.problems)
            str(error).encode("utf-8")
        else:
            assert loaded.records


@FUZZ
@given(
    cells=st.lists(
        st.lists(st.sampled_from(["", "a", "0", "1.5", "nan", " x", '"', "Arg1"]), max_size=7),
        max_size=4,
    )
)
def test_any_csv_rows_parse_or_raise_annotation_error(
    tmp_path: Path, cells: list[list[str]]
) -> None:
    header = ["video", "id", "start_s", "end_s", "verb", "role:a:Arg1", "role:b"]
    text = "\n".join(",".join(row) for row in [header, *cells])
    try:
        loaded = load_bytes(tmp_path, text.encode(), name="own.csv")
    except AnnotationError as error:
        assert all(":" in problem.where for problem in error.problems[1:])
    else:
        assert all(record.annotations[0].events for record in loaded.records)


# --- The published schema


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@FUZZ
@given(line=VIDEOS)
def test_schema_accepts_what_the_reader_accepts(tmp_path: Path, line: dict[str, Any]) -> None:
    try:
        load_lines(tmp_path, json.loads(json.dumps(line, allow_nan=False)))
    except (AnnotationError, ValueError):
        return
    assert schema_accepts(line)


# What a schema cannot say; the reader alone refuses it.
READER_ONLY = (
    "is 2.5, not after start_s",
    "is longer than",
    "holds the character",
    "has more than 10 roles",
    "is given twice",
    "is not one of the roles",
    "is Arg1, as another",
    "has no",
)


@pytest.mark.parametrize(("changes", "field", "what"), [*BAD_LINES, *BAD_EVENTS])
def test_schema_refuses_what_the_reader_refuses(
    changes: dict[str, Any], field: str, what: str
) -> None:
    is_event = (changes, field, what) in BAD_EVENTS
    line = own_video(events=[own_event(**changes)]) if is_event else own_video(**changes)
    assert schema_accepts(line) == what.startswith(READER_ONLY)


def test_schema_accepts_the_documented_example() -> None:
    assert schema_accepts(own_video())
    assert schema_accepts({"video": "a.mp4", "captions": ["A cat."], "events": [], "format": 1})


def test_a_json_list_is_named_before_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text('[\n{"video": "a.mp4"},\n{"video": "b.mp4"}\n]\n')
    with pytest.raises(AnnotationError) as raised:
        load_annotations(file)
    [problem] = raised.value.problems
    assert problem.what == "is one JSON list"
    assert problem.fix == "Write one object a line, without [ ]"
