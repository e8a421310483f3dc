"""How well does the text alone tell a true caption from its hard negatives?

A logistic regression sees the verb sense, the role names and the number of words (`coarse`), pairs
of the sense with modifiers too (`fine`), pairs of neighbouring words (`bigrams`), or of the verb
with words of the fillers (`words`), never the video. AUC 0.5 means that training cannot succeed by
learning which verbs are true; folds never share a video.

    python benchmarks/negative_leakage.py FOLDER_OF_VIDSITU_FILES --split valid
    python benchmarks/negative_leakage.py FOLDER_OF_VIDSITU_FILES --features fine --policy matched
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from figclip.annotations.captions import TEMPLATES, caption_event
from figclip.annotations.counterfactuals import (
    coarse_features,
    fine_features,
    verb_word_features,
)
from figclip.annotations.verb_negatives import build_sense_pool, negative_events
from figclip.annotations.vidsitu import load_source
from figclip.config import NegativePolicy
from figclip.records import Event, VideoRecord, event_key

NUM_FOLDS = 5
NUM_NEGATIVES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A caption's event, whether it is true, and the group of videos that folds keep together."""

    event: Event
    is_true: bool
    group: str


def bigram_features(event: Event) -> dict[str, float]:
    """The fine ones, and every two neighbouring words of the caption."""
    caption = caption_event(event, template=TEMPLATES["default"]).casefold().replace(",", " ,")
    words = caption.split()
    pairs = {f"{a} {b}": 1.0 for a, b in zip(words, words[1:], strict=False)}
    return fine_features(event) | pairs


FEATURES: dict[str, Callable[[Event], dict[str, float]]] = {
    "coarse": coarse_features,
    "fine": fine_features,
    "bigrams": bigram_features,
    "words": verb_word_features,
}


def examples(
    records: Sequence[VideoRecord], *, policy: NegativePolicy, seed: int
) -> Iterator[Example]:
    """Every true event of the records, each followed by its negatives."""
    pool = build_sense_pool(records)
    for record in records:
        group = record.group or record.id
        for annotation_idx, annotation in enumerate(record.annotations):
            for event_idx, event in enumerate(annotation.events):
                yield Example(event=event, is_true=True, group=group)
                negatives = negative_events(
                    event,
                    video=record,
                    pool=pool,
                    policy=policy,
                    num_negatives=NUM_NEGATIVES,
                    seed=seed,
                    key=event_key(record.id, annotation_idx=annotation_idx, event_idx=event_idx),
                )
                for negative in negatives:
                    if negative is not None:
                        yield Example(event=negative, is_true=False, group=group)


def leakage_auc(
    records: Sequence[VideoRecord], *, policy: NegativePolicy, features: str, seed: int
) -> float:
    """AUC of telling true from negative by text alone, mean over the folds.

    Args:
        records: The annotated set; also the pool.
        policy: How senses are drawn.
        features: Key of `FEATURES`.
        seed: Of the negatives and of the folds.

    Returns:
        0.5 when the text says nothing; 1 when it gives every negative away.
    """
    rows = list(examples(records, policy=policy, seed=seed))
    inputs = DictVectorizer().fit_transform([FEATURES[features](row.event) for row in rows])
    labels = np.array([row.is_true for row in rows])
    groups = sorted({row.group for row in rows})
    random.Random(seed).shuffle(groups)
    fold_of = {group: position % NUM_FOLDS for position, group in enumerate(groups)}
    folds = np.array([fold_of[row.group] for row in rows])
    aucs: list[float] = []
    for fold in range(NUM_FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        model = LogisticRegression(solver="liblinear").fit(inputs[train], labels[train])
        aucs.append(float(roc_auc_score(labels[test], model.decision_function(inputs[test]))))
    return float(np.mean(aucs))


def masked_share(records: Sequence[VideoRecord], *, policy: NegativePolicy) -> float:
    """Share of negatives that could not be drawn."""
    rows = list(examples(records, policy=policy, seed=0))
    num_true = sum(row.is_true for row in rows)
    return 1 - (len(rows) - num_true) / (NUM_NEGATIVES * num_true)


def main() -> None:
    """Print one row for each policy and set of features."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("source", type=Path, help="folder of official VidSitu files, or own file")
    parser.add_argument("--split", default="valid", help="split whose events are used")
    parser.add_argument("--policy", choices=get_args(NegativePolicy), action="append")
    parser.add_argument("--features", choices=FEATURES, action="append")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    arguments = parser.parse_args()
    loaded = load_source(arguments.source)
    records = [record for record in loaded.records if record.split == arguments.split]
    print(f"{len(records)} videos of {arguments.source}, split {arguments.split}")
    for policy in arguments.policy or get_args(NegativePolicy):
        print(f"{policy:8} masked {masked_share(records, policy=policy):.1%}")
        for features in arguments.features or ["coarse"]:
            aucs = [
                leakage_auc(records, policy=policy, features=features, seed=seed)
                for seed in range(arguments.seeds)
            ]
            each = " ".join(f"{auc:.3f}" for auc in aucs)
            print(f"{policy:8} {features:7} AUC {np.mean(aucs):.3f}  (seeds: {each})", flush=True)


if __name__ == "__main__":
    main()
