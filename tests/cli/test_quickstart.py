"""The quickstart's table; its whole path is in tests/slow/test_quickstart.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import figclip.miniworld.quickstart
from figclip.cli.app import app
from figclip.cli.quickstart import _table
from figclip.miniworld.quickstart import OnBase, QuickstartResult


def compared(base: float, adapted: float) -> dict[str, object]:
    difference = adapted - base
    interval = [difference - 0.01, difference + 0.02]
    return {"base": base, "adapted": adapted, "difference": difference, "interval": interval}


def test_table():
    mean = {**compared(0.5, 0.75), "held_out": compared(0.25, 0.125)}
    summary = {
        "tests": [
            {"name": "role swap", "wording": "natural", **compared(0.5, 0.75)},
            {"name": "kinds", "wording": None, **compared(1.0, 0.99)},
        ],
        "detail": mean,
        "detail_template": mean,
        "semantic": mean,
        "tasks": {
            "situations": {
                "verbs Acc@1": {"base": 0.5, "adapted": 0.6, "difference": 0.1, "interval": None},
                "seeds": [0],
            },
        },
        "controls": {
            "shuffled annotations": {"detail": mean, "detail_template": mean, "semantic": mean}
        },
    }
    header, *rows = _table(summary)
    assert header.split() == ["base", "adapted", "points", "95", "%", "interval"]
    assert rows[0].split() == "role swap, natural 50.0 75.0 +25.0 +24.0 to +27.0".split()
    assert rows[1].split() == "kinds 100.0 99.0 -1.0 -2.0 to +1.0".split()
    assert any(row.startswith("mean: kept") for row in rows)
    (new,) = [row for row in rows if row.startswith("mean, new combinations: kept")]
    assert new.split()[-6:] == ["25.0", "12.5", "-12.5", "-13.5", "to", "-10.5"]
    assert sum(row.startswith("shuffled annotations: ") for row in rows) == 3
    assert all(len(row) <= 100 for row in rows)


@pytest.mark.parametrize(("seeds", "is_said"), [([0], False), ([0, 1, 2], True)])
def test_a_kept_summary_of_several_seeds_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeds: list[int], is_said: bool
):
    mean = {**compared(0.5, 0.75), "held_out": compared(0.25, 0.125)}
    means = {"detail": mean, "detail_template": mean, "semantic": mean}
    second = {**means, "seeds": seeds, "by_seed": [means] * len(seeds)}
    summary = {
        **means,
        "tests": [],
        "tasks": {},
        "controls": {"second base": second},
        "seeds": seeds,
    }
    result = QuickstartResult(run=tmp_path, summary=summary, report=tmp_path / "report.html")
    monkeypatch.setattr(figclip.miniworld.quickstart, "run_quickstart", lambda *_, **__: result)
    done = CliRunner().invoke(app, ["quickstart", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "second base: detail, natural sentences" in done.output
    said = "Summary and report stay those of --full, seeds 0, 1, 2."
    assert (said in done.output) == is_said
    assert ("One seed. --full adds two more" in done.output) != is_said


def test_what_is_coming_and_the_base_are_told_before_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(
        *_: object, on_base: OnBase, on_notice: Callable[[str], None], **__: object
    ) -> QuickstartResult:
        on_base({"semantic": 0.788})
        on_base({"detail": 0.684, "detail_template": 0.679})
        on_notice("Nothing is held back.")
        raise KeyboardInterrupt

    monkeypatch.setattr(figclip.miniworld.quickstart, "run_quickstart", interrupted)
    done = CliRunner().invoke(app, ["quickstart", "--out", str(tmp_path)])
    coming, kept, detail, warned = [
        done.output.index(text)
        for text in (
            "Coming: ",
            "The base scores: kept 78.8 %.",
            "The base scores: detail, natural sentences 68.4 %, "
            "detail, wording of training 67.9 %.",
            "Warning: Nothing is held back.",
        )
    ]
    assert coming < kept < detail < warned
