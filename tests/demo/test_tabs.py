"""What the tabs do with clicks and texts, without a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from figclip import Index
from figclip.demo.annotating import Annotations, EventForm
from figclip.demo.comparing import Comparer
from figclip.demo.examples import Example
from figclip.demo.media import Medium, Shelf
from figclip.demo.tabs import AnnotationTab, AnnotationView, ComparisonTab, Draft, SearchTab
from figclip.errors import ConfigError
from figclip.model.figclip import FiGCLIP
from tests.search.hand_made import write_index
from tests.small_runs import write_tiny_clip
from tests.videos import draw_video

PUSH, PULL = "a man pushes a woman", "a woman pulls a cat"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FiGCLIP:
    return FiGCLIP.from_pretrained(write_tiny_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "shelf").mkdir()
    return Shelf(tmp_path / "shelf")


@pytest.fixture
def comparison(model: FiGCLIP, shelf: Shelf, tmp_path: Path) -> ComparisonTab:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    example = Example(medium=Medium(path=tmp_path / "a.png"), sentences=(PUSH, PULL))
    return ComparisonTab(Comparer(model, model), shelf, [example])


def test_an_example_brings_its_sentences(comparison: ComparisonTab):
    view = comparison.choose({"example": 0}, "")
    assert view.text == f"{PUSH}\n{PULL}" and f"/media/{view.token}" in view.stage
    assert view.result.count("bar-row") == 4 and "This is what is shown" in view.result
    assert 'aria-pressed="true"' in view.stage and comparison.begin() == view


def test_one_click_adds_a_counterpart(comparison: ComparisonTab):
    token = comparison.begin().token
    text, result = comparison.add({"add": "a woman pushes a man"}, token, f"{PUSH}\n")
    assert text == f"{PUSH}\na woman pushes a man" and result.count("<li>") == 2


def test_one_s_own_picture_keeps_the_sentences(
    comparison: ComparisonTab, shelf: Shelf, tmp_path: Path
):
    mine = shelf.put(Medium(path=tmp_path / "a.png", still=b"x"))
    view = comparison.choose({"medium": mine}, PUSH)
    assert (view.token, view.text) == (mine, PUSH) and "what is shown" not in view.result


@pytest.mark.parametrize("data", [{}, {"example": 1}, {"example": -1}, {"example": "0"}])
def test_unknown_examples_are_refused(comparison: ComparisonTab, data: dict[str, Any]):
    with pytest.raises(ConfigError, match="no such entry"):
        comparison.choose(data, "")


def test_nothing_chosen_and_nothing_written_are_said(comparison: ComparisonTab):
    assert "Choose a picture or clip" in comparison.compare("", PUSH)
    token = comparison.begin().token
    assert "There is no sentence yet. Write what happens" in comparison.compare(token, "\n")
    assert "not here any more" in comparison.compare("x" * 16, PUSH)


@pytest.fixture
def search(model: FiGCLIP, shelf: Shelf, tmp_path: Path) -> SearchTab:
    draw_video(tmp_path / "a.mp4", stamps=range(30))
    shown = {"a.mp4": [PULL, PUSH], "gone.mp4": [PUSH]}
    path = write_index(tmp_path / "my.index", model, shown, folder=str(tmp_path))
    index = Index.open(path, model=model)
    return SearchTab(index, shelf, model="m", queries=[PUSH])


def test_moments_play_if_their_video_is_there(search: SearchTab):
    found = search.search(PUSH, "")
    assert found.count("data-play") == 1 and "a.mp4 from 0:01.0 to 0:03.0" in found
    assert "gone.mp4" in found and "Missing: no such file. Run `figclip index` again." in found


def test_what_it_must_not_be_gives_margins(search: SearchTab):
    assert "margin over" not in search.search(PUSH, "")
    against, found = search.suggest(PUSH, "")
    assert against == "a woman pushes a man\na man pulls a woman" and "margin over" in found
    kept, said = search.suggest("two men talk", "kept")
    assert kept == "kept" and "Write one yourself" in said and "--not" not in said


def test_searches_that_cannot_be_are_said(search: SearchTab, shelf: Shelf):
    assert "2 videos to search in" in search.search(" ", "")
    assert "more than one sentence" in search.search(f"{PUSH}\n{PULL}", "")
    assert "too many" in search.search(PUSH, "\n".join(map(str, range(99))))
    assert "figclip index m VIDEOS" in SearchTab(None, shelf, model="m").search(PUSH, "")


def test_there_are_sentences_to_try(search: SearchTab):
    query, found = search.choose({"query": 0})
    assert query == PUSH and "data-play" in found
    with pytest.raises(ConfigError):
        search.choose({"query": 1})


EVENT = {"start_s": 0.0, "end_s": 2.0, "verb": "push", "roles": {"pusher": "man"}}
LATER = {"start_s": 1.0, "end_s": 3.0, "verb": "pull", "roles": {"puller": "man"}}


@pytest.fixture
def annotations(shelf: Shelf, tmp_path: Path) -> AnnotationTab:
    file = tmp_path / "own.jsonl"
    file.write_text(json.dumps({"video": "a.mp4", "events": [EVENT, LATER]}))
    return AnnotationTab(Annotations.load(file, videos=tmp_path), shelf)


def opened(tab: AnnotationTab) -> tuple[str, EventForm, AnnotationView]:
    view = tab.open(0)
    assert view.line is not None and view.form is not None
    return view.line, view.form, view


def test_events_lie_on_a_line_of_time(annotations: AnnotationTab):
    _, form, view = opened(annotations)
    assert (form.start_s, form.end_s, form.verb, form.roles) == (0.0, 2.0, "push", "pusher: man")
    assert view.events is not None and view.texts is not None
    assert "left: 33.333%; width: 66.667%; top: 2.75rem" in view.events  # below the first
    assert "not in the folder of videos" in view.events
    assert "the action is push, the pusher is man" in view.texts


def test_another_event_takes_over_what_was_typed(annotations: AnnotationTab):
    line, form, _ = opened(annotations)
    typed = EventForm(
        start_s=0.5, end_s=form.end_s, verb="shove", roles=form.roles, scene="a <b>street</b>"
    )
    view = annotations.choose({"event": 1}, Draft(line=line, chosen=0, form=typed))
    assert view.chosen == 1 and view.form is not None and view.form.verb == "pull"
    assert json.loads(view.line or "")["events"][0]["verb"] == "shove"
    back = annotations.choose({"event": 0}, Draft(line=view.line or "", chosen=1, form=view.form))
    assert "a &lt;b&gt;street" in (back.texts or "")


def test_problems_change_nothing_but_what_is_said(annotations: AnnotationTab):
    line, form, _ = opened(annotations)
    wrong = EventForm(start_s=5.0, end_s=2.0, verb="", roles="", scene="")
    for view in (
        annotations.check(Draft(line=line, chosen=0, form=wrong)),
        annotations.save(0, Draft(line=line, chosen=0, form=wrong)),
        annotations.choose({"event": 1}, Draft(line=line, chosen=0, form=wrong)),
        annotations.add(Draft(line=line, chosen=0, form=wrong)),
        annotations.read(Draft(line="{", chosen=0, form=form)),
    ):
        assert (view.line, view.events, view.form) == (None, None, None)
        assert 'role="alert"' in view.said
    assert (
        "Event 1, end_s: is 2, not after start_s 5. An event ends after it starts."
        in annotations.check(Draft(line=line, chosen=0, form=wrong)).said
    )
    assert "No problems found" in annotations.check(Draft(line=line, chosen=0, form=form)).said


def test_events_come_and_go_and_are_saved(annotations: AnnotationTab, tmp_path: Path):
    line, form, _ = opened(annotations)
    longer = annotations.add(Draft(line=line, chosen=0, form=form))
    assert longer.chosen == 2 and longer.line is not None and longer.form is not None
    shorter = annotations.remove(Draft(line=longer.line, chosen=0, form=form))
    assert shorter.line is not None and shorter.form is not None and shorter.chosen == 0
    assert (
        "Saved." in annotations.save(0, Draft(line=shorter.line, chosen=0, form=shorter.form)).said
    )
    saved = json.loads((tmp_path / "own.jsonl").read_text())
    assert [one["verb"] for one in saved["events"]] == ["pull", "do"]


@pytest.mark.parametrize("chosen", [-1, 99])
def test_positions_that_are_not_there_harm_nothing(annotations: AnnotationTab, chosen: int):
    line, form, _ = opened(annotations)
    assert annotations.check(Draft(line=line, chosen=chosen, form=form)).chosen == 0
    assert "no such entry" in annotations.remove(Draft(line=line, chosen=chosen, form=form)).said
    assert (
        "no such entry"
        in annotations.choose({"event": chosen}, Draft(line=line, chosen=0, form=form)).said
    )
    with pytest.raises(ConfigError):
        annotations.open(chosen)
