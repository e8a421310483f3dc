"""Scoring of dense captions: figclip's time beside that of the official evaluator without METEOR.

    python benchmarks/dense_caption_metrics.py PDVC --annotations FOLDER --python OTHER/bin/python

PDVC is a checkout of ttengwang/PDVC@0b025c8; FOLDER holds ActivityNet's val_1.json and val_2.json;
OTHER is an environment with pycocoevalcap 1.2, whose tokeniser needs Java. The sentences of val_2
are scored as predictions of val_1, 4,917 videos. Both run as whole processes, in turns: start of
Python and of the tokeniser, reading, scoring. The official one computes BLEU, ROUGE-L, CIDEr,
recall and precision. figclip runs twice: without METEOR too, and with all that `figclip score`
prints, `meteor_exact` and SODA among it. The scores must agree.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from figclip.datasets.dense_captions import read_caption_references
from figclip.scoring.dense_captions import write_captioning_predictions

# Run by the other Python. Without METEOR, whose class starts a Java process of its own.
OFFICIAL = """
import contextlib, json, sys
folder, predictions, references = sys.argv[1:]
sys.path.insert(0, folder)
import evaluate2018
evaluate2018.Meteor = lambda: None
with contextlib.redirect_stdout(sys.stderr):
    evaluator = evaluate2018.ANETcaptions(
        [references], predictions, tious=[0.3, 0.5, 0.7, 0.9], verbose=True
    )
    evaluator.scorers = [(scorer, name) for scorer, name in evaluator.scorers if scorer]
    evaluator.evaluate()
print(json.dumps({name: sum(each) / 4 for name, each in evaluator.scores.items()}, default=float))
"""
OURS = """
import json, sys
from pathlib import Path
import numpy as np
from figclip.scoring.dense_captions import score_dense_captions
from figclip.metrics.meteor import METEOR_EXACT, Meteor
from figclip.datasets.dense_captions import read_predictions, read_caption_references
predictions, references = map(Path, sys.argv[1:3])
no_meteor = Meteor(
    name="none",
    soda_name="SODA of none",
    stats=lambda hypotheses, references: np.zeros((len(hypotheses), 1)),
    scores=lambda stats: np.zeros(len(stats)),
)
scored = score_dense_captions(
    read_predictions(predictions),
    [read_caption_references(references)],
    name="activitynet",
    source=references.name,
    split=None,
    meteor=METEOR_EXACT if sys.argv[3] == "all" else no_meteor,
)
print(json.dumps({name: score.official for name, score in scored.scores.items()}))
"""
SAME = {"BLEU-4": "Bleu_4", "ROUGE-L": "ROUGE_L", "CIDEr": "CIDEr"}
SAME |= {"recall": "Recall", "precision": "Precision"}


def timed(command: Sequence[str]) -> tuple[Mapping[str, float], float, float]:
    """The scores that a process prints, its seconds, and its seconds of CPU with its children's."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout), seconds, cpu_s


def main() -> None:
    """Time all in turns and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("official", type=Path, help="checkout of PDVC")
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--python", required=True, help="with pycocoevalcap")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    references = str(arguments.annotations / "val_1.json")
    with tempfile.TemporaryDirectory() as folder:
        predictions = Path(folder) / "val_2.json"
        second = read_caption_references(arguments.annotations / "val_2.json")
        events = {video.id: video.events for video in second.videos}
        write_captioning_predictions(predictions, events, details="the second annotation")
        official_folder = str(arguments.official / "densevid_eval3")
        ours = [sys.executable, "-c", OURS, str(predictions), references]
        commands = {
            "official, no METEOR": [
                *(arguments.python, "-c", OFFICIAL, official_folder, str(predictions), references)
            ],
            "figclip, no METEOR": [*ours, "none"],
            "figclip, all": [*ours, "all"],
        }
        rounds = [
            {name: timed(command) for name, command in commands.items()}
            for _ in range(arguments.rounds)
        ]
    official = rounds[0]["official, no METEOR"][0]
    for name in ("figclip, no METEOR", "figclip, all"):
        for ours_name, theirs in SAME.items():
            difference = abs(rounds[0][name][0][ours_name] - official[theirs])
            if difference > 1e-6:
                raise SystemExit(f"{ours_name} differs by {difference}")
    medians = {
        name: np.median(
            [[seconds, cpu_s] for _, seconds, cpu_s in (r[name] for r in rounds)], axis=0
        )
        for name in commands
    }
    theirs_s = medians["official, no METEOR"]
    for name, median in medians.items():
        ratios = theirs_s / median
        print(
            f"{name:22} {median[0]:6.2f} s  {ratios[0]:5.1f} x   "
            f"CPU {median[1]:6.2f} s  {ratios[1]:5.1f} x"
        )


if __name__ == "__main__":
    main()
