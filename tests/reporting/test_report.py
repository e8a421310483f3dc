"""The page about a run: nothing from outside, nothing unescaped, the numbers of the files."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest
from PIL import Image
from safetensors.torch import load_file

from figclip.errors import ConfigError, DataError, FigclipError, StoreError
from figclip.evaluation.seen_items import SELECTED
from figclip.evaluation.sources import parse_source
from figclip.model.backbone import load_backbone, state_hash, weights_hash
from figclip.reporting.report import MAX_BYTES, write_report
from figclip.runtime.checked_json import load_checked
from tests.reporting.pages import Page, read_page
from tests.reporting.written_runs import (
    HOSTILE,
    MODEL_HASH,
    WrittenRun,
    write_run,
    write_strength,
    write_summary,
)
from tests.small_runs import write_tiny_clip


@pytest.fixture
def written(tmp_path: Path) -> WrittenRun:
    return write_run(tmp_path)


def page_of(written: WrittenRun, *, full: bool = True) -> tuple[Page, str]:
    """The page, and its bytes as text."""
    data, store = ([written.data], written.store) if full else ([], None)
    html = write_report(written.run, data=data, store=store).read_text(encoding="utf-8")
    return read_page(html), html


def test_nothing_comes_from_outside(written: WrittenRun):
    page, html = page_of(written)
    for tag, attributes in page.elements:
        for name in ("src", "poster", "data", "action", "srcset", "xlink:href"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, name)
        assert attributes.get("href", "#").startswith("#")
        assert not any(name.startswith("on") for name in attributes), "script in an attribute"
    assert not re.search(r"https?:|@import|url\(|//[a-z]", html.split("<body>")[0])
    assert not page.all("link") and not page.all("iframe") and len(page.all("script")) == 1
    (policy,) = (m["content"] for m in page.all("meta") if "http-equiv" in m)
    assert policy.startswith("default-src 'none'; img-src data:; media-src data:;")


def test_foreign_text_is_text(written: WrittenRun):
    page, html = page_of(written)
    assert HOSTILE in page.text
    assert "alert(" not in html.split("<script>")[1]
    assert "7 odd items <b>kept</b>." in page.text
    assert any(HOSTILE in one["aria-label"] for one in page.all("video"))
    (captioned,) = (one for one in page.all("video"))
    assert captioned["aria-label"] == f"Clip 1: {HOSTILE}"


def test_the_numbers_are_those_of_the_files(written: WrittenRun):
    page, _ = page_of(written)
    claim = (
        "Over 1 test of detail the adapted model scores 55.5 % and its base 43.2 %: +12.3 points; "
        "over 1 test of what must be kept it scores 55.5 % and its base 43.2 %: +12.3 points."
    )
    assert claim in page.text
    assert "+12.3 points of detail" in page.text
    assert "accuracy 43.2 55.5 +12.3 \u22122.2 to +24.7" in page.text
    assert "mean rank 12.3 10.1 \u22122.2 –" in page.text
    assert "ties, accuracy" not in page.text
    assert "3 steps in 6.0 s, 2.0 s each" in page.text
    assert "First 4.0, last 1.3 (weighted sum)" in page.text
    assert "First 25.0 %, last 75.0 % (score that chooses)" in page.text
    for fact in ("seed of training 5", "strength (alpha) 0.50", "hash of the base ba5e",
                 f"hash of the adapted model {MODEL_HASH}", "commit c0ffee", "base clip",
                 "videos trained on 2", "figclip adapt --out 'my run'"):  # fmt: skip
        assert fact in page.text
    assert "/home/me" not in page.text


def test_a_summary_is_shown_with_its_intervals(written: WrittenRun):
    write_summary(written)
    write_strength(written)
    page, _ = page_of(written)
    assert (
        "Over 1 test of detail in natural sentences the adapted model scores 60.0 % and its base "
        "51.2 %: +8.8 points (95 % interval +3.1 to +14.4); over 1 test of what must be kept it "
        "scores 89.3 % and its base 90.0 %: \u22120.7 points (95 % interval \u22121.2 to +0.2)."
    ) in page.text
    asked = "role swap Who does it to whom? accuracy, 1,000 items"
    assert f"{asked} 51.2 60.0 +8.8 +3.1 to +14.4 +8.8 +3.1" in page.text
    assert "blind 49.9 to 50.1 %; text only 49.7 to 49.7 %" in page.text
    assert "shuffled, detail 51.2 60.0" in page.text
    assert any(one["aria-label"] == "adapting: 1 min 11 s" for one in page.all("svg")
               if "aria-label" in one)  # fmt: skip
    assert "At most 812 MiB of memory" in page.text and "seeds of the summary 0, 1, 2" in page.text
    assert "not with another seed" not in page.text
    assert "One seed of training." not in page.text
    written.rewrite("eval/summary.json", seeds=[0])
    assert "One seed of training. figclip quickstart --full adds" in page_of(written)[0].text
    tips = [one["data-tip"] for one in page.all("g") if "data-tip" in one]
    assert "strength 0.5: detail +10.0, kept \u22122.5 points" in tips
    assert "adapted: detail +8.8, kept \u22120.7 points" in tips
    assert "Strength 0.5 was chosen on validation videos" in page.text
    hollow = [one for one in page.all("circle") if one["class"] == "step hollow"]
    assert len(hollow) == 1


@pytest.mark.parametrize(
    ("detail", "kept", "said"),
    [
        ([-0.01, 0.03], [-0.01, 0.01], "The interval of detail holds 0: no change is shown."),
        ([-0.05, -0.01], [-0.01, 0.01], "Detail has dropped"),
        ([0.01, 0.03], [-0.03, -0.01], "What must be kept has dropped"),
    ],
)
def test_a_doubtful_claim_says_so(
    written: WrittenRun, detail: list[float], kept: list[float], said: str
):
    write_summary(written)
    score = {"base": 0.5, "adapted": 0.52, "difference": 0.02}
    written.rewrite(
        "eval/summary.json",
        detail={**score, "interval": detail},
        semantic={**score, "interval": kept},
    )
    assert said in page_of(written, full=False)[0].text


def test_a_clear_claim_has_no_caution(written: WrittenRun):
    write_summary(written)
    assert not [one for one in page_of(written)[0].all("p") if one.get("class") == "caution"]


def test_clips_play_and_sentences_say_who_prefers_them(written: WrittenRun):
    page, _ = page_of(written)
    (video,) = page.all("video")
    assert "autoplay" not in video and "controls" in video and "muted" in video
    kind, content = video["src"].split(",", 1)
    assert kind == "data:video/mp4;base64"
    with av.open(io.BytesIO(base64.b64decode(content))) as container:
        (stream,) = container.streams
        assert stream.codec_context.name == "h264" and not container.streams.audio
        assert len(list(container.decode(video=0))) == 12
    with Image.open(io.BytesIO(base64.b64decode(video["poster"].split(",", 1)[1]))) as poster:
        assert poster.size == (224, 224)
    assert "both right: 1 only adapted right: 1 only base right: 1 both wrong: 1" in page.text
    # Both wrong: the base preferred the false sentence, the adapted model neither.
    failed = page.text.split("both wrong true", 1)[1].split("A tie counts as wrong.")[0]
    assert failed == " a dog bites a man in failed not true no failed base prefers "
    lost = page.text.split("only base right true", 1)[1].split(" pairs ")[0]
    assert lost == " a dog bites a man in lost base prefers not true no lost adapted prefers"


def test_captions_and_hard_negatives_of_a_training_video(written: WrittenRun):
    page, _ = page_of(written)
    assert "In this photo, the action is push, the mover is red ball" in page.text
    frames = [one for one in page.all("img") if one["alt"].startswith("Frame")]
    assert [one["alt"] for one in frames] == [
        f"Frame {frame} of event {event}" for event in (1, 2) for frame in (1, 2)
    ]
    assert "and hard negatives (×), of which only the marked words differ." in page.text


def test_no_hard_negatives_are_missed_where_none_are_asked_for(written: WrittenRun):
    text = load_checked((written.run / "config.json").read_text())["text"]
    written.rewrite("config.json", text={**text, "verb_negatives": 0})
    page, _ = page_of(written)
    assert "its dense caption. The captions of the other events, of this video and of" in page.text
    assert "no hard negative" not in page.text


def test_every_picture_has_words_and_every_chart_a_name(written: WrittenRun):
    write_summary(written)
    page, _ = page_of(written)
    assert all(one["alt"] for one in page.all("img"))
    charts = [one for one in page.all("svg") if "aria-hidden" not in one]
    assert charts and all(one["role"] == "img" and one["aria-label"] for one in charts)
    ids = [one["id"] for _, one in page.elements if "id" in one]
    assert len(ids) == len(set(ids))
    labels = [one["aria-labelledby"] for one in page.all("section")]
    assert set(labels) <= set(ids) and len(labels) == 5


def without_clips(page: Path) -> str:
    """The page without the encoder's bytes, which are not quite the same always."""
    text, num_clips = re.subn(r"data:video/mp4;base64,[A-Za-z0-9+/=]+", "", page.read_text())
    assert num_clips
    return text


def test_the_same_files_give_the_same_page(written: WrittenRun, tmp_path: Path):
    first = write_report(written.run, data=[written.data], store=written.store)
    other = write_report(
        written.run, data=[written.data], store=written.store, out=tmp_path / "other.html"
    )
    assert first == written.run / "report.html"
    assert without_clips(first) == without_clips(other)
    assert len(first.read_bytes()) < MAX_BYTES


def test_what_is_not_there_is_named(written: WrittenRun):
    for name in ("environment.json", "data.json", "metrics.jsonl", "model"):
        path = written.run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    page, _ = page_of(written, full=False)
    for said in (
        "environment.json is not there: the command and the versions are not known.",
        "data.json is not there: the training data are not known.",
        "model/figclip.json is not there: the base and the strength are not known.",
        "metrics.jsonl has no steps",
        "Neither strength.json with detail nor eval/sweep.json",
        "No clips: make the report with --data",
        "No captions: config.json and data.json of the run are needed",
        "No curves: metrics.jsonl is not there",
    ):
        assert said in page.text


def test_a_run_without_a_model_is_unfinished(written: WrittenRun):
    shutil.rmtree(written.run / "model")
    rows = [{"step": n, "loss": 1.0, "time": {"s": 1}} for n in (1, 2, 3)]
    (written.run / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    page, _ = page_of(written, full=False)
    assert "Unfinished: step 3 of 2; no model yet." in page.text
    assert "the last step was kept" not in page.text
    (written.run / "data.json").unlink()
    assert "Unfinished: step 3; no model yet." in page_of(written, full=False)[0].text


def test_all_losses_are_drawn_and_pictures_told(written: WrittenRun):
    names = ("event", "video", "event_context", "video_context", "keep")
    losses = {f"loss/{name}": 1.0 for name in names}
    row = {"step": 1, "loss": 5.0, **losses, "time": {"s": 1}}
    (written.run / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    written.rewrite("data.json", pictures="9 pictures", keeping="cafe")
    page, _ = page_of(written, full=False)
    assert "event context video context held to the base First 5.0" in page.text.replace("  ", " ")
    assert "held to the base on 9 pictures" in page.text
    assert "hash of pictures and texts cafe" in page.text


def test_headings_tell_why_items_are_left_out_and_no_zeros(written: WrittenRun):
    left_out = [{"reason": "no two roles", "count": 6, "items": []}]
    counts = {"events": 4, "role swap negatives": 0}
    written.rewrite("eval/composition-pairs.json", counts=counts, left_out=left_out)
    page, _ = page_of(written, full=False)
    assert "composition on pairs.jsonl 4 events; 6 left out: no two roles " in page.text


def test_a_run_without_results_makes_no_claim(written: WrittenRun):
    shutil.rmtree(written.run / "eval")
    page, _ = page_of(written, full=False)
    assert "Nothing to compare yet" in page.text
    assert "eval/ holds no result" in page.text


def test_results_at_another_strength_are_not_shown(written: WrittenRun):
    name = "eval/retrieval-msrvtt.json"
    models = load_checked((written.run / name).read_text())["models"]
    models["adapted"]["alpha"] = 1.0
    written.rewrite(name, models=models)
    page, _ = page_of(written, full=False)
    assert "of another strength: retrieval-msrvtt.json" in page.text
    assert "what must be kept was not tested" in page.text


def models_of(written: WrittenRun, name: str) -> dict[str, dict]:
    return load_checked((written.run / name).read_text())["models"]


@pytest.mark.parametrize(
    ("role", "said"),
    [
        ("adapted", "of another model than model/ holds: retrieval-msrvtt.json"),
        ("base", "a comparison with another base: retrieval-msrvtt.json"),
    ],
)
def test_results_of_other_models_are_not_shown(written: WrittenRun, role: str, said: str):
    name = "eval/retrieval-msrvtt.json"
    models = models_of(written, name)
    models[role]["hash"] = "another"
    written.rewrite(name, models=models)
    page, _ = page_of(written, full=False)
    assert f"Not shown, being {said}." in page.text
    assert "what must be kept was not tested" in page.text
    assert "retrieval on msrvtt" not in page.text


def test_strength_0_of_the_model_itself_is_its_base(written: WrittenRun):
    """Computed back from the merged weights, it is rounded: its hash is not the base's."""
    for name in ("eval/retrieval-msrvtt.json", "eval/composition-pairs.json"):
        models = models_of(written, name)
        models["base"] |= {"hash": "rounded", "name": models["adapted"]["name"]}
        written.rewrite(name, models=models)
    page, _ = page_of(written, full=False)
    assert "Not shown" not in page.text and "retrieval on msrvtt" in page.text


def test_a_model_folder_is_known_by_its_weights_file(tmp_path: Path):
    folder = write_tiny_clip(tmp_path / "clip", seed=0)
    expected = weights_hash(load_backbone(str(folder)).clip)
    assert state_hash(load_file(folder / "model.safetensors")) == expected


def test_a_damaged_model_is_named(written: WrittenRun):
    (written.run / "model" / "model.safetensors").write_text("nonsense")
    with pytest.raises(DataError, match="model.safetensors: cannot be read"):
        write_report(written.run)


@pytest.mark.parametrize(
    ("damaged", "match"),
    [({"base": {}}, "base and adapted have other scores"), ({"item": ["a"]}, "is no text")],
)
def test_damaged_scores_of_an_item_are_named(
    written: WrittenRun, damaged: dict[str, object], match: str
):
    items = written.run / "eval" / "composition-pairs.items.jsonl"
    first, *rest = items.read_text().splitlines()
    line = json.dumps({**load_checked(first), **damaged})
    items.write_text("\n".join([line, *rest]))
    with pytest.raises(DataError, match=f"composition-pairs.items.jsonl: is damaged.*{match}"):
        page_of(written)


def test_of_data_scored_twice_the_newest_result_shows_clips(written: WrittenRun):
    first, second = (written.run / "eval" / f"composition-pairs{n}.json" for n in ("", "-2"))
    for suffix in (".json", ".items.jsonl"):
        shutil.copy(first.with_suffix(suffix), second.with_suffix(suffix))
    items = second.with_suffix(".items.jsonl")
    lines = [load_checked(line) for line in items.read_text().splitlines()]
    for line in lines:
        line["adapted"]["accuracy"] = 1.0
    items.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    now = time.time()
    for older, newer, bar in ((first, second, "both right: 2"), (second, first, "both right: 1")):
        os.utime(older, (now - 10, now - 10))
        os.utime(newer, (now, now))
        page, _ = page_of(written)
        assert bar in page.text
        assert (
            "There are 2 results of composition on pairs.jsonl, and all are shown: "
            f"composition-pairs.json, composition-pairs-2.json. Clips are of the newest, "
            f"{newer.name}; delete what is not wanted."
        ) in page.text


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ([], "and on kept tests of other data than those reported: the most detail"),
        (
            [{"reason": SELECTED, "count": 3, "items": []}],
            "and on a part of the kept tests that is not reported: the most detail",
        ),
        (None, "and on one half of the data of --keep: the most detail"),
    ],
)
def test_the_curve_says_what_chose(written: WrittenRun, left_out: list | None, said: str):
    write_strength(written)
    write_summary(written)
    name = "eval/retrieval-msrvtt.json"
    if left_out is None:
        (written.run / name).unlink()
    else:
        written.rewrite(name, left_out=left_out)
    assert said in page_of(written, full=False)[0].text


def test_several_seeds_show_their_spread(written: WrittenRun):
    write_summary(written)
    means = {"base": 0.5, "adapted": 0.6, "interval": [0.0, 0.2]}
    by_seed = [
        {"detail": {**means, "difference": difference}, "semantic": {**means, "difference": 0.0}}
        for difference in (0.0875, 0.0512, 0.1234)
    ]
    other = {"detail": {**means, "difference": 0.1}, "seeds": [0, 1, 2], "by_seed": by_seed}
    control = {"detail": {**means, "difference": 0.3}}
    written.rewrite(
        "eval/summary.json", by_seed=by_seed, controls={"second base": other, "sparse": control}
    )
    page, _ = page_of(written, full=False)
    assert "over seeds of training: +5.1 to +12.3" in page.text
    assert "over seeds of training: +0.0 to +0.0" in page.text
    assert "second base, detail 50.0 60.0 +10.0 +0.0 to +20.0 +5.1 to +12.3" in page.text
    assert "sparse, detail 50.0 60.0 +30.0 +0.0 to +20.0 –" in page.text
    assert "by_seed" not in page.text


def test_several_curves_have_their_names_and_replace_the_one_that_chose(written: WrittenRun):
    write_strength(written)
    write_summary(written)
    curves = {
        name: [
            {"alpha": 0.5, "detail": {"difference": 0.05}, "semantic": {"difference": kept}},
            {"alpha": 1.0, "detail": {"difference": 0.09}, "semantic": {"difference": 2 * kept}},
        ]
        for name, kept in (("held to the base", -0.001), ("strength alone", -0.004))
    }
    written.rewrite("eval/summary.json", curves=curves)
    page, html = page_of(written, full=False)
    for tip in (
        "held to the base, strength 0: detail +0.0, kept +0.0 points",
        "held to the base, strength 1: detail +9.0, kept −0.2 points",
        "strength alone, strength 0.5: detail +5.0, kept −0.4 points",
    ):
        assert f'data-tip="{tip}"' in html
    assert html.count('class="curve"') == 2 and 'class="ring"' not in html
    assert "was chosen on" not in page.text
    assert "held to the base in training, and held to nothing" in page.text


def test_a_swept_curve_says_that_nothing_was_chosen(written: WrittenRun):
    points = [{"alpha": a, "faces": {"detail": a, "kept": 1 - a}} for a in (0.0, 0.5, 1.0)]
    content = {"format": 1, "model": "mine", "points": points}
    (written.run / "eval" / "sweep.json").write_text(json.dumps(content))
    page, _ = page_of(written, full=False)
    assert "no strength was chosen by it" in page.text
    assert len([one for one in page.all("circle") if one["class"] == "ring"]) == 1


def test_results_say_what_was_trained_on(written: WrittenRun):
    page, _ = page_of(written, full=False)
    assert "TRAINED ON" not in page.text
    seen = {"count": 3, "is_whole": True, "items": ["a", "b", "c"]}
    written.rewrite("eval/composition-pairs.json", trained_on=seen)
    page, _ = page_of(written, full=False)
    assert "4 items; 3 TRAINED ON" in page.text
    # Results of earlier versions do not say it.
    file = written.run / "eval/composition-pairs.json"
    content = load_checked(file.read_text())
    del content["trained_on"]
    file.write_text(json.dumps(content))
    page, _ = page_of(written, full=False)
    assert "TRAINED ON" not in page.text


def test_all_sessions_of_a_run_are_told(written: WrittenRun):
    file = written.run / "environment.json"
    first = load_checked(file.read_text())
    del first["format"]
    resumed = {
        "step": 7, "device": "cuda:0 (H100)", "processes": 4, "command": ["figclip", "--resume"],
        "packages": {"torch": "3.0"},
    }  # fmt: skip
    sessions = [first, {**first, **resumed}]
    file.write_text(json.dumps({"format": 2, "sessions": sessions}))
    page, _ = page_of(written, full=False)
    for fact in ("resumed after step 7", "device cuda:0 (H100)", "processes 4", "torch 3.0"):
        assert fact in page.text, fact
    assert "figclip adapt --out 'my run'" in page.text, "the command that started it"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("environment.json", '{"format": 1}'),
        ("environment.json", '{"format": 2, "sessions": [3]}'),
        ("data.json", "[]"),
        ("config.json", "{"),
        ("metrics.jsonl", "nonsense\n"),
        ("model/figclip.json", "{}"),
        ("eval/composition-pairs.json", '{"format": 1, "task": 3}'),
        ("eval/composition-pairs.items.jsonl", "{}\n"),
        ("eval/summary.json", '{"format": 1, "tests": [1]}'),
        ("eval/timings.json", '{"adapting": "long"}'),
        ("eval/sweep.json", '{"format": 1, "points": [{"alpha": 1}]}'),
        ("strength.json", '{"format": 1, "alpha": "x", "curve": []}'),
        ("eval/summary.json", '{"format": 99}'),
        pytest.param("eval/timings.json", f'{{"adapting": 1{"0" * 400}}}', id="400 digits"),
        pytest.param("metrics.jsonl", f'{{"step": 1{"0" * 5_000}}}\n', id="5000 digits"),
        pytest.param("config.json", "\udcff", id="no UTF-8"),
    ],
)
def test_a_damaged_file_is_named(written: WrittenRun, file: str, text: str):
    (written.run / file).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(FigclipError, match=re.escape(Path(file).name)):
        write_report(written.run, data=[written.data])
    assert not (written.run / "report.html").exists()


def test_an_older_result_file_is_refused_by_name(written: WrittenRun):
    name = "eval/composition-pairs.json"
    metrics = load_checked((written.run / name).read_text())["metrics"]
    for one in metrics.values():
        del one["headline"]
    written.rewrite(name, metrics=metrics)
    with pytest.raises(DataError, match="Run `figclip eval` again"):
        write_report(written.run)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="holds no run"):
        write_report(tmp_path)


def test_data_that_were_not_scored_are_refused(written: WrittenRun):
    other = written.folder / "other.jsonl"
    shutil.copy(written.folder / "pairs.jsonl", other)
    source = dataclasses.replace(written.data, path=other)
    with pytest.raises(DataError, match="was not scored"):
        write_report(written.run, data=[source])


def test_data_without_true_and_false_captions_are_refused(written: WrittenRun):
    source = parse_source(f"events:{written.store}")
    with pytest.raises(ConfigError, match="true and false captions"):
        write_report(written.run, data=[source])


def test_a_store_of_another_run_is_refused(written: WrittenRun):
    written.rewrite("data.json", train=["somebody else's"])
    with pytest.raises(DataError, match="no training video of the run"):
        write_report(written.run, store=written.store)
    with pytest.raises(StoreError):
        write_report(written.run, store=written.folder / "pairs.jsonl")


@pytest.mark.slow
def test_from_the_command_line(written: WrittenRun):
    media = written.folder / "media"
    command = [
        sys.executable, "-m", "figclip", "report", str(written.run), "--store", str(written.store),
        "--data", f"pairs:{written.folder / 'pairs.jsonl'},videos={media},images={media}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    size = (written.run / "report.html").stat().st_size
    assert done.stdout == f"Report: {written.run / 'report.html'} ({size / 1000:,.0f} kB)\n"
