"""A run of heads for dense captioning written by hand in the real formats, with its films.

Scored were four videos; three of them are there. Of `v_a` two annotators say something.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from figclip.config import CaptioningConfig
from figclip.config.parsing import to_json
from figclip.datasets.dense_captions import CaptionedSpan
from figclip.evaluation.results import Comparison, DataInfo, ModelColumn, TaskResult, write_result
from figclip.evaluation.sources import DataSource
from figclip.heads.run import HeadInfo, write_head_info
from figclip.metrics.intervals import Interval
from figclip.scoring.dense_captions import write_captioning_predictions
from figclip.tasks.base import ItemScores, Score
from figclip.training.run_folder import RunFolder
from tests.reporting.written_runs import HOSTILE, MODEL_HASH
from tests.videos import draw_video

IDS = ("v_a", "v_b", "v_c", "v_d")
DURATION_S = 4.0
ANNOTATED = {
    "duration": DURATION_S,
    "timestamps": [[2.0, 4.0], [0.0, 1.5]],
    "sentences": ["A dog sits.", "A dog barks at a cat."],
}
SAID = {
    "base": [CaptionedSpan(start_s=0.5, end_s=2.5, sentence=HOSTILE, score=0.5)],
    "adapted": [
        CaptionedSpan(start_s=1.0, end_s=3.0, sentence="a dog sits", score=0.5),
        CaptionedSpan(start_s=0.0, end_s=1.5, sentence="a dog barks", score=0.9),
        CaptionedSpan(start_s=5.0, end_s=9.0, sentence="too late", score=0.1),
    ],
}


@dataclass(frozen=True)
class WrittenFilms:
    """Where everything lies."""

    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "film heads"

    @property
    def films(self) -> Path:
        return self.folder / "films"

    @property
    def source(self) -> DataSource:
        return DataSource(name="activitynet", path=self.films, videos=self.films / "videos")

    def predictions(self, name: str) -> Path:
        return self.run / "eval" / "predictions" / name / "activitynet.json"


def write_film_heads(folder: Path, *, names: tuple[str, ...] = ("base", "adapted")) -> WrittenFilms:
    """All files of a run of heads on some models' features, and the films it was scored on."""
    written = WrittenFilms(folder)
    run = RunFolder(written.run)
    written.run.mkdir(parents=True)
    run.config.write_text(to_json(CaptioningConfig(recipe="mini_captioning")))
    environment = {
        "command": ["/home/me/bin/figclip", "finetune", "captioning"], "commit": "c0ffee",
        "python": "3.11.7", "platform": "Linux", "threads": 2, "packages": {"torch": "2.9"},
    }  # fmt: skip
    run.environment.write_text(json.dumps({"format": 1, **environment}))
    run.data.write_text(json.dumps({"format": 1, "hash": "d474", "train": ["t"], "val": []}))
    hashes = {"base": "ba5e", "adapted": MODEL_HASH}
    models = {one: ModelColumn(name="mine", hash=hashes[one], alpha=0.5) for one in names}
    write_head_info(
        written.run,
        HeadInfo(task="captioning", model="/home/me/mine", base=None, feature_dim=8, models=models,
                 vocabulary={}),
    )  # fmt: skip
    for name in names:
        written.predictions(name).parent.mkdir(parents=True)
        write_captioning_predictions(
            written.predictions(name), dict.fromkeys(IDS, SAID[name]), details=""
        )
    write_result(_result(names), written.run / "eval", taken=[], versions={})
    _write_films(written.films)
    return written


def _result(names: tuple[str, ...]) -> TaskResult:
    """Scores made up."""
    has_base = "base" in names
    items = ItemScores(
        block="videos", item_ids=IDS, group_ids=IDS, values={"CIDEr": np.full(len(IDS), 1.2)}
    )
    metrics = {
        name: Comparison(
            base=Score(official=1.1) if has_base else None,
            adapted=Score(official=1.2),
            interval=Interval(0.1, 0.05, 0.15) if has_base and name == "CIDEr" else None,
        )
        for name in ("CIDEr", "BLEU-4", "F1")
    }
    return TaskResult(
        task="dense_captioning", face="detail",
        data=DataInfo(name="activitynet", source="films", split=None, hash="h", pipeline="pil",
                      coverage={}),
        settings={}, counts={"videos": len(IDS), "annotated events": 9}, left_out=(),
        base=ModelColumn(name="mine", hash="ba5e", alpha=0.0) if has_base else None,
        adapted=ModelColumn(name="mine", hash=MODEL_HASH, alpha=0.5), metrics=metrics,
        base_items=(items,) if has_base else None, adapted_items=(items,),
        notices=("films: <b>odd</b>.",), seed=0,
    )  # fmt: skip


def _write_films(folder: Path) -> None:
    """Annotations and files of three videos; files go by the name without `v_`."""
    (folder / "videos").mkdir(parents=True)
    (folder / "val_1.json").write_text(json.dumps(dict.fromkeys(IDS[:3], ANNOTATED)))
    other = {**ANNOTATED, "timestamps": [[0.0, 4.0]], "sentences": ["All at once."]}
    (folder / "val_2.json").write_text(json.dumps({"v_a": other}))
    for name in IDS[:3]:
        draw_video(folder / "videos" / f"{name.removeprefix('v_')}.mp4", stamps=range(40))
