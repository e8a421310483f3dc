"""A run folder written by hand in the real formats, with the data that its clips come from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from figclip.config.parsing import apply_overrides, to_json
from figclip.config.recipes import build_recipe
from figclip.evaluation.results import Comparison, DataInfo, ModelColumn, TaskResult, write_result
from figclip.evaluation.sources import DataSource, parse_source
from figclip.metrics.intervals import Interval
from figclip.model.backbone import state_hash
from figclip.model.folder import ModelInfo, write_info
from figclip.runtime.checked_json import dump_checked, load_checked
from figclip.tasks.base import Face, ItemScores, Score
from figclip.training.run_folder import RunFolder
from figclip.video.decoding import to_time_us
from figclip.video.sampling import frame_times_s
from figclip.video.store import FrameStoreWriter, StoreSpec
from tests.small_runs import make_records
from tests.videos import draw_video

HOSTILE = "<script>alert('caption')</script> & \"quotes\""
FRAME_PX = 16
WEIGHTS = {"logit_scale": torch.tensor(2.0)}
MODEL_HASH = state_hash(WEIGHTS)
# By item: base right, adapted right. One gained, one lost, one failed, one right by both.
OUTCOMES = {"gained": (0, 1), "lost": (1, 0), "failed": (0, 0), "both": (1, 1)}


@dataclass(frozen=True)
class WrittenRun:
    """Where everything lies."""

    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "my run"

    @property
    def store(self) -> Path:
        return self.folder / "frames.store"

    @property
    def data(self) -> DataSource:
        media = self.folder / "media"
        return parse_source(f"pairs:{self.folder / 'pairs.jsonl'},videos={media},images={media}")

    def rewrite(self, file: str, **changes: object) -> None:
        """Change some keys of a JSON file of the run."""
        path = self.run / file
        path.write_text(dump_checked({**load_checked(path.read_text()), **changes}))


def write_run(folder: Path) -> WrittenRun:
    """All files of a run, its frame store, and four pairs of captions: a video and stills."""
    written = WrittenRun(folder)
    run = RunFolder(written.run)
    (run.path / "eval").mkdir(parents=True)
    config = apply_overrides(build_recipe("tiny"), ["train.seed=5", "model.base=/home/me/clip"])
    run.config.write_text(to_json(config))
    _write_json(
        run.environment, command=["/home/me/bin/figclip", "adapt", "--out", "my run"],
        commit="c0ffee", python="3.11.7", platform="Linux", threads=2, packages={"torch": "2.9"},
    )  # fmt: skip
    _write_json(run.data, hash="d474", train=["v0", "v1"], val=[], stores=[{"store": "a.store"}])
    run.metrics.write_text("".join(f"{dump_checked(row)}\n" for row in _metrics()))
    run.model.mkdir()
    write_info(run.model, _info())
    save_file(WEIGHTS, run.model / "model.safetensors")
    _write_data(folder)
    detail = _result("composition", "pairs", "pairs.jsonl", face="detail", metric="accuracy")
    kept = _result("retrieval", "msrvtt", "msrvtt", face="kept", metric="t2v R@1")
    for one in (detail, kept):
        write_result(one, run.path / "eval", taken=[], versions={})
    with FrameStoreWriter(written.store, spec=StoreSpec(size=FRAME_PX)) as store:
        for record in make_records([2, 3]):
            times_s = frame_times_s(record.annotations[0], frames_per_event=2)
            frames = np.zeros((len(times_s), FRAME_PX, FRAME_PX, 3), np.uint8)
            store.add_video(
                record.id, record.video, frames,
                times_us=[to_time_us(t) for t in times_s], duration_s=9.0,
            )  # fmt: skip
            store.add_record(record, video_hash=record.id)
        store.set_coverage({})
    return written


def write_summary(written: WrittenRun) -> None:
    """`eval/summary.json` with one test of each kind, and `eval/timings.json`."""
    timings = dump_checked({"adapting": 71.0, "peak_memory_mib": 812})
    (written.run / "eval" / "timings.json").write_text(timings)
    score = {"base": 0.5125, "adapted": 0.6, "difference": 0.0875, "interval": [0.031, 0.144]}
    test = {
        "name": "role swap", "group": "detail", "wording": "natural", "metric": "accuracy",
        "items": 1000, **score, "held_out": {"items": 500, **score}, "text_only": 0.497,
        "blind": {"base": 0.501, "adapted": 0.499},
    }  # fmt: skip
    kept = {**test, "name": "kinds", "group": "kept", "wording": None, "held_out": None}
    kept |= {"blind": None, "text_only": None, "base": 0.9, "adapted": 0.893, "difference": -0.007}
    kept["interval"] = [-0.012, 0.002]
    semantic = {key: kept[key] for key in ("base", "adapted", "difference", "interval")}
    _write_json(
        written.run / "eval" / "summary.json", detail={**score, "held_out": score},
        detail_template=None, semantic=semantic, tests=[test, kept], tasks={}, seeds=[0, 1, 2],
        controls={"shuffled": {"detail": score}},
    )  # fmt: skip


def write_strength(written: WrittenRun) -> None:
    """`strength.json` of three strengths, the largest of which loses too much."""
    curve = [
        {"alpha": a, "detail": 0.4 + 0.2 * a, "kept": 0.9 - 0.05 * a, "qualifies": a < 1}
        for a in (0.0, 0.5, 1.0)
    ]
    limits = {"mean": 0.01, "test": 0.02, "confidence": 0.95}
    _write_json(written.run / "strength.json", alpha=0.5, limits=limits, curve=curve)


def _write_data(folder: Path) -> None:
    """Four pairs; the first is of a video, and its true sentence is hostile."""
    (folder / "media").mkdir()
    draw_video(folder / "media" / "gained.mp4", stamps=range(12))
    lines = []
    for name in OUTCOMES:
        kind = "video" if name == "gained" else "image"
        file = "gained.mp4" if kind == "video" else f"{name}.png"
        if kind == "image":
            Image.new("RGB", (40, 30), (90, 20, 200)).save(folder / "media" / file)
        true = HOSTILE if name == "gained" else f"a dog bites a man in {name}"
        line = {"id": name, kind: file, "positives": [true], "negatives": [f"no {name}"]}
        lines.append(json.dumps(line) + "\n")
    (folder / "pairs.jsonl").write_text("".join(lines))


def _result(task: str, name: str, source: str, *, face: Face, metric: str) -> TaskResult:
    """A result of the four items, base 50 % and adapted 50 %, with made-up means."""
    base_items, adapted_items = (
        ItemScores(
            block="all",
            item_ids=tuple(OUTCOMES),
            group_ids=tuple(OUTCOMES),
            values={
                metric: np.array([pair[role] for pair in OUTCOMES.values()], np.float64),
                f"ties, {metric}": np.array([0.0, 0.0, float(role), 0.0]),
            },
        )
        for role in (0, 1)
    )
    return TaskResult(
        task=task,
        face=face,
        data=DataInfo(
            name=name,
            source=source,
            split=None,
            hash=f"h{task}",
            pipeline="pil",
            coverage={},
        ),  # fmt: skip
        settings={},
        counts={"items": 4},
        left_out=(),
        base=ModelColumn(name="clip", hash="ba5e", alpha=0.0),
        adapted=ModelColumn(name="mine", hash=MODEL_HASH, alpha=0.5),
        metrics={
            metric: Comparison(
                base=Score(official=0.4321, chance=0.5, is_headline=True),
                adapted=Score(official=0.5554, chance=0.5, is_headline=True),
                interval=Interval(0.1233, -0.0216, 0.2468),
            ),
            "mean rank": Comparison(
                base=Score(official=12.3, unit="rank"),
                adapted=Score(official=10.1, unit="rank"),
                interval=None,
            ),
            f"ties, {metric}": Comparison(
                base=Score(official=0.0, is_detail=True),
                adapted=Score(official=0.25, is_detail=True),
                interval=None,
            ),
        },
        base_items=(base_items,),
        adapted_items=(adapted_items,),
        notices=(f"{task}: 7 odd items <b>kept</b>.",),
        seed=0,
    )


def _info() -> ModelInfo:
    return ModelInfo(
        activation="quick_gelu", adaptation="lora_image", alpha=0.5, lora_scale=1.0,
        pixel_pipeline="pil", pooling="mean", base="", base_hash="ba5e", contextualizer=None,
    )  # fmt: skip


def _metrics() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [{"step": 0, "val/score": 0.25, "time": {"s": 0.5}}]
    for step in (1, 2, 3):
        loss = {"loss": 4.0 / step, "loss/event": 3.0 / step, "lr/towers": 0.1}
        rows.append({"step": step, **loss, "gradient_norm": "inf", "time": {"s": 2.0}})
    return [*rows, {"step": 3, "val/score": 0.75, "time": {"s": 0.5}}]


def _write_json(path: Path, **content: object) -> None:
    path.write_text(dump_checked({"format": 1, **content}))
