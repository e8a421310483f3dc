"""Heads for dense captioning on the page: scores, and films beside what the heads write."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from figclip.datasets.dense_captions import CaptionedSpan
from figclip.errors import AnnotationError, ConfigError, DataError
from figclip.evaluation.sources import parse_source
from figclip.reporting import film_examples, records
from figclip.reporting.examples import draw_lot
from figclip.reporting.film_examples import Lane, ShownFilm, pick_films, timeline
from figclip.reporting.head_data import read_head_data
from figclip.reporting.records import Compared
from figclip.reporting.report import write_report
from figclip.runtime.checked_json import load_checked
from tests.reporting.pages import Page, read_page
from tests.reporting.written_films import IDS, WrittenFilms, write_film_heads
from tests.reporting.written_heads import as_of_two_seeds, write_heads
from tests.reporting.written_runs import HOSTILE, write_run


@pytest.fixture
def written(tmp_path: Path) -> WrittenFilms:
    return write_film_heads(tmp_path)


def page_of(written: WrittenFilms, **settings) -> Page:
    return read_page(write_report(written.run, **settings).read_text(encoding="utf-8"))


def bars(svg: str) -> list[tuple[str, float, float, float]]:
    """Lane, left edge, width and upper edge of each bar of a timeline."""
    found = re.findall(
        r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"[^>]*class="span (\w+)"', svg
    )
    return [(lane, float(x), float(width), float(y)) for x, y, width, lane in found]


def test_scores_and_claim_are_those_of_the_sentences(written: WrittenFilms):
    run = as_of_two_seeds(written.run)
    page = read_page(write_report(run).read_text(encoding="utf-8"))
    assert (
        "Report of the heads film heads of two seeds +10.0 points of CIDEr, with adapted features"
    ) in page.text
    assert (
        "On 4 videos of films the sentences of the head on adapted features have a CIDEr of "
        "120.0 %, those of the same head on base features 110.0 %: +10.0 points (95 % interval "
        "+5.0 to +15.0)."
    ) in page.text.replace("\xa0", " ")
    assert "Spans, F1 110.0 120.0 +10.0 – Sentences, CIDEr 110.0 120.0 +10.0" in page.text
    assert "BLEU" not in page.text, "the table is of the scores that matter most"
    assert "No examples: make the report with --data and the dense captions" in page.text
    assert "frames 1 a second" in page.text


def test_films_stand_beside_what_the_heads_write(written: WrittenFilms):
    page = page_of(written, data=[written.source])
    assert "3 of 4 videos, chosen by a hash of their ids" in page.text
    assert "v_a 4.0 s, events: annotated 2 , base 1 , adapted 3" in page.text
    said = "a dog barks 0.0 to 1.5 s a dog sits 1.0 to 3.0 s too late 5.0 to 9.0 s"
    assert page.text.count(said) == 3, "in the order of their starts"
    assert "A dog barks at a cat. 0.0 to 1.5 s A dog sits. 2.0 to 4.0 s" in page.text
    assert "All at once" not in page.text, "what the second annotator says is not shown"
    frames = [one for one in page.all("img") if one["src"].startswith("data:image/jpeg")]
    assert len(frames) == 3 * film_examples.NUM_FRAMES
    assert HOSTILE in page.text and page.all("b")[1:] == [{}] * 4, "texts are no markup"


def test_which_films_are_shown_is_decided_by_lot(
    written: WrittenFilms, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(film_examples, "MAX_VIDEOS", 2)
    films = pick_films(read_head_data(written.run), written.source)
    assert [one.id for one in films.videos] == sorted(IDS[:3], key=draw_lot)[:2]


def test_without_videos_there_are_no_frames_and_the_annotated_length(written: WrittenFilms):
    films = pick_films(read_head_data(written.run), replace(written.source, videos=None))
    assert [(one.frames, one.duration_s) for one in films.videos] == [((), 4.0)] * 3
    assert films.notices == ("Without frames: give --data with videos=DIR.",)


def test_long_lanes_are_cut_and_say_so(written: WrittenFilms, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(film_examples, "MAX_EVENTS", 1)
    assert "The first 1 of 3 events." in page_of(written, data=[written.source]).text


def test_bars_lie_at_their_seconds_and_do_not_overlap():
    def lane(name: str, *spans: tuple[float, float]) -> Lane:
        events = tuple(CaptionedSpan(start_s=a, end_s=b, sentence="x") for a, b in spans)
        return Lane(name=name, num_events=len(events), events=events)

    film = ShownFilm(
        id="v_a",
        duration_s=10.0,
        frames=(),
        lanes=(
            lane("annotated", (0.0, 5.0), (5.0, 10.0)),
            lane("base", (0.0, 6.0), (2.0, 4.0), (4.0, 5.0), (6.0, 12.0), (11.0, 12.0), (3.0, 3.0)),
            lane("adapted"),
        ),
    )
    found = bars(str(timeline(film)))
    assert [(name, x, width) for name, x, width, _ in found] == [
        ("annotated", 84.0, 338.0), ("annotated", 422.0, 338.0),
        ("base", 84.0, 405.6), ("base", 219.2, 135.2), ("base", 354.4, 67.6),
        ("base", 489.6, 270.4),
    ]  # fmt: skip
    rows = [y for *_, y in found]
    assert rows[0] == rows[1] < rows[2] == rows[5] < rows[3] == rows[4]


def test_a_sentence_is_escaped_in_the_timeline(written: WrittenFilms):
    film = pick_films(read_head_data(written.run), written.source).videos[0]
    assert HOSTILE not in str(timeline(film))


@pytest.mark.parametrize(
    ("text", "named"),
    [("{", "adapted/activitynet.json"), ('{"results": {"v_a": 3}}', "must be a list of events")],
)
def test_damaged_predictions_are_named(written: WrittenFilms, text: str, named: str):
    written.predictions("adapted").write_text(text)
    with pytest.raises(AnnotationError, match=named):
        write_report(written.run, data=[written.source])


def test_missing_files_are_named(written: WrittenFilms):
    (written.films / "videos" / "b.mp4").unlink()
    with pytest.raises(DataError, match="the video 'v_b' is not there any more"):
        write_report(written.run, data=[written.source])
    written.predictions("base").unlink()
    with pytest.raises(DataError, match=r"base/activitynet\.json.*Run `figclip eval` again"):
        write_report(written.run, data=[written.source])


def test_predictions_that_lack_a_video_are_named(written: WrittenFilms):
    file = written.predictions("adapted")
    content = load_checked(file.read_text())
    del content["results"]["v_b"]
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"adapted.*says nothing of 'v_b'"):
        write_report(written.run, data=[written.source])


def test_other_films_than_were_scored_are_refused(written: WrittenFilms):
    for name in ("val_1.json", "val_2.json"):
        file = written.films / name
        file.write_text(file.read_text().replace('"v_', '"w_'))
    with pytest.raises(DataError, match="none of the videos that were scored"):
        write_report(written.run, data=[written.source])


def test_data_that_heads_are_not_scored_on_are_refused(written: WrittenFilms):
    with pytest.raises(ConfigError, match="heads for captioning are not scored on vidsitu"):
        write_report(written.run, data=[parse_source("vidsitu:folder")])


def test_the_page_of_an_adaptation_shows_heads_of_both_tasks(tmp_path: Path, written: WrittenFilms):
    heads = write_heads(tmp_path / "situations")
    adaptation = write_run(tmp_path / "adaptation")
    events = parse_source(f"vidsitu:{heads.store}")
    file = write_report(
        adaptation.run,
        data=[adaptation.data, events, written.source],
        store=adaptation.store,
        heads=[heads.run, written.run],
    )
    page = read_page(file.read_text(encoding="utf-8"))
    assert [one["id"] for one in page.all("section")] == [
        "tests", "clips", "situations", "films", "captions", "training", "again",
    ]  # fmt: skip
    assert "3 of 4 videos" in page.text and "2 of 3 videos" in page.text
    assert "films: <b>odd</b>." in page.text and "situations: <b>odd</b>." in page.text
    with pytest.raises(ConfigError, match="are heads for captioning, as are"):
        write_report(adaptation.run, heads=[written.run, written.run])


def test_a_plain_clip_has_a_score_and_no_change(tmp_path: Path):
    page = page_of(write_film_heads(tmp_path, names=("adapted",)))
    said = "On 4 videos of films the head's sentences have a CIDEr of 120.0 %."
    assert said in page.text.replace("\xa0", " ") and "Nothing to compare yet" in page.text


def test_one_video_is_no_plural():
    score = Compared(base=None, adapted=0.5, difference=None, interval=None)
    assert records.sentence_claim(score, num_videos=1, data="x").startswith("On 1 video of x the")
