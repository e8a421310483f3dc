"""CIDEr-D, BLEU and ROUGE-L: figclip's CPU time beside pycocoevalcap's, in one call.

    python benchmarks/caption_metrics.py [--rounds 5] [--items 19000]

Scores made-up captions of the size of VidSitu's semantic roles: 19,000 items with three references,
whole, and again within each of 500 verbs and of 5 roles, where CIDEr counts its IDF anew. The
corpora are built within the time. pycocoevalcap is no dependency of figclip: without it only
figclip is timed. Both take turns in each round; the median is printed, and scores must agree.
With OMP_NUM_THREADS=1 one core is measured.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from jaxtyping import Int64

from figclip.metrics.caption_corpus import CaptionCorpus
from figclip.metrics.caption_scores import bleu, bleu_by_group, cider_d, cider_d_by_group, rouge_l

NUM_WORDS = 5000
NUM_REFERENCES = 3
NUM_VERBS, NUM_ROLES = 500, 5


@dataclass(frozen=True)
class Captions:
    """Made-up captions, and two ways to group them."""

    candidates: list[str]
    references: list[list[str]]
    groupings: tuple[Int64[np.ndarray, " M"], ...]


def make_captions(num_items: int) -> Captions:
    """Sentences of 1 to 10 words, frequent ones often, each a few words off a common origin."""
    rng = np.random.default_rng(0)

    def sentence(origin: np.ndarray) -> str:
        words = np.where(rng.random(len(origin)) < 0.3, draw(len(origin)), origin)
        return " ".join(f"w{word}" for word in words)

    def draw(length: int) -> np.ndarray:
        return np.minimum(rng.zipf(1.3, length), NUM_WORDS)

    origins = [draw(int(rng.integers(1, 11))) for _ in range(num_items)]
    return Captions(
        candidates=[sentence(origin) for origin in origins],
        references=[[sentence(origin) for _ in range(NUM_REFERENCES)] for origin in origins],
        groupings=tuple(
            np.unique(rng.integers(0, number, num_items), return_inverse=True)[1]
            for number in (NUM_VERBS, NUM_ROLES)
        ),
    )


def score_with_figclip(captions: Captions) -> dict[str, float]:
    """Scores of the whole, and the means over groups."""
    corpus = CaptionCorpus(captions.candidates, captions.references)
    scores = {
        "CIDEr": float(cider_d(corpus).mean()),
        "BLEU-4": float(bleu(corpus).corpus_N[3]),
        "ROUGE-L": float(rouge_l(corpus).mean()),
    }
    for number, group in enumerate(captions.groupings):
        means = np.bincount(group, cider_d_by_group(corpus, group)) / np.bincount(group)
        scores[f"CIDEr, grouping {number}"] = float(means.mean())
        scores[f"BLEU-4, grouping {number}"] = float(bleu_by_group(corpus, group)[:, 3].mean())
    return scores


def score_with_peer(captions: Captions) -> dict[str, float]:
    """The same by pycocoevalcap, which knows no groups: one call a group."""
    cider = import_module("pycocoevalcap.cider.cider").Cider()
    bleu_4 = import_module("pycocoevalcap.bleu.bleu").Bleu(4)
    rouge = import_module("pycocoevalcap.rouge.rouge").Rouge()

    def compute(scorer: Any, items: np.ndarray) -> Any:
        references = {int(item): captions.references[item] for item in items}
        candidates = {int(item): [captions.candidates[item]] for item in items}
        options = {"verbose": 0} if scorer is bleu_4 else {}
        return scorer.compute_score(references, candidates, **options)[0]

    everything = np.arange(len(captions.candidates))
    scores: dict[str, float] = {
        "CIDEr": compute(cider, everything),
        "BLEU-4": compute(bleu_4, everything)[3],
        "ROUGE-L": compute(rouge, everything),
    }
    for number, group in enumerate(captions.groupings):
        members = [np.flatnonzero(group == one) for one in range(int(group.max()) + 1)]
        scores[f"CIDEr, grouping {number}"] = float(
            np.mean([compute(cider, one) for one in members])
        )
        each = [compute(bleu_4, one)[3] for one in members]
        scores[f"BLEU-4, grouping {number}"] = float(np.mean(each))
    return scores


def check_agreement(ours: Mapping[str, float], theirs: Mapping[str, float]) -> None:
    """Stop unless the scores are the peer's."""
    for name, value in ours.items():
        if abs(value - theirs[name]) > 1e-6:
            raise SystemExit(f"{name}: figclip {value} differs from the peer's {theirs[name]}")


def main() -> None:
    """Print the median CPU time of each contestant and its ratio to ours."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--items", type=int, default=19_000)
    arguments = parser.parse_args()
    captions = make_captions(arguments.items)
    timed: dict[str, Callable[[Captions], dict[str, float]]] = {"figclip": score_with_figclip}
    if find_spec("pycocoevalcap"):
        timed["pycocoevalcap"] = score_with_peer
        check_agreement(score_with_figclip(captions), score_with_peer(captions))
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(arguments.rounds):
        for name, score in timed.items():
            start = time.process_time()
            score(captions)
            seconds[name].append(time.process_time() - start)
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    for name, median in medians.items():
        print(f"{name:14} {median:7.3f} s CPU  {median / medians['figclip']:6.1f} x")


if __name__ == "__main__":
    main()
