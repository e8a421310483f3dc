"""A run of heads written by hand in the real formats, with the store it was scored on.

Scored were three videos of three events, in the order v2, v0, v1; the store holds v0 and v1. The
first annotator's verbs are kick.01, walk.01, sit.01 in each. Of v0, a second one says hit.01 first.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from figclip.config import EventFrames, SituationConfig
from figclip.config.parsing import to_json
from figclip.evaluation.results import Comparison, DataInfo, ModelColumn, TaskResult, write_result
from figclip.heads.run import HeadInfo, write_head_info
from figclip.metrics.intervals import Interval
from figclip.records import Annotation, Event, Role, VideoRecord
from figclip.runtime.files import write_json
from figclip.scoring.situation_files import (
    PredictedEvent,
    RelationPrediction,
    RolePrediction,
    VerbPrediction,
    write_situation_predictions,
)
from figclip.tasks.base import ItemScores, Score
from figclip.training.run_folder import RunFolder
from figclip.video.decoding import to_time_us
from figclip.video.sampling import frame_times_s
from figclip.video.store import FrameStoreWriter, StoreSpec
from tests.reporting.written_runs import HOSTILE, MODEL_HASH

IDS = ("v2", "v0", "v1")
VERBS = ("kick.01", "walk.01", "sit.01")
FRAME_PX = 16
SAID_VERBS = {
    "base": ("hit.01", "run.01", "sit.01"),
    "adapted": ("kick.01", "walk.01", "lie.01"),
    "contextualizer": ("kick.01", "walk.01", "lie.01"),
}
SAID_ROLES: Mapping[str, Mapping[str, str]] = {
    "base": {"Arg0": HOSTILE, "Arg1": "a red box", "Arg2": "a shoe"},
    "adapted": {"Arg0": "the dog", "Arg1": "a blue ball"},
    "contextualizer": {},
}
"""Of the first event of each video."""
# By event: base right, adapted right.
RIGHT = {"Ev1": (1, 1), "Ev2": (0, 1), "Ev3": (1, 0)}
HASHES = {"base": "ba5e", "adapted": MODEL_HASH, "contextualizer": MODEL_HASH}


@dataclass(frozen=True)
class WrittenHeads:
    """Where everything lies."""

    folder: Path
    names: tuple[str, ...]

    @property
    def run(self) -> Path:
        return self.folder / "heads"

    @property
    def store(self) -> Path:
        return self.folder / "events.store"

    @property
    def predictions(self) -> Path:
        return self.run / "eval" / "predictions"


def write_heads(
    folder: Path, *, names: tuple[str, ...] = ("base", "adapted", "contextualizer")
) -> WrittenHeads:
    """All files of a run of heads on some models' features, and its frame store."""
    written = WrittenHeads(folder, names)
    run = RunFolder(written.run)
    written.predictions.mkdir(parents=True)
    config = SituationConfig(recipe="mini_situations", frames=EventFrames(per_event=2))
    run.config.write_text(to_json(config))
    environment = {
        "command": ["/home/me/bin/figclip", "finetune", "situations"], "commit": "c0ffee",
        "python": "3.11.7", "platform": "Linux", "threads": 2, "packages": {"torch": "2.9"},
    }  # fmt: skip
    run.environment.write_text(json.dumps({"format": 1, **environment}))
    run.data.write_text(json.dumps({"format": 1, "hash": "d474", "train": ["t"], "val": []}))
    models = {one: ModelColumn(name="mine", hash=HASHES[one], alpha=0.5) for one in names}
    write_head_info(
        written.run,
        HeadInfo(task="situations", model="/home/me/mine", base=None, feature_dim=8,
                 models=models, vocabulary={}),
    )  # fmt: skip
    for name in names:
        (written.run / name).mkdir()
        (written.run / name / "metrics.jsonl").write_text(
            "".join(
                json.dumps({"step": step, "loss": 6.0 / step, "time": {"s": 2.0}}) + "\n"
                for step in (1, 2)
            )
        )
        _write_said(written.predictions / name, name)
    (written.predictions / "videos.json").write_text(json.dumps(IDS))
    write_result(_result("situations", names), written.run / "eval", taken=[], versions={})
    if "contextualizer" in names:
        one = _result("situations_context", names)
        write_result(one, written.run / "eval", taken=[], versions={})
    _write_store(written.store)
    return written


def as_of_two_seeds(run: Path) -> Path:
    """The same run in the place of the heads of two seeds, scored to the same digit."""
    folder = run.with_name(f"{run.name} of two seeds")
    for seed in (0, 1):
        shutil.copytree(run, folder / f"seed-{seed}", ignore=shutil.ignore_patterns("eval"))
        shutil.copytree(run / "eval", folder / "eval" / f"seed-{seed}")
    for file in (run / "eval").iterdir():
        if file.is_file():
            shutil.copy(file, folder / "eval")
    write_json(folder / "seeds.json", {"format": 1, "seeds": [0, 1]})
    return folder


def records() -> list[VideoRecord]:
    """The annotated videos of the store."""
    return [
        VideoRecord(
            id=video, video=f"{video}.mp4", split="valid", group=video,
            annotations=(
                Annotation(events=_events(VERBS[0], "a dog")),
                Annotation(events=_events("hit.01" if video == "v0" else VERBS[0], "the dog")),
            ),
        )
        for video in ("v0", "v1")
    ]  # fmt: skip


def _events(first: str, kicker: str) -> tuple[Event, ...]:
    """Three events; those beside the middle one have a relation to it."""
    roles = (
        Role(name="kicker", text=kicker, slot="Arg0"),
        Role(name="thing kicked", text="a red ball", slot="Arg1"),
    )
    return tuple(
        Event(
            start_s=2.0 * i, end_s=2.0 * i + 2, verb=verb.partition(".")[0], sense=verb,
            roles=roles if i == 0 else (), relation=("Causes", "", "Enables")[i],
        )
        for i, verb in enumerate((first, *VERBS[1:]))
    )  # fmt: skip


def _write_said(folder: Path, name: str) -> None:
    """The files of predictions of one head."""
    folder.mkdir()
    verbs = SAID_VERBS[name]
    count = range(len(IDS))
    write_situation_predictions(
        folder / "verbs.json",
        [
            VerbPrediction(video_idx=i, verb_ids=tuple((one, "go.01") for one in verbs))
            for i in count
        ],
    )
    for file, given in (("roles.json", VERBS), ("roles_of_predicted_verbs.json", verbs)):
        events = tuple(
            PredictedEvent(verb_id=verb, texts=SAID_ROLES[name] if i == 0 else {})
            for i, verb in enumerate(given)
        )
        write_situation_predictions(
            folder / file, [RolePrediction(video_idx=i, events=events) for i in count]
        )
    labels = (("Causes",), ("Causes",))
    write_situation_predictions(
        folder / "relations.json",
        [RelationPrediction(video_idx=i, labels=labels) for i in count],
    )


def _result(task: str, names: Sequence[str]) -> TaskResult:
    """Scores made up, but for the events whose verb is right."""
    keys = [(video, event) for video in IDS for event in RIGHT]
    base, adapted = (
        ItemScores(
            block="verbs events",
            item_ids=tuple(f"{video}/{event}" for video, event in keys),
            group_ids=tuple(video for video, _ in keys),
            values={"verbs Acc@1": np.array([RIGHT[event][side] for _, event in keys], np.float64)},
        )
        for side in (0, 1)
    )
    has_base = "base" in names
    score = {"situations": 0.6, "situations_context": 0.7}[task]
    metrics = {
        name: Comparison(
            base=Score(official=0.5) if has_base else None,
            adapted=Score(official=score),
            interval=Interval(score - 0.5, -0.01, 0.31) if has_base and "Acc" in name else None,
        )
        for name in ("verbs Acc@1", "verbs Rec@5", "roles CIDEr", "relations Top-1")
    }
    return TaskResult(
        task=task, face="detail",
        data=DataInfo(name="vidsitu", source="annotations", split="valid", hash="h", pipeline="pil",
                      coverage={}),
        settings={}, counts={"videos": 3, "events": 9}, left_out=(),
        base=ModelColumn(name="mine", hash="ba5e", alpha=0.0) if has_base else None,
        adapted=ModelColumn(name="mine", hash=MODEL_HASH, alpha=0.5), metrics=metrics,
        base_items=(base,) if has_base else None, adapted_items=(adapted,),
        notices=(f"{task}: <b>odd</b>.",), seed=0,
    )  # fmt: skip


def _write_store(path: Path) -> None:
    """Two frames an event."""
    with FrameStoreWriter(path, spec=StoreSpec(size=FRAME_PX)) as store:
        for record in records():
            times_s = frame_times_s(record.annotations[0], frames_per_event=2)
            frames = np.zeros((len(times_s), FRAME_PX, FRAME_PX, 3), np.uint8)
            store.add_video(
                record.id, record.video, frames,
                times_us=[to_time_us(t) for t in times_s], duration_s=6.0,
            )  # fmt: skip
            store.add_record(record, video_hash=record.id)
        store.set_coverage({})
