"""Heads on the page: scores side by side, events beside what heads say of them."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from figclip.errors import ConfigError, DataError, FigclipError, ModelError
from figclip.evaluation.sources import DataSource, parse_source
from figclip.heads.run import HeadInfo, read_head_info, write_head_info
from figclip.reporting import records, situation_examples
from figclip.reporting.examples import draw_lot
from figclip.reporting.head_data import read_head_data
from figclip.reporting.records import Compared, Span
from figclip.reporting.report import write_report
from figclip.reporting.situation_examples import Said, SaidRow, pick_situations
from figclip.reporting.training_captions import open_store
from figclip.runtime.checked_json import load_checked
from tests.reporting.pages import Page, read_page
from tests.reporting.written_heads import IDS, WrittenHeads, as_of_two_seeds, write_heads
from tests.reporting.written_runs import HOSTILE, write_run
from tests.videos import draw_video


@pytest.fixture
def heads(tmp_path: Path) -> WrittenHeads:
    return write_heads(tmp_path)


def page_of(heads: WrittenHeads, **settings) -> Page:
    return read_page(write_report(heads.run, **settings).read_text(encoding="utf-8"))


def rows_of_first_event(heads: WrittenHeads, video_id: str) -> dict[str, SaidRow]:
    shown = pick_situations(read_head_data(heads.run), open_store(heads.store))
    (video,) = (one for one in shown.videos if one.id == video_id)
    return {row.name: row for row in video.events[0].rows}


def change(heads: WrittenHeads, **changes) -> None:
    """Change `head.json`."""
    info: HeadInfo = read_head_info(heads.run)
    (heads.run / "head.json").unlink()  # it is never overwritten by another one
    write_head_info(heads.run, dataclasses.replace(info, **changes))


def test_scores_stand_side_by_side_with_the_contextualizer(heads: WrittenHeads):
    run = as_of_two_seeds(heads.run)
    page = read_page(write_report(run).read_text(encoding="utf-8"))
    assert "Report of the heads heads of two seeds +10.0 points of verbs right" in page.text
    assert "Means over seeds 0, 1, with intervals over seeds and videos." in page.text
    assert "seeds of training 0, 1" in page.text
    assert (
        "Of 9 events of annotations (valid) the head on adapted features names 60.0 % by a verb of "
        "an annotator, the same head on base features 50.0 %: +10.0 points (95 % interval "
        "\u22121.0 to +31.0)."
    ) in page.text.replace("\xa0", " ")
    assert "The interval holds 0: no change is shown." in page.text
    assert "Verbs, Acc@1 50.0 60.0 +10.0 \u22121.0 to +31.0 70.0 +20.0" in page.text
    assert "Roles, CIDEr 50.0 60.0 +10.0 – 70.0 +20.0" in page.text
    assert "Rec@5" not in page.text, "the table is of the scores that matter most"


def test_one_seed_makes_no_claim(heads: WrittenHeads):
    page = page_of(heads)
    assert "Report of the heads heads Heads of one seed: no claim" in page.text
    assert "Of 9 events" not in page.text and "Means over seeds" not in page.text
    assert "Another seed may say otherwise" in page.text
    assert "Verbs, Acc@1 50.0 60.0 +10.0 \u22121.0 to +31.0 70.0 +20.0" in page.text


def test_examples_are_those_of_the_first_seed(heads: WrittenHeads):
    run = as_of_two_seeds(heads.run)
    assert read_head_data(run).predictions == run / "eval" / "seed-0" / "predictions"
    pages = [
        read_page(write_report(one, store=heads.store).read_text(encoding="utf-8")).text
        for one in (run, heads.run)
    ]
    said, end = "Whose first verb is one that an annotator chose", "Training and time"
    several, of_one = (text[text.index(said) :].split(end)[0] for text in pages)
    assert several == of_one


def test_events_are_counted_by_whose_verb_is_right(heads: WrittenHeads):
    assert (
        "Whose first verb is one that an annotator chose, of 9 events: "
        "both right: 3 only adapted right: 3 only base right: 3 both wrong: 0"
    ) in page_of(heads).text


def test_a_verb_is_right_by_any_annotator_and_shown_as_the_first_has_it(heads: WrittenHeads):
    verb = rows_of_first_event(heads, "v0")["verb"]
    assert (verb.true, verb.also) == ("kick.01", ("hit.01",))
    assert verb.said == (Said(text="hit.01", agrees=True), Said(text="kick.01", agrees=True))


def test_roles_stand_beside_those_written_for_the_predicted_verb(heads: WrittenHeads):
    rows = rows_of_first_event(heads, "v0")
    assert list(rows) == ["verb", "Arg0 (kicker)", "Arg1 (thing kicked)", "Arg2", "relation"]
    kicker = rows["Arg0 (kicker)"]
    assert (kicker.true, kicker.also) == ("a dog", ("the dog",))
    assert kicker.said == (Said(text=HOSTILE, agrees=False), Said(text="the dog", agrees=True))
    only_base = rows["Arg2"]
    assert only_base.true == "" and only_base.said[0] == Said(text="a shoe", agrees=False)
    assert only_base.said[1] == Said(text="", agrees=False)


def test_relations_are_of_all_events_but_the_middle_one(heads: WrittenHeads):
    shown = pick_situations(read_head_data(heads.run), open_store(heads.store))
    relations = [
        [(row.true, row.said[0]) for row in event.rows if row.name == "relation"]
        for event in shown.videos[0].events
    ]
    right, wrong = (Said(text="Causes", agrees=agrees) for agrees in (True, False))
    assert relations == [[("Causes", right)], [], [("Enables", wrong)]]


def test_predictions_are_found_by_the_position_of_their_video(heads: WrittenHeads):
    file = heads.predictions / "adapted" / "verbs.json"
    rows = load_checked(file.read_text())
    rows[IDS.index("v1")]["pred_vbs_ev"][0] = ["fly.01"]
    file.write_text(json.dumps(rows[::-1]))
    assert rows_of_first_event(heads, "v1")["verb"].said[1].text == "fly.01"
    assert rows_of_first_event(heads, "v0")["verb"].said[1].text == "kick.01"


def test_the_page_marks_agreement_and_differing_words(heads: WrittenHeads):
    file = write_report(heads.run, store=heads.store)
    html = file.read_text(encoding="utf-8")
    page = read_page(html)
    assert "2 of 3 videos, chosen by a hash of their ids, not by hand" in page.text
    assert "verbs right of 3: base 2 , adapted 2" in page.text
    assert "a<em> blue</em> ball" in html and "a red<em> box</em>" in html
    assert "✓ the dog" in page.text and "a dog also the dog" in page.text
    first, last = [one for one in page.all("img") if "of Ev1" in one["alt"]][:2]
    assert (first["alt"], last["alt"]) == ("First frame of Ev1", "Last frame of Ev1")
    assert first["src"].startswith("data:image/jpeg;base64,")
    assert len(page.all("img")) == 2 * 3 * 2
    assert file == write_report(heads.run, store=heads.store) and file.read_text() == html


def test_foreign_text_is_text(heads: WrittenHeads):
    page = page_of(heads, store=heads.store)
    html = (heads.run / "report.html").read_text(encoding="utf-8")
    assert HOSTILE in page.text and "<script>alert" not in html
    assert "situations: <b>odd</b>." in page.text and "<b>odd" not in html
    assert len(page.all("script")) == 1 and "/home/me" not in page.text
    ids = [one["id"] for _, one in page.elements if "id" in one]
    assert len(ids) == len(set(ids))
    assert {one["aria-labelledby"] for one in page.all("section")} <= set(ids)


def test_training_time_and_settings_are_of_all_heads(heads: WrittenHeads):
    page = page_of(heads)
    labels = [one.get("aria-label", "") for one in page.all("svg")]
    assert "adapted: 4.0 s; base: 4.0 s; contextualizer: 4.0 s" in labels
    assert "2 steps of each head" in page.text and "First 6.0, last 3.0 (adapted)" in page.text
    assert "No validation set" in page.text
    assert "features, base strength (alpha) 0.50, hash ba5e" in page.text
    for fact in ("recipe mini_situations", "videos trained on 1", "commit c0ffee"):
        assert fact in page.text
    assert "figclip finetune situations" in page.text


def test_videos_come_by_lot(heads: WrittenHeads, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(situation_examples, "MAX_VIDEOS", 1)
    (shown,) = pick_situations(read_head_data(heads.run), open_store(heads.store)).videos
    assert shown.id == min(("v0", "v1"), key=draw_lot)


def test_a_small_file_counts_more_than_many_frames(
    heads: WrittenHeads, monkeypatch: pytest.MonkeyPatch
):
    whole = pick_situations(read_head_data(heads.run), open_store(heads.store))
    sizes = [sum(len(f) for event in one.events for f in event.frames) for one in whole.videos]
    monkeypatch.setattr(situation_examples, "MAX_FRAME_BYTES", sizes[0])
    cut = pick_situations(read_head_data(heads.run), open_store(heads.store))
    assert len(cut.videos) == 1
    assert cut.notices == (
        "Verbs shown as true are those of the annotations only: events.store does not tell what "
        "all ten annotators chose.",
        "Only 1 videos are shown, to keep this file small.",
    )


def own_annotations(heads: WrittenHeads) -> Path:
    """The annotations of v0 as a file."""
    roles = {"kicker": "a dog", "thing kicked": "a red ball"}
    slots = {"kicker": "Arg0", "thing kicked": "Arg1"}
    events = [
        {"start_s": 2.0 * i, "end_s": 2.0 * i + 2, "verb": verb, "sense": f"{verb}.01",
         **({"roles": roles, "slots": slots} if i == 0 else {"roles": {"x": "y"}})}
        for i, verb in enumerate(("kick", "walk", "sit"))
    ]  # fmt: skip
    file = heads.folder / "own.jsonl"
    file.write_text(json.dumps({"id": "v0", "video": "v0.mp4", "events": events}) + "\n")
    return file


def test_annotations_alone_give_texts_and_say_so(heads: WrittenHeads):
    page = page_of(heads, data=[DataSource(name="events", path=own_annotations(heads))])
    assert "Without frames: give --data with videos=DIR, or --store." in page.text
    assert not page.all("img") and "✓ kick.01" in page.text


def test_frames_come_from_videos_as_well(heads: WrittenHeads):
    (heads.folder / "clips").mkdir()
    draw_video(heads.folder / "clips" / "v0.mp4", stamps=range(80))
    source = parse_source(f"events:{own_annotations(heads)},videos={heads.folder / 'clips'}")
    assert len(page_of(heads, data=[source]).all("img")) == 2 * 3
    (heads.folder / "clips" / "v0.mp4").unlink()
    with pytest.raises(DataError, match="is not there any more"):
        write_report(heads.run, data=[source])


def test_a_plain_clip_has_one_column(tmp_path: Path):
    heads = write_heads(tmp_path, names=("adapted",))
    page = page_of(heads, store=heads.store)
    assert "Nothing to compare yet" in page.text
    said = "Of 9 events of annotations (valid) the head names 60.0 % by a verb"
    assert said in page.text.replace("\xa0", " ")
    assert "verbs right of 3: adapted 2" in page.text and "only base right" not in page.text


def test_what_is_not_there_is_named(heads: WrittenHeads):
    shutil.rmtree(heads.run / "eval")
    (heads.run / "base" / "metrics.jsonl").unlink()
    page = page_of(heads, store=heads.store)
    assert "No scores: run figclip eval with the run of the heads" in page.text
    assert "base/metrics.jsonl has no steps" in page.text
    with pytest.raises(DataError, match="was not scored"):
        pick_situations(read_head_data(heads.run), open_store(heads.store))


def test_without_a_store_there_are_no_examples(heads: WrittenHeads):
    assert "No examples: make the report with --store" in page_of(heads).text


@pytest.mark.parametrize(
    ("file", "text", "named"),
    [
        ("eval/predictions/base/verbs.json", "[{}]", "holds no predictions"),
        ("eval/predictions/base/verbs.json", '[{"pred_vbs_ev": []}]', "is damaged"),
        ("eval/predictions/adapted/roles.json", '[{"ann_idx": 1, "vb_output": 3}]', "is damaged"),
        ("eval/predictions/videos.json", '["v0", "\\ud800"]', "is damaged"),
        ("eval/predictions/videos.json", "3", "is damaged"),
        ("head.json", "{}", "cannot be read"),
        ("data.json", '{"format": 1}', "is damaged"),
    ],
)
def test_a_damaged_file_is_named(heads: WrittenHeads, file: str, text: str, named: str):
    (heads.run / file).write_text(text)
    with pytest.raises(FigclipError, match=named) as raised:
        write_report(heads.run, store=heads.store)
    assert file.split("/")[-2 if "predictions/" in file else -1] in str(raised.value)


def test_a_text_that_no_page_can_hold_is_named(heads: WrittenHeads):
    file = heads.predictions / "base" / "roles_of_predicted_verbs.json"
    file.write_text(file.read_text().replace("a red box", "\\ud800"))
    with pytest.raises(DataError, match="surrogates not allowed"):
        write_report(heads.run, store=heads.store)


@pytest.mark.parametrize("file", ["config.json", "environment.json", "data.json"])
def test_a_run_that_lacks_a_file_is_refused(heads: WrittenHeads, file: str):
    (heads.run / file).unlink()
    with pytest.raises(DataError, match=f"{file}.*is not there"):
        write_report(heads.run)


def test_predictions_without_their_videos_are_refused(heads: WrittenHeads):
    (heads.predictions / "videos.json").unlink()
    with pytest.raises(DataError, match=r"videos\.json.*Run `figclip eval` again"):
        write_report(heads.run, store=heads.store)


def test_other_annotations_than_were_scored_are_refused(heads: WrittenHeads):
    file = own_annotations(heads)
    file.write_text(file.read_text().replace("walk", "crawl"))
    with pytest.raises(DataError, match="annotations of v0 are not those that were scored"):
        write_report(heads.run, data=[DataSource(name="events", path=file)])
    file.write_text(file.read_text().replace('"v0"', '"w0"'))
    with pytest.raises(DataError, match="none of the videos that were scored"):
        write_report(heads.run, data=[DataSource(name="events", path=file)])


def test_data_that_heads_are_not_scored_on_are_refused(heads: WrittenHeads):
    with pytest.raises(ConfigError, match="heads for situations are not scored on pairs"):
        write_report(heads.run, data=[parse_source("pairs:p.jsonl,videos=clips")])
    two = [parse_source(f"vidsitu:{heads.store}")] * 2
    with pytest.raises(ConfigError, match="several data sets"):
        write_report(heads.run, data=two)


def test_the_page_of_an_adaptation_shows_its_heads(tmp_path: Path, heads: WrittenHeads):
    written = write_run(tmp_path / "adaptation")
    events = parse_source(f"vidsitu:{heads.store}")
    file = write_report(
        written.run, data=[written.data, events], store=written.store, heads=[heads.run]
    )
    page = read_page(file.read_text(encoding="utf-8"))
    assert "Report of the adaptation my run" in page.text
    assert "Verbs, Acc@1 50.0 60.0" in page.text and "2 of 3 videos, chosen by a hash" in page.text
    assert [one["id"] for one in page.all("section")] == [
        "tests", "clips", "situations", "captions", "training", "again",
    ]  # fmt: skip
    assert "situations: <b>odd</b>." in page.text
    assert len(page.all("video")) == 1


def test_heads_on_another_model_are_refused(tmp_path: Path, heads: WrittenHeads):
    written = write_run(tmp_path / "adaptation")
    models = read_head_info(heads.run).models
    other = dataclasses.replace(models["adapted"], hash="0ther")
    change(heads, models={**models, "adapted": other})
    with pytest.raises(DataError, match="is not the model of the run"):
        write_report(written.run, heads=[heads.run])
    with pytest.raises(ConfigError, match="is a run of heads itself"):
        write_report(heads.run, heads=[heads.run])
    with pytest.raises(ModelError, match="is a run of `figclip adapt`"):
        write_report(written.run, heads=[written.run])


@pytest.mark.parametrize(
    ("bounds", "split", "said"),
    [
        ((0.01, 0.2), "valid", ""),
        ((-0.1, 0.2), None, "The interval holds 0: no change is shown."),
        ((-0.2, -0.1), "valid", "Verbs are found less often: the interval lies below 0."),
        (None, "valid", "Without an interval no change is shown."),
        ((0.1, 0.2), "train", "Heads are trained on this split: it says little of other videos."),
    ],
)
def test_a_doubtful_claim_says_so(bounds: tuple[float, float] | None, split: str | None, said: str):
    interval = None if bounds is None else Span(low=bounds[0], high=bounds[1])
    score = Compared(base=0.5, adapted=0.5, difference=0.0, interval=interval)
    assert records.head_caution(score, split, worse="Verbs are found less often") == said


def test_a_store_of_many_pixels_gives_small_frames(heads: WrittenHeads):
    large = dataclasses.replace(
        open_store(heads.store),
        read=lambda record, times_s: np.zeros((len(times_s), 336, 336, 3), np.uint8),
    )
    shown = pick_situations(read_head_data(heads.run), large)
    frame = shown.videos[0].events[0].frames[0]
    with Image.open(io.BytesIO(base64.b64decode(frame.split(",", 1)[1]))) as image:
        assert image.size == (128, 128)


@pytest.mark.slow
def test_from_the_command_line(heads: WrittenHeads):
    command = [
        sys.executable, "-m", "figclip", "report", str(heads.run), "--store", str(heads.store),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Report: {heads.run / 'report.html'} (")
