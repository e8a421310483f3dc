"""figclip index as a user meets it: what it says, JSON, exit codes, lists on standard input."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from figclip.cli.app import app
from figclip.errors import ConfigError, DataError
from figclip.search.index_file import IndexFile
from tests.small_runs import write_tiny_clip
from tests.videos import draw_video, regular_stamps


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("model"))


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    draw_video(folder / "good.mp4", stamps=regular_stamps(35))
    (folder / "bad.mp4").write_bytes(b"no video")
    return folder


def run(*arguments: str | Path, given: bytes = b"") -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["index", *map(str, arguments)], input=given)
    return result.exit_code, result.stdout, result.stderr


def test_says_what_it_is_about_to_do_and_what_it_did(model: Path, clips: Path, tmp_path: Path):
    out = tmp_path / "my.index"
    code, said, warned = run(model, clips, "--out", out, "--cpu")
    assert code == 3
    assert "Videos to decode: 1 (0:00:04 h, 3 windows), about " in warned
    assert "Files: 2 (0 unchanged, 0 moved or copies, 1 quarantined)" in said
    assert "Videos added: 1 (3 windows)" in said
    assert f"quarantined {clips / 'bad.mp4'}: unreadable: " in said
    (clips / "bad.mp4").unlink()
    code, said, warned = run(model, clips, "--out", out, "--cpu")
    assert (code, warned) == (0, "")
    assert "Files: 1 (1 unchanged" in said
    assert f"Files that are gone: 1 (kept; --prune forgets them), the first is {clips}" in said
    code, said, _ = run(model, clips, "--out", out, "--cpu", "--prune", "--json")
    assert json.loads(said) == {
        "index": str(out),
        "num_files": 1,
        "num_unchanged": 1,
        "num_known": 0,
        "num_videos": 0,
        "num_windows": 0,
        "quarantine": [],
        "gone": [str(clips / "bad.mp4")],
        "closed_folders": [],
    }


def test_a_list_of_any_names_on_standard_input(model: Path, clips: Path, tmp_path: Path):
    odd = clips / os.fsdecode(b"\xff \n".strip(b"\n") + b".mp4")
    (clips / "good.mp4").rename(odd)
    out = tmp_path / "my.index"
    code, said, _ = run(model, "-", "--out", out, "--cpu", given=os.fsencode(odd) + b"\n\n")
    assert code == 0, said
    with IndexFile(out) as index:
        assert [file.path for file in index.files()] == [odd]


def test_an_empty_list_is_named(model: Path, tmp_path: Path):
    result = CliRunner().invoke(app, ["index", str(model), "-", "--out", str(tmp_path / "x")])
    assert isinstance(result.exception, DataError)
    assert "no video is given" in str(result.exception)


@pytest.mark.parametrize("flag", [("--workers", "2"), ("--cpu",)])
def test_what_is_of_this_machine_is_refused_with_ray(tmp_path: Path, flag: tuple[str, ...]):
    command = ["index", "model", str(tmp_path), "--out", str(tmp_path / "x"), "--ray", "local"]
    result = CliRunner().invoke(app, [*command, *flag])
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith(f"{flag[0]}: is of this machine")
