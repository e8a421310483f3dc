"""Lines of annotations: read, changed, checked and saved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from figclip.annotations.own_files import load_annotations, parse_annotations
from figclip.demo import annotating
from figclip.demo.annotating import (
    Annotations,
    form_of,
    line_of,
    with_form,
    with_new_event,
    without_event,
)
from figclip.errors import AnnotationError, ConfigError
from tests.situation_files import write_official
from tests.videos import draw_video

PUSH = {
    "start_s": 0.0,
    "end_s": 2.0,
    "verb": "push (shove)",
    "sense": "push.01",
    "roles": {"pusher": "man", "thing pushed": "box: red", "manner": "slowly"},
    "slots": {"thing pushed": "Arg1"},
    "scene": "park",
}
PULL = {**PUSH, "start_s": 1.0, "verb": "pull", "sense": "pull.01"}


def line(*events: dict[str, Any], video: str = "a.mp4") -> str:
    return json.dumps({"video": video, "events": list(events)})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "own.jsonl"
    path.write_text(f"{line(PUSH, PULL)}\n\n{line(PULL, video='b.mp4')}\n{line(PUSH)}\n")
    return path


def opened(file: Path) -> Annotations:
    return Annotations.load(file, videos=file.parent)


def test_lines_are_those_of_the_file(file: Path):
    annotations = opened(file)
    assert annotations.lines == [line(PUSH, PULL), line(PULL, video="b.mp4"), line(PUSH)]
    assert annotations.names == ["a.mp4, annotation 1", "b.mp4", "a.mp4, annotation 2"]


def test_official_files_are_shown_and_not_saved(tmp_path: Path):
    write_official(tmp_path / "official")
    annotations = Annotations.load(tmp_path / "official", videos=tmp_path)
    first = annotations.lines[0]
    assert annotations.events(first)
    with pytest.raises(ConfigError, match="can only be looked at"):
        annotations.save(0, first)


def test_a_record_is_written_as_a_line_that_reads_back_as_it(file: Path):
    (record, *_) = load_annotations(file).records
    first = replace(record, annotations=record.annotations[:1])
    (again,) = parse_annotations(line_of(first, first.annotations[0]), source="line").records
    assert again == first


def test_events_come_with_their_texts(file: Path):
    annotations = opened(file)
    push, _ = annotations.events(annotations.lines[0])
    assert push.caption.startswith("In this photo, the action is push, the pusher is man")
    (pull,) = annotations.events(annotations.lines[1])
    assert all("push" in one for one in pull.negatives)


def test_a_form_changes_what_it_shows_and_nothing_else():
    before = line(PUSH, PULL)
    form = form_of(before, 0)
    assert form.roles == "pusher: man\nthing pushed: box: red\nmanner: slowly"
    assert json.loads(with_form(before, 0, form)) == json.loads(before)
    changed = with_form(before, 0, replace(form, end_s=None, roles="pusher: cat", scene=""))
    event, other = json.loads(changed)["events"]
    assert event == {
        "start_s": 0.0, "verb": "push (shove)", "sense": "push.01", "roles": {"pusher": "cat"}
    }  # fmt: skip
    assert other == PULL


@pytest.mark.parametrize(
    ("roles", "why"),
    [("cat", "'cat' has no name"), (": cat", "no name"), ("a: b\na: c", "'a' is there twice")],
)
def test_roles_without_a_name_are_refused(roles: str, why: str):
    with pytest.raises(ConfigError, match=why):
        with_form(line(PUSH), 0, replace(form_of(line(PUSH), 0), roles=roles))


def test_events_are_added_and_removed(file: Path):
    longer = with_new_event(line(PUSH), duration_s=10.0)
    opened(file).check(longer)
    assert json.loads(longer)["events"][1] == {"start_s": 2.0, "end_s": 4.0, "verb": "do"}
    late = with_new_event(line(PUSH), duration_s=3.0)
    assert json.loads(late)["events"][1]["start_s"] == 1.0
    assert without_event(longer, 1) == line(PUSH)


@pytest.mark.parametrize(
    "wrong",
    ["", "[]", "{", "null", line({**PUSH, "end_s": 0}), line(PUSH, video="../a.mp4"), "[" * 9999],
)
def test_what_the_reader_refuses_is_not_saved(file: Path, wrong: str):
    before = file.read_text()
    with pytest.raises(AnnotationError):
        opened(file).save(0, wrong)
    assert file.read_text() == before


def test_a_line_is_saved_whole(file: Path):
    annotations = opened(file)
    annotations.save(1, line(PUSH, video="b.mp4"))
    expected = [line(PUSH, PULL), line(PUSH, video="b.mp4"), line(PUSH)]
    assert file.read_text() == "".join(f"{one}\n" for one in expected)
    annotations.save(1, line(PULL, video="b.mp4").replace(", ", ",\n"))
    assert len(file.read_text().splitlines()) == 3
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_others_changed_is_left_alone(file: Path):
    annotations = opened(file)
    file.write_text(line(PULL))
    with pytest.raises(ConfigError, match="changed by another program"):
        annotations.save(0, line(PUSH))
    assert file.read_text() == line(PULL)


def test_files_that_a_page_cannot_take_are_refused(file: Path, monkeypatch: pytest.MonkeyPatch):
    table = file.with_suffix(".csv")
    table.write_text("video,start_s,end_s,verb\na.mp4,0,1,walk\n")
    with pytest.raises(ConfigError, match=r"Give a \.jsonl file"):
        opened(table)
    monkeypatch.setattr(annotating, "MAX_LINE_CHARS", 5)
    with pytest.raises(ConfigError, match="longer than 5 characters"):
        opened(file)
    monkeypatch.setattr(annotating, "MAX_LINES", 2)
    with pytest.raises(ConfigError, match="has 3 annotations, a page takes 2"):
        opened(file)


def test_videos_are_those_of_the_folder(file: Path, tmp_path: Path):
    outside = draw_video(tmp_path / "outside.mp4", stamps=range(10))
    videos = tmp_path / "videos"
    videos.mkdir()
    draw_video(videos / "a.mp4", stamps=range(10))
    (videos / "b.mp4").symlink_to(outside)
    annotations = Annotations.load(file, videos=videos)
    found = annotations.video(annotations.lines[0])
    assert found is not None and found.path == videos / "a.mp4"
    assert found.span_s == pytest.approx((0.0, 1.0))
    assert annotations.video(annotations.lines[1]) is None  # the link leads out
    assert annotations.video(line(PUSH, video="c.mp4")) is None
