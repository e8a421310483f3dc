"""The three zero-shot tasks on official files, with the few real clips that are at hand."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from figclip.datasets.catalogue import load_benchmark
from figclip.datasets.records import RetrievalSet
from figclip.errors import DataError
from figclip.evaluation.evaluate import evaluate
from figclip.evaluation.results import EvaluationResult, format_table
from figclip.evaluation.sources import parse_source
from figclip.tasks.media import MediaSet
from figclip.tasks.retrieval import Retrieval
from tests.media_sets import Guessing, TextOracle, clips_of
from tests.small_clip import write_small_clip

pytestmark = pytest.mark.real
DATA = Path(os.environ.get("FIGCLIP_REAL_DATA", "/nonexistent")) / "data"
BENCHMARKS = DATA / "benchmarks"
CLIPS = DATA / "videos" / "labelled"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "small"
    write_small_clip(path, seed=0, image_size=64)
    return path


def run(model: Path, data: str, tmp_path: Path, **options: Any) -> EvaluationResult:
    return evaluate(
        model,
        data=[parse_source(data)],
        out=tmp_path / "out",
        cache=tmp_path / "cache",
        **options,
    )


def test_real_labelled_clips_go_through_actions(clip: Path, tmp_path: Path):
    labels = DATA / "videos" / "labels.csv"
    result = run(clip, f"actions:{labels},videos={DATA / 'videos'}", tmp_path, prompts="kinetics")
    with labels.open(newline="") as file:
        rows = list(csv.DictReader(file))
    (task,) = result.tasks
    assert task.counts["videos"] == len(rows) == 30
    assert task.counts["classes"] == len({row["label"] for row in rows})
    assert not task.left_out
    top_1 = task.metrics["top-1"].adapted
    assert top_1.chance is not None
    sigma = np.sqrt(top_1.chance * (1 - top_1.chance) / len(rows))
    # Random weights: anything far from chance would mean that labels leak.
    assert abs(top_1.official - top_1.chance) <= 3 * sigma
    assert result.pictures[0].stat().st_size > 10_000


def test_hmdb51_and_kinetics_score_the_clips_that_are_there(clip: Path, tmp_path: Path):
    videos = tmp_path / "videos"
    lists = sorted((BENCHMARKS / "hmdb51" / "splits").glob("*_test_split1.txt"))
    names = [
        next(line.split()[0] for line in file.read_text().splitlines() if line.split()[1] == "2")
        for file in lists[:3]
    ]
    for name, source in zip(names, sorted(CLIPS.glob("*.mp4")), strict=False):
        videos.mkdir(exist_ok=True)
        shutil.copy(source, videos / name)
    result = run(clip, f"hmdb51:{BENCHMARKS / 'hmdb51'},videos={videos}", tmp_path)
    (task,) = result.tasks
    assert task.counts["videos"] == 3 and task.counts["classes"] == 51
    # How many different videos the three test lists name.
    assert task.data.coverage["stored"] == 3
    assert task.data.coverage["listed"] > 3_000
    assert {one.reason for one in task.left_out} == {"the video is missing"}
    assert "files listed are ready" in format_table(result)


@pytest.mark.parametrize("preset", ["figclip", "clip4clip"])
def test_msrvtt_scores_the_clips_that_are_there(preset: str, clip: Path, tmp_path: Path):
    videos = tmp_path / "videos"
    videos.mkdir()
    benchmark = load_benchmark("msrvtt", BENCHMARKS / "msrvtt", split=None)
    for item, source in zip(benchmark.items, sorted(CLIPS.glob("*.mp4"))[:8], strict=False):
        shutil.copy(source, videos / f"{item.id}.mp4")
    result = run(clip, f"msrvtt:{BENCHMARKS / 'msrvtt'},videos={videos}", tmp_path, preset=preset)
    (task,) = result.tasks
    assert task.data.coverage == {"listed": 1000, "found": 8, "stored": 8, "quarantined": 0}
    assert task.counts["videos"] == 8 and len(task.left_out) == 992
    content = json.loads(result.files[0].read_text())
    assert content["left_out"][0]["count"] == 992


def test_sugarcrepe_without_images_says_what_it_looked_for(clip: Path, tmp_path: Path):
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"none of the 1,561 files|none of the [\d,]+ files"):
        run(clip, f"sugarcrepe:{DATA / 'sugarcrepe'},images={tmp_path / 'images'}", tmp_path)


@pytest.mark.parametrize(
    ("name", "split", "num_videos"),
    [
        ("msrvtt", None, 1000),
        ("activitynet", "val_1", 4917),
        ("activitynet", "val_2", 4885),
        ("youcook2", None, 457),
    ],
)
def test_real_captions_go_through_the_metrics(name: str, split: str | None, num_videos: int):
    benchmark = load_benchmark(name, BENCHMARKS / folder_of(name), split=split)
    assert isinstance(benchmark, RetrievalSet)
    source = MediaSet(
        benchmark=benchmark, clips=clips_of([item.medium for item in benchmark.items])
    )
    data = Retrieval().load(source)
    assert data.counts["videos"] == num_videos
    seen = TextOracle({item.medium.name: item.captions for item in benchmark.items})
    scores = Retrieval().summarise(Retrieval().score(seen, data))
    # Equal captions of several videos answer each other when corrected, but not officially.
    assert scores["t2v R@1"].corrected == 1.0
    assert 0.98 < scores["t2v R@1"].official <= 1.0
    if name == "msrvtt":
        # Nine videos share four texts (3 + 2 + 2 + 2): CLIP4Clip counts 9 + 4 + 4 + 4 positions.
        assert scores["t2v R@1"].official == pytest.approx(1000 / (1000 - 9 + 21))
    guessed = Retrieval().summarise(Retrieval().score(Guessing(0), data))["t2v R@10"]
    assert guessed.chance == pytest.approx(10 / num_videos)
    sigma = np.sqrt(guessed.chance * (1 - guessed.chance) / num_videos)
    assert abs(guessed.official - guessed.chance) <= 3 * sigma


def folder_of(name: str) -> str:
    return {"activitynet": "activitynet_captions"}.get(name, name)
