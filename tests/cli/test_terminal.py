"""What comes from files cannot steer the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from figclip.cli.progress import ProgressDisplay
from figclip.cli.terminal import say, warn
from tests.annotation_files import own_event, own_video, write_jsonl
from tests.processes import run_forked
from tests.small_runs import write_tiny_clip

STEERING = "\x1b\x9b\x07\r\u202e"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("base") / "clip")


@pytest.mark.parametrize("kind", ["key", "role", "column", "name", "text"])
def test_names_of_files_do_not_steer_the_terminal(base: Path, tmp_path: Path, kind: str) -> None:
    evil = "a\x1b[2J\x9b31m\u202eb"
    file = tmp_path / "own.jsonl"
    if kind == "column":
        file = tmp_path / "own.csv"
        file.write_text(f"video,start_s,end_s,verb,{evil}\nv.mp4,0,1,walk,b\n", encoding="utf-8")
    else:
        changes = {
            "key": {"events": [own_event()], evil: 1},
            "role": {"events": [own_event(roles={evil: "man"})]},
            "name": {"events": [own_event()], "id": "a\u202eb"},
            "text": {"events": [own_event(roles={"walker": "man \u202e"})]},
        }
        write_jsonl(file, [own_video(**changes[kind])])
    done = run_forked("preview", file, "--base", base, out=tmp_path)
    said = done.stdout + done.stderr
    assert not set(STEERING) & set(said), said
    assert "Traceback" not in said and "u202e" in said


def test_results_notes_and_progress_are_printable(capsys: pytest.CaptureFixture[str]) -> None:
    say(STEERING)
    warn(STEERING)
    with ProgressDisplay() as display:
        display.update(STEERING, 1, 1, STEERING)
        display.say(STEERING)
    out, err = capsys.readouterr()
    assert not set(STEERING) & set(out + err)
    assert out == "\\x1b\\x9b\\x07\\r\\u202e\n"


def test_json_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    content = {"\u202e": "\x1b"}
    for ascii_only in (True, False):
        say(json.dumps(content, ensure_ascii=ascii_only))
        assert json.loads(capsys.readouterr().out) == content
