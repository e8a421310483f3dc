"""Numbers, marked words, charts and the choice of examples, by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.datasets.records import Contrast, Medium
from figclip.errors import FigclipError
from figclip.evaluation.sources import DataSource
from figclip.reporting import charts
from figclip.reporting.charts import dumbbell, line_chart, outcome_bar, tag
from figclip.reporting.examples import Judged, changed_words, in_turn
from figclip.reporting.records import (
    Compared,
    Mean,
    Preferred,
    Series,
    Span,
    Verdict,
    claim,
    direction,
    duration,
    percent,
    plain,
    span,
)
from figclip.reporting.run_data import read_run_data
from tests.reporting.written_runs import write_run, write_strength, write_summary


def compared(base: float, adapted: float, *interval: float) -> Compared:
    bounds = Span(low=interval[0], high=interval[1]) if interval else None
    return Compared(base=base, adapted=adapted, difference=adapted - base, interval=bounds)


def judged(name: str, test: str, base: Preferred, adapted: Preferred) -> Judged:
    medium = Medium(kind="video", name=f"{name}.mp4")
    item = Contrast(
        id=name, subset=test, media=(medium,), positives=("a",), negatives=("b",), group=name
    )
    source = DataSource(name="pairs", path=Path("pairs.jsonl"))
    return Judged(test=test, item=item, base=base, adapted=adapted, source=source)


@pytest.mark.parametrize(
    "name",
    [
        "config.json", "environment.json", "data.json", "metrics.jsonl", "strength.json",
        "eval/composition-pairs.json", "eval/summary.json", "eval/timings.json",
        "model/figclip.json",
    ],
)  # fmt: skip
def test_another_digit_in_a_file_of_a_run_is_noticed(tmp_path: Path, name: str):
    written = write_run(tmp_path)
    write_summary(written)
    write_strength(written)
    file = written.run / name
    text = file.read_text()
    for digit in set(re.findall(r"[1-9](?=[,.\n])", text.rpartition('"check"')[0])):
        file.write_text(text.replace(digit, "0", 1))
        with pytest.raises(FigclipError, match=re.escape(file.name)):
            read_run_data(written.run)


def test_numbers_read_well():
    assert percent(0.0933, sign=True) == "+9.3"
    assert percent(-0.004, sign=True) == "\u22120.4"
    assert percent(-0.0001, sign=True) == "+0.0"
    assert plain(1234.56) == "1,234.6"
    assert span(Span(low=-0.012, high=0.002)) == "\u22121.2 to +0.2"
    assert span(Span(low=-1.25, high=2.0), unit="rank") == "\u22121.2 to +2.0"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.42, "0.4 s"), (47.6, "48 s"), (59.7, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations_read_well(seconds: float, said: str):
    assert duration(seconds) == said


def test_only_an_interval_beside_zero_is_a_direction():
    assert direction(compared(0.5, 0.6, 0.01, 0.2)) == "up"
    assert direction(compared(0.6, 0.5, -0.2, -0.01)) == "down"
    assert direction(compared(0.5, 0.6, 0.0, 0.2)) == "unsure"
    assert direction(compared(0.5, 0.6)) == "unsure"


def test_a_claim_about_one_model_claims_no_difference():
    alone = Compared(base=None, adapted=0.5, difference=None, interval=None)
    said = claim(
        Verdict(detail=Mean(tests=2, score=alone), detail_wording="", template=None, kept=None)
    )
    assert "was not scored: no difference; what must be kept was not tested." in said


def test_words_that_differ_are_marked():
    parts = changed_words("the red dog bites, a man", "the dog bites, a woman")
    assert list(parts) == [
        ("the", False),
        (" red", True),
        (" dog bites, a", False),
        (" man", True),
    ]


@given(st.text(max_size=60), st.text(max_size=60))
def test_marking_words_loses_no_sign(sentence: str, other: str):
    assert "".join(text for text, _ in changed_words(sentence, other)) == sentence.rstrip()
    assert not any(changed for _, changed in changed_words(sentence, sentence))


def test_outcomes_take_turns_with_the_test_shown_least():
    items = [
        *(judged(f"g{i}", test, "false", "true") for i, test in enumerate("aab")),
        judged("l", "a", "true", "false"),
        judged("f", "b", "false", "neither"),
        judged("both", "a", "true", "true"),
    ]
    shown = [(one.outcome, one.test) for one in in_turn(items)]
    assert shown == [
        ("gained", "a"), ("lost", "a"), ("gained", "b"), ("failed", "b"), ("gained", "a"),
    ]  # fmt: skip
    assert [one.item.id for one in in_turn(items)] == [one.item.id for one in in_turn(items[::-1])]


def test_elements_escape_what_they_hold():
    assert tag("text", "<b> & co", data_tip='"quoted"', class_="x") == (
        '<text data-tip="&#34;quoted&#34;" class="x">&lt;b&gt; &amp; co</text>'
    )


def test_a_dumbbell_lies_between_0_and_100_percent():
    drawn = dumbbell(compared(0.0, 1.0), chance=0.5)
    assert re.findall(r'<circle cx="([\d.]+)"', drawn) == ["6", "162"]
    assert '<line x1="84" x2="84"' in drawn


def test_the_outcome_bar_shares_its_length():
    drawn = outcome_bar({"a": 3, "b": 1}, {"a": "first", "b": "second"})
    assert re.findall(r'width="([\d.]+)" height="26"', drawn) == ["478", "158"]
    assert "first: 3 of 4 (75.0 %)" in drawn


def test_long_series_are_averaged_and_keep_their_last_step():
    series = Series(name="loss", steps=tuple(range(1, 1001)), values=tuple([1.0, 3.0] * 500))
    drawn = line_chart([series], name="Loss", unit="")
    (points,) = re.findall(r'points="([^"]+)"', drawn)
    assert len(points.split()) == 200
    assert "step 1,000: loss 2.200" in drawn, "of 3, 1, 3, 1, 3"


def test_a_flat_series_of_one_step_is_drawn():
    drawn = line_chart([Series(name="loss", steps=(0,), values=(0.0,))], name="Loss", unit="")
    assert "nan" not in drawn and "step 0: loss 0.000" in drawn


@pytest.mark.parametrize(("x", "is_above"), [(100.0, True), (30.0, False), (175.0, False)])
def test_a_label_stands_above_its_point_where_there_is_room(x: float, is_above: bool):
    axis = charts.Axis(low=0, high=1, start_px=0.0, end_px=200.0)
    # Ten letters take 67 px.
    label = charts.label_above("x" * 10, x, y=50.0, x_of=axis)
    assert ("middle" in label) == is_above
    assert f'x="{x:g}"' in label if is_above else f'x="{x:g}"' not in label
