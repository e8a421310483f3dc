"""Runs side by side: what differs, on the same items, and what it cost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from figclip.errors import ConfigError, DataError
from figclip.evaluation.sources import parse_source
from figclip.reporting.comparison import Comparison, compare_runs
from figclip.reporting.report import write_comparison
from figclip.runtime.checked_json import dump_checked, load_checked
from figclip.training.run_folder import RunFolder
from tests.reporting.written_heads import write_heads
from tests.reporting.written_runs import HOSTILE, WrittenRun, write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[WrittenRun, WrittenRun]:
    """Two runs of one name; the second has another seed, and is right where the first is wrong."""
    root = tmp_path_factory.mktemp("runs")
    first, second = write_run(root / "a"), write_run(root / "b")
    config = load_checked((second.run / "config.json").read_text())
    config["train"]["seed"] = 6
    config["model"]["base"] = "/home/you/clip"
    config.pop("check", None)
    (second.run / "config.json").write_text(json.dumps(config))
    (file,) = (second.run / "eval").glob("composition*.items.jsonl")
    rows = [load_checked(line) for line in file.read_text().splitlines()]
    for row in rows:
        row.pop("check", None)
        if row["item"] == "failed":
            row["adapted"]["accuracy"] = 1.0
    file.write_text("".join(f"{dump_checked(row)}\n" for row in rows))
    for run, mean in ((first.run, 0.5), (second.run, 0.75)):
        (file,) = (one for one in (run / "eval").glob("comp*.json") if "items" not in one.name)
        content = load_checked(file.read_text())
        content.pop("check", None)
        for kind in ("official", "corrected"):
            content["metrics"]["accuracy"]["adapted"][kind] = mean
        file.write_text(dump_checked(content))
    metrics = RunFolder(second.run).metrics
    lines = [load_checked(line) for line in metrics.read_text().splitlines()]
    for line in lines:
        line.pop("check", None)
        line["time"]["peak_bytes"] = 3 * 2**20
    metrics.write_text("".join(f"{dump_checked(line)}\n" for line in lines))
    return first, second


@pytest.fixture(scope="module")
def compared(runs: tuple[WrittenRun, WrittenRun]) -> Comparison:
    return compare_runs([one.run for one in runs], data=[runs[0].data])


def test_names_tell_runs_apart(compared: Comparison):
    assert [run.name for run in compared.runs] == ["a/my run", "b/my run"]


def test_only_settings_that_differ_are_shown_and_no_path(compared: Comparison):
    differing = {one.name: one.values for one in compared.settings}
    assert differing == {"train.seed": ("5", "6")}


def test_differences_are_to_the_first_run_on_the_same_items(compared: Comparison):
    row = next(one for one in compared.tests if one.face == "detail")
    first, second = row.scores
    assert first is not None and second is not None
    assert first.difference is None and first.interval is None
    # One of four items: a quarter.
    assert second.difference == pytest.approx(0.25)
    assert second.interval is not None and second.interval.low <= 0.25 <= second.interval.high
    assert {one.face for one in compared.tests} == {"detail", "kept"}


def test_curves_and_costs_are_a_line_a_run(compared: Comparison):
    loss = compared.curves[0]
    assert [one.name for one in loss.series] == ["a/my run", "b/my run"]
    first, second = compared.runs
    assert first.data.costs.peak_memory_mib is None and second.data.costs.peak_memory_mib == 3
    assert first.step_s is not None and first.data.config is not None
    expected = first.data.config.data.videos_per_batch / first.step_s
    assert first.videos_per_s == pytest.approx(expected)


def test_clips_are_of_items_on_which_they_disagree(compared: Comparison):
    assert compared.disagreements is not None
    [one] = compared.disagreements
    assert one.judged.item.id == "failed" and one.preferred == ("neither", "true")
    assert sum(compared.num_split.values()) == 1


def test_the_page_is_whole_and_escaped(runs: tuple[WrittenRun, WrittenRun], tmp_path: Path):
    file = write_comparison([one.run for one in runs], out=tmp_path / "page.html")
    text = file.read_text()
    assert "train.seed" in text and "b/my run" in text and "make the page with --data" in text
    assert HOSTILE not in text and "/home/" not in text


def test_a_test_of_other_data_is_named(runs: tuple[WrittenRun, WrittenRun], tmp_path: Path):
    other = write_run(tmp_path / "c")
    (file,) = (
        one for one in (other.run / "eval").glob("composition*.json") if "items" not in one.name
    )
    content = load_checked(file.read_text())
    content.pop("check", None)
    content["data"]["hash"] = "another"
    file.write_text(dump_checked(content))
    found = compare_runs([runs[0].run, other.run])
    assert found.disagreements is None
    assert any(
        one.endswith("was not scored on the same data by c/my run.") for one in found.notices
    )


def test_a_test_in_another_precision_is_named(runs: tuple[WrittenRun, WrittenRun], tmp_path: Path):
    other = write_run(tmp_path / "c")
    for run, precision in ((runs[0].run, "fp32"), (other.run, "bf16")):
        copied = shutil.copytree(run, tmp_path / precision / run.name)
        (file,) = (
            one for one in (copied / "eval").glob("composition*.json") if "items" not in one.name
        )
        content = load_checked(file.read_text())
        content.pop("check", None)
        content["models"]["adapted"]["precision"] = precision
        file.write_text(dump_checked(content))
    copies = [tmp_path / precision / runs[0].run.name for precision in ("fp32", "bf16")]
    notices = compare_runs(copies).notices
    expected = f": {copies[0].parent.name}/my run in fp32, {copies[1].parent.name}/my run in bf16."
    [said] = [one for one in notices if "in different precisions" in one]
    assert said.endswith(expected) and said.startswith("composition")
    assert not any(
        "in different precisions" in one for one in compare_runs([copies[0], runs[1].run]).notices
    )


def test_what_cannot_be_compared_is_refused(runs: tuple[WrittenRun, WrittenRun], tmp_path: Path):
    first, second = (one.run for one in runs)
    for paths in ([first], [first, first], [first, second, *(tmp_path / str(i) for i in range(5))]):
        with pytest.raises(ConfigError, match="cannot be beside each other"):
            compare_runs(paths)
    with pytest.raises(DataError, match="holds no run"):
        compare_runs([first, tmp_path])
    heads = write_heads(tmp_path / "situations")
    with pytest.raises(ConfigError, match="is a run of heads"):
        write_comparison([first, heads.run], out=tmp_path / "page.html")
    with pytest.raises(ConfigError, match="examples are of true and false captions"):
        compare_runs([first, second], data=[parse_source(f"actions:{tmp_path},videos={tmp_path}")])


def test_a_score_that_is_no_plain_mean_has_no_interval(
    runs: tuple[WrittenRun, WrittenRun], tmp_path: Path
):
    other = write_run(tmp_path / "c")  # whose file says other means than its items have
    row = next(one for one in compare_runs([runs[0].run, other.run]).tests if one.face == "detail")
    second = row.scores[1]
    assert second is not None and second.difference is not None and second.interval is None
