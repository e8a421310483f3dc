"""Relations of events against the labels of up to three annotators.

Source: github.com/TheShadow29/VidSitu @ b794988, `EvlFn_EvRel` of `vidsitu_code/evl_fns.py`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from figclip.errors import MetricError

MIN_AGREEING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationScores:
    """What became of each scored position: an annotator of an event who gave the event's label.

    Attributes:
        annotator_S: Whose label it is, counted from 0.
        right_S: True where the prediction for this annotator is the label.
        unscored_labels: Nominal labels of events without agreement that no scored event has; the
            official mean over labels divides by zero when there is one.
    """

    event_S: Int64[np.ndarray, " S"]
    annotator_S: Int64[np.ndarray, " S"]
    label_S: tuple[str, ...]
    right_S: Bool[np.ndarray, " S"]
    unscored_labels: frozenset[str]

    @property
    def accuracy(self) -> float:
        """Top-1: share of the positions that are right."""
        return float(self.right_S.mean())

    def accuracy_of_labels(self) -> dict[str, float]:
        """Share of the positions of each label that are right, in the order of the labels."""
        of_label: defaultdict[str, list[bool]] = defaultdict(list)
        for label, right in zip(self.label_S, self.right_S.tolist(), strict=True):
            of_label[label].append(right)
        return {label: sum(rights) / len(rights) for label, rights in of_label.items()}

    @property
    def macro_accuracy(self) -> float:
        """Macro Top-1: mean over the labels."""
        return float(np.mean(list(self.accuracy_of_labels().values())))


def judge_relations(
    predicted: Sequence[Sequence[str]], annotated: Sequence[Sequence[str]], *, num_agreeing: int
) -> RelationScores:
    """Compare the relations of events with what annotators gave.

    An event is scored where enough annotators agree, and then only for those who gave its label, so
    it weighs 2 or 3. Of several labels given equally often the first counts.

    Events have a label of each annotator, officially three, of whom officially `MIN_AGREEING` must
    give the same.

    Raises:
        MetricError: no event on which annotators agree.
    """
    events: list[int] = []
    annotators: list[int] = []
    labels: list[str] = []
    rights: list[bool] = []
    nominal: set[str] = set()
    for event, (guesses, given) in enumerate(zip(predicted, annotated, strict=True)):
        label, count = Counter(given).most_common(1)[0]
        if count < num_agreeing:
            nominal.add(label)
            continue
        for annotator, (guess, one) in enumerate(zip(guesses, given, strict=True)):
            if one == label:
                events.append(event)
                annotators.append(annotator)
                labels.append(label)
                rights.append(guess == label)
    if not events:
        raise MetricError("annotators agree on the relation of no event")
    return RelationScores(
        event_S=np.array(events, np.int64),
        annotator_S=np.array(annotators, np.int64),
        label_S=tuple(labels),
        right_S=np.array(rights, np.bool_),
        unscored_labels=frozenset(nominal - set(labels)),
    )
