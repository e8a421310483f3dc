"""Parts of the page: escaped, and plain."""

from __future__ import annotations

from figclip.demo.comparing import Comparison, Score, SentenceScores
from figclip.demo.rendering import notice, problem, render, swap_label, told
from figclip.errors import AnnotationError, Problem, VideoError
from figclip.search.counterparts import Counterpart

HOSTILE = '<img src=x onerror="alert(1)">\u202e'
ESCAPED = "&lt;img src=x onerror=&#34;alert(1)&#34;&gt;\\u202e"


def comparison(*texts: str, counterpart: str = "") -> Comparison:
    score = Score(similarity=0.3, share=0.5, margin=0.0 if len(texts) > 1 else None)
    others = (Counterpart(text=counterpart, changed="roles"),) if counterpart else ()
    rows = [
        SentenceScores(text=one, base=score, adapted=score, counterparts=others) for one in texts
    ]
    return Comparison(sentences=tuple(rows), base_choice=0, adapted_choice=0, num_cut=0)


def test_texts_are_escaped_wherever_they_stand():
    parts = [
        notice(HOSTILE),
        render("head", model=HOSTILE, at=""),
        render("comparison", found=comparison(HOSTILE, "b", counterpart=HOSTILE), truth=None),
        render("search", num_videos=1, queries=[HOSTILE]),
        render("hits", hits=[], query=HOSTILE, against=[HOSTILE]),
    ]
    assert all("<img" not in one and "\u202e" not in one for one in parts)
    assert all(ESCAPED in one for one in parts[:4])


def test_what_a_button_sends_stays_within_its_attribute():
    part = render("comparison", found=comparison("a", counterpart="it's \"b\" '>"), truth=None)
    assert 'data-send=\'{"add": "it\\u0027s \\"b\\" \\u0027\\u003e"}\'' in part


def test_one_sentence_has_no_bars():
    assert "bar-row" not in render("comparison", found=comparison("a"), truth=None)
    assert render("comparison", found=comparison("a", "b"), truth="b").count("bar-row") == 4


def test_problems_say_what_and_not_where():
    error = VideoError("missing: no such file", where="/home/me/secret.mp4", fix="Look for it")
    assert told(error) == "Missing: no such file. Look for it."
    problems = [Problem(where="/home/me/a.jsonl:1", field="verb", what="is empty", fix="Write it")]
    for shown in (problem(error), problem(AnnotationError(problems * 30))):
        assert "/home/me" not in shown and 'role="alert"' in shown
    assert "… and 10 more" in problem(AnnotationError(problems * 30))


def test_buttons_say_what_they_change():
    assert swap_label("roles") == "Swap who acts"
    assert swap_label("enters: leaves") == "enters → leaves"
