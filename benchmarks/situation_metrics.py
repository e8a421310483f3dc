"""Time of `figclip score` on predicted roles, start to exit, beside VidSitu's own command.

    python benchmarks/situation_metrics.py [--videos 1324] [--rounds 5]
    python benchmarks/situation_metrics.py --data OFFICIAL_FOLDER --predictions roles.json
    python benchmarks/situation_metrics.py … --peer "bash run_official.sh"

Without `--data`, annotations and predictions of the size of the valid split are made up: 1,324
videos of five events, three annotators. `--peer` is a command that runs the official evaluator
(`vidsitu_code/evl_fns.py --task_type vb_arg …`) on the same files; both take turns in each round,
so that a machine whose speed drifts treats them alike. CPU seconds are printed, median and lowest:
reading, all metrics (CIDEr, BLEU and ROUGE of all items, within each verb and each role; Lea,
Lea-soft, and four more of clusters) and writing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

NUM_ANNOTATORS = 3
WORDS = ("man woman boy dog car door road hat red blue white old young tall in on with near a the"
         " of house table street coat hand suit").split()  # fmt: skip
ROLES = {
    "Arg0 (agent)": "Arg0",
    "Arg1 (thing)": "Arg1",
    "Arg2 (receiver)": "Arg2",
    "Scene of the Event": "AScn",
}
NUM_VERBS = 250


def text(rng: random.Random) -> str:
    """One to six words."""
    return " ".join(rng.choice(WORDS) for _ in range(rng.choice((1, 2, 3, 4, 5, 6))))


def events(rng: random.Random, segment: str) -> dict[str, dict[str, Any]]:
    """A video: a handful of things, which several roles name."""
    things = [text(rng) for _ in range(5)]
    return {
        f"Ev{number}": {
            "vid_seg_int": segment,
            "VerbID": f"verb.{rng.randrange(NUM_VERBS)}",
            "Args": {name: rng.choice(things) for name in ROLES if rng.random() < 0.75},
        }
        for number in range(1, 6)
    }


def write_made_up(folder: Path, num_videos: int) -> Path:
    """Official files, and predictions that are often right."""
    rng = random.Random(0)
    segments = [f"v_{number:011d}_seg_0_10" for number in range(num_videos)]
    annotations: list[object] = []
    predictions: list[object] = []
    for video_idx, segment in enumerate(segments):
        first = events(rng, segment)
        for _ in range(NUM_ANNOTATORS):
            annotations.append({
                name: {**event, "Args": {
                    role: filler if rng.random() < 0.7 else text(rng)
                    for role, filler in event["Args"].items()
                }}
                for name, event in first.items()
            })  # fmt: skip
        predictions.append({"ann_idx": video_idx, "vb_output": {
            name: {"vb_id": event["VerbID"], **{
                ROLES[role]: filler if rng.random() < 0.5 else text(rng)
                for role, filler in event["Args"].items()
            }}
            for name, event in first.items()
        }})  # fmt: skip
    (folder / "vseg_split_valid_lb.json").write_text(json.dumps(segments))
    (folder / "vsann_valid_lb.json").write_text(json.dumps(annotations))
    path = folder / "predictions.json"
    path.write_text(json.dumps(predictions))
    return path


def cpu_seconds(command: list[str]) -> float:
    """CPU time of a command and its children, from start to exit."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Times each score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=1324)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--predictions", type=Path)
    parser.add_argument("--peer", help="command that runs the official evaluator")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, predictions = arguments.data, arguments.predictions
        if folder is None or predictions is None:
            folder = Path(name)
            predictions = write_made_up(folder, arguments.videos)
        commands = {
            "figclip score": [
                *(sys.executable, "-m", "figclip", "score", str(predictions)),
                *("--data", f"vidsitu:{folder}", "--out", f"{name}/scores"),
            ]
        }
        if arguments.peer:
            commands["official"] = shlex.split(arguments.peer)
        times: dict[str, list[float]] = {label: [] for label in commands}
        for _ in range(arguments.rounds):
            for label, command in commands.items():
                times[label].append(cpu_seconds(command))
    for label, seconds in times.items():
        print(f"{label}: median {statistics.median(seconds):.2f} s CPU, lowest {min(seconds):.2f}")
    if arguments.peer:
        ratio = statistics.median(times["official"]) / statistics.median(times["figclip score"])
        print(f"ratio of the medians: {ratio:.1f}")


if __name__ == "__main__":
    main()
