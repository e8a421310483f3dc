"""figclip score as a user meets it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from tests.cli.test_cli import figclip
from tests.situation_files import role_rows, verb_rows, write_official, write_rows


@pytest.fixture
def official(tmp_path: Path) -> Path:
    return write_official(tmp_path / "official")


def test_a_table_and_files(official: Path, tmp_path: Path):
    file = tmp_path / "mine.pkl"
    file.write_bytes(pickle.dumps(verb_rows(), protocol=3))
    done = figclip("score", file, "--data", f"vidsitu:{official}", "--out", tmp_path / "scores")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("vidsitu_verbs on vidsitu:official (valid): 3 videos, 15 events")
    assert "Acc@1 (%)    100.00" in done.stdout
    assert "mine-vidsitu_verbs.json" in done.stdout
    assert len(list((tmp_path / "scores").iterdir())) == 2


@pytest.mark.slow
def test_json_for_programs(official: Path, tmp_path: Path):
    rows = role_rows()
    rows[0]["vb_output"] = {}
    file = write_rows(tmp_path / "roles.json", rows)
    done = figclip(
        "score", file, "--data", f"vidsitu:{official}", "--out", tmp_path / "scores", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["scores"]["Lea"]["corrected"] < 1
    assert "Note: 1 video without predicted events" in done.stderr


def test_broken_predictions_are_named_in_one_go_without_traceback(official: Path, tmp_path: Path):
    rows = role_rows()
    del rows[0]["vb_output"]["Ev3"]
    rows[0]["vb_output"]["Ev1"]["Arg0"] = "x" * 100_000
    rows[1]["vb_output"]["Ev1"]["who"] = "man"
    rows[2]["vb_output"] = 1
    rows += role_rows()[2:]
    file = write_rows(tmp_path / "roles.json", rows)
    done = figclip("score", file, "--data", f"vidsitu:{official}", "--out", tmp_path / "scores")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("figclip: 5 problems in the predictions\n")
    for part in ("Ev3]: is missing", "10,000 characters", "who]: is no role", "is 2 again"):
        assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "scores").exists()


@pytest.mark.slow
def test_wrong_use(official: Path, tmp_path: Path):
    file = write_rows(tmp_path / "verbs.json", verb_rows())
    done = figclip("score", file, "--data", f"ucf101:{official}", "--out", tmp_path)
    assert done.returncode == 2
    assert "Scored are vidsitu, events, activitynet, youcook2" in done.stderr
