"""figclip search: tables and JSON of what is found, and what is said when it cannot be."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from figclip.cli.app import app
from figclip.errors import ConfigError
from figclip.model.figclip import FiGCLIP
from figclip.video.container import video_duration_s
from tests.processes import run_forked
from tests.search.hand_made import write_index
from tests.small_runs import write_tiny_clip
from tests.videos import draw_video, regular_stamps

PUSH, PULL, REST = "a man pushes a woman", "a woman pulls a cat", "nothing at all"
SHOWN = {"b.mp4+copy.mp4": [REST, REST, PUSH, PUSH, REST, REST], "a[red].mp4": [REST, PULL, REST]}


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def index(clip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("index") / "my.index"
    return write_index(path, FiGCLIP.from_pretrained(clip_folder), SHOWN)


def search(
    index: Path, *arguments: str | Path, out: Path, model: Path
) -> subprocess.CompletedProcess[str]:
    return run_forked("search", index, *arguments, "--model", model, "--cpu", out=out)


def test_a_table_of_paths_spans_and_scores(index: Path, clip_folder: Path, tmp_path: Path):
    done = search(index, PULL, "-k", "2", out=tmp_path, model=clip_folder)
    assert done.returncode == 0, done.stderr
    heads, rule, first, second, *_ = [one for one in done.stdout.splitlines() if one.strip()]
    assert heads.split() == ["#", "path", "span", "score"] and set(rule) <= {"─", " "}
    assert first.split() == ["1", "/videos/a[red].mp4", "0:01.0", "-", "0:03.0", "1.000"]
    assert second.split()[:2] == ["2", "/videos/b.mp4"]


def test_json_says_what_was_asked_and_where_it_is(index: Path, clip_folder: Path, tmp_path: Path):
    done = search(
        index, PUSH, "--not", REST, "-k", "1", "--path", "copy*", "--json",
        out=tmp_path, model=clip_folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content["query"] == {"text": PUSH, "image": None, "video": None, "against": [REST]}
    (result,) = content["results"]
    assert result["index"] == str(index) and result["model"].endswith("no-such-model")
    (hit,) = result["hits"]
    assert hit.pop("score") == pytest.approx(1) and hit.pop("margin") > 0
    assert hit == {
        "path": "/videos/copy.mp4", "also_at": ["/videos/b.mp4"], "start_s": 2.0, "end_s": 5.0,
        "windows": [2, 3], "best_window": 2, "video": "hash of b.mp4+copy.mp4",
            "pooling": "mean",
    }  # fmt: skip


def test_another_precision_than_that_of_the_index_is_said(
    index: Path, clip_folder: Path, tmp_path: Path
):
    half = search(index, PULL, "--precision", "bf16", "--json", out=tmp_path, model=clip_folder)
    assert half.returncode == 0, half.stderr
    assert f"Note: {index} is in fp32, and what is searched for is embedded in bf16" in half.stderr
    (result,) = json.loads(half.stdout)["results"]
    assert result["precision"] == "fp32"
    assert result["hits"][0]["score"] == pytest.approx(1, abs=1e-2)
    usual = search(index, PULL, out=tmp_path, model=clip_folder)
    assert usual.returncode == 0 and usual.stderr == ""


def test_another_index_stands_beside(index: Path, clip_folder: Path, tmp_path: Path):
    shown = {"c.mp4": [REST], "d.mp4": [PUSH]}
    other = write_index(tmp_path / "other.index", FiGCLIP.from_pretrained(clip_folder), shown)
    arguments = (PUSH, "-k", "1", "--compare", other)
    missing = search(index, *arguments, out=tmp_path, model=clip_folder)
    assert missing.returncode == 1 and "no-such-model cannot be loaded" in missing.stderr
    assert "--model is that of INDEX" in missing.stderr
    (tmp_path / "no-such-model").symlink_to(clip_folder)
    done = search(index, *arguments, out=tmp_path, model=clip_folder)
    heads, _, row = [one for one in done.stdout.splitlines() if one.strip()]
    assert "my.index: path" in heads and "other.index: path" in heads
    assert [one for one in row.split() if "mp4" in one] == ["/videos/b.mp4", "/videos/d.mp4"]


def test_a_model_to_compare_with_is_told_to_make_an_index(
    index: Path, clip_folder: Path, tmp_path: Path
):
    done = search(index, PUSH, "--compare", clip_folder, out=tmp_path, model=clip_folder)
    assert done.returncode == 2
    assert f"`figclip index {clip_folder} VIDEOS… --out other.index`" in done.stderr


def test_nothing_to_search_for_and_no_index_are_said(
    index: Path, clip_folder: Path, tmp_path: Path
):
    done = search(index, out=tmp_path, model=clip_folder)
    assert done.returncode == 2 and "just one thing is searched for" in done.stderr
    done = search(tmp_path / "none", PUSH, out=tmp_path, model=clip_folder)
    assert done.returncode == 1 and "no such index" in done.stderr


def test_counterparts_are_written_by_rule_and_said(index: Path, clip_folder: Path, tmp_path: Path):
    arguments = (PUSH, "--not", REST, "--swap", "--json")
    done = search(index, *arguments, out=tmp_path, model=clip_folder)
    against = [REST, "a woman pushes a man", "a man pulls a woman"]
    assert json.loads(done.stdout)["query"]["against"] == against
    assert done.stderr.splitlines()[0] == '--not "a woman pushes a man" (roles)'
    done = search(index, REST, "--swap", out=tmp_path, model=clip_folder)
    assert done.returncode == 2 and "'nothing at all': no counterpart can be written" in done.stderr
    done = search(index, "--image", "a.png", "--swap", out=tmp_path, model=clip_folder)
    assert done.returncode == 2 and "--swap: counterparts belong to a sentence" in done.stderr


def test_hits_are_cut_drawn_and_listed(clip_folder: Path, tmp_path: Path):
    videos, out = tmp_path / "videos", tmp_path / "out"
    videos.mkdir()
    draw_video(videos / "a.mp4", stamps=regular_stamps(70))
    shown = {"a.mp4": [REST, REST, PUSH, REST, REST], "gone.mp4": [PUSH]}
    model = FiGCLIP.from_pretrained(clip_folder)
    index = write_index(tmp_path / "my.index", model, shown, folder=str(videos))
    outputs = (
        "--clips", out / "clips", "--sheet", out / "sheet.jpg", "--playlist", out / "hits.m3u",
    )  # fmt: skip
    out.mkdir()
    done = search(index, PUSH, "-k", "2", "--json", *outputs, out=tmp_path, model=clip_folder)
    assert done.returncode == 3
    cut, missed = json.loads(done.stdout)["clips"]
    path = out / "clips" / "001-a.mp4"
    assert cut == {"hit": 1, "path": str(path), "is_copy": True, "lead_s": 2.0}
    assert video_duration_s(path) == pytest.approx(4, abs=0.5)
    assert missed == {"hit": 2, "problem": missed["problem"]} and "missing" in missed["problem"]
    assert "figclip: hit 2 cannot be cut: " in done.stderr
    assert {one.name for one in out.iterdir()} == {"clips", "sheet.jpg", "hits.m3u"}
    done = search(index, PUSH, "-k", "1", *outputs, out=tmp_path, model=clip_folder)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "Written: " + ", ".join(
        str(out / name) for name in ("sheet.jpg", "hits.m3u", "clips")
    )


@pytest.mark.parametrize("flag", [("--sheet", "x.png"), ("--json",), ("--path", "*.mp4")])
def test_a_server_takes_no_search_of_the_command_line(tmp_path: Path, flag: tuple[str, ...]):
    result = CliRunner().invoke(app, ["search", str(tmp_path / "x.index"), "--serve", *flag])
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith("--serve: searches for nothing by itself")
