"""Verbs, roles and relations of events against what several annotators said of them.

Texts of roles are scored as captions are, once over all items, and once in each verb and each role
by itself.

Source: github.com/TheShadow29/VidSitu @ b794988, `vidsitu_code/evl_fns.py` (`EvlFn_Vb`,
`EvlFn_EvRel`, and `EvalFnCap` of roles).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from figclip.errors import MetricError
from figclip.metrics.caption_corpus import CaptionCorpus
from figclip.metrics.caption_scores import (
    BleuScores,
    bleu,
    bleu_by_group,
    cider_d,
    cider_d_by_group,
    rouge_l,
)

NUM_RANKS = 5
RECALL_THRESHOLD = 9
"""Rec@5 is the mean over verbs of more events than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbScores:
    """What became of each event, and of each verb that annotators agree on in an event.

    Attributes:
        hit_NK: True where one of an event's first k verbs is any annotator's, k = 1 … 5.
        event_A: Event of each agreed verb.
        found_A: True where it is among the event's first five.
        num_events_of: Events of each agreed verb in the whole split.
    """

    hit_NK: Bool[np.ndarray, "N 5"]
    event_A: Int64[np.ndarray, " A"]
    verb_A: tuple[str, ...]
    found_A: Bool[np.ndarray, " A"]
    num_events_of: Mapping[str, int]

    def frequent(self, threshold: int = RECALL_THRESHOLD) -> dict[str, list[int]]:
        """Positions of the agreed verbs of more events of the split than the threshold, by verb."""
        places: defaultdict[str, list[int]] = defaultdict(list)
        for position, verb in enumerate(self.verb_A):
            places[verb].append(position)
        return {v: found for v, found in places.items() if self.num_events_of[v] > threshold}

    def macro_recall(self, threshold: int = RECALL_THRESHOLD) -> float:
        """Mean over frequent verbs of the share of their events where they are found.

        It is 0 when no verb is frequent enough, as officially.
        """
        recalls = [self.found_A[found].mean() for found in self.frequent(threshold).values()]
        return float(np.mean(recalls)) if recalls else 0.0


def judge_verbs(
    predicted: Sequence[Sequence[str]],
    chosen: Sequence[Sequence[str]],
    *,
    split: Sequence[Sequence[str]] | None = None,
    min_agreeing: int = 2,
) -> VerbScores:
    """Compare the verbs of N events with what annotators chose.

    Predicted verbs are best first; from the sixth on they do not count. Chosen ones may stand there
    several times. By those of all events of `split` (None: `chosen`) a verb is frequent or not,
    whichever events are scored. It counts in the recall when `min_agreeing` annotators chose it.

    Raises:
        MetricError: no event.
    """
    if not predicted:
        raise MetricError("there is no event to score")
    hits: list[list[bool]] = []
    found: list[tuple[int, str, bool]] = []
    for event, (ranked, votes) in enumerate(zip(predicted, chosen, strict=True)):
        places = [rank for rank, verb in enumerate(ranked[:NUM_RANKS]) if verb in votes]
        first = places[0] if places else NUM_RANKS
        hits.append([first <= rank for rank in range(NUM_RANKS)])
        found += [(event, v, v in ranked[:NUM_RANKS]) for v in _agreed(votes, min_agreeing)]
    agreed = (_agreed(votes, min_agreeing) for votes in (chosen if split is None else split))
    return VerbScores(
        hit_NK=np.array(hits, np.bool_),
        event_A=np.array([event for event, _, _ in found], np.int64),
        verb_A=tuple(verb for _, verb, _ in found),
        found_A=np.array([is_found for _, _, is_found in found], np.bool_),
        num_events_of=Counter(verb for one in agreed for verb in one),
    )


def _agreed(votes: Sequence[str], min_agreeing: int) -> list[str]:
    return [verb for verb, count in Counter(votes).items() if count >= min_agreeing]


def all_events_hit(
    hit_NK: Bool[np.ndarray, "N 5"], video_N: Int64[np.ndarray, " N"]
) -> Bool[np.ndarray, "V 5"]:
    """True for each video and k where all its events are hit, videos by their numbers."""
    _, video_N = np.unique(video_N, return_inverse=True)
    missed_VK = np.zeros((int(video_N.max()) + 1, hit_NK.shape[1]), np.int64)
    np.add.at(missed_VK, video_N, ~hit_NK)
    return missed_VK == 0


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
    scored: list[tuple[int, int, str, bool]] = []
    nominal: set[str] = set()
    for event, (guesses, given) in enumerate(zip(predicted, annotated, strict=True)):
        label, count = Counter(given).most_common(1)[0]
        if count < num_agreeing:
            nominal.add(label)
            continue
        scored += [
            (event, annotator, label, guess == label)
            for annotator, (guess, one) in enumerate(zip(guesses, given, strict=True))
            if one == label
        ]
    if not scored:
        raise MetricError("annotators agree on the relation of no event")
    return RelationScores(
        event_S=np.array([event for event, *_ in scored], np.int64),
        annotator_S=np.array([annotator for _, annotator, *_ in scored], np.int64),
        label_S=tuple(label for *_, label, _ in scored),
        right_S=np.array([is_right for *_, is_right in scored], np.bool_),
        unscored_labels=frozenset(nominal.difference(label for *_, label, _ in scored)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TextScores:
    """CIDEr-D in [0, 10] and ROUGE-L of each item, whose means are the scores, and BLEU."""

    cider_M: Float64[np.ndarray, " M"]
    rouge_M: Float64[np.ndarray, " M"]
    bleu: BleuScores


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupScores:
    """Scores of each group of items, as if there were no others.

    Attributes:
        names: Names of the groups, in the order of their first items.
        cider_M: CIDEr-D of each item among those of its group; NaN where it is not defined.
        cider_V: Its mean in each group; NaN where no reference of the group holds a word. A group
            of a single item has 0, whatever is predicted.
    """

    names: tuple[str, ...]
    group_M: Int64[np.ndarray, " M"]
    size_V: Int64[np.ndarray, " V"]
    cider_M: Float64[np.ndarray, " M"]
    cider_V: Float64[np.ndarray, " V"]
    rouge_V: Float64[np.ndarray, " V"]
    bleu_VN: Float64[np.ndarray, "V 4"]

    @property
    def is_defined_V(self) -> Bool[np.ndarray, " V"]:
        """True where CIDEr is defined."""
        return ~np.isnan(self.cider_V)

    def macro_cider(self, *, min_items: int = 1) -> float | None:
        """Mean over the groups where it is defined and that have so many items; None for none."""
        chosen_V = self.is_defined_V & (self.size_V >= min_items)
        return float(self.cider_V[chosen_V].mean()) if chosen_V.any() else None


def score_texts(corpus: CaptionCorpus) -> TextScores:
    """Scores of all items.

    Raises:
        MetricError: no item, or no reference holds a word.
    """
    return TextScores(cider_M=cider_d(corpus), rouge_M=rouge_l(corpus), bleu=bleu(corpus))


def score_groups(
    corpus: CaptionCorpus, names: Sequence[str], *, rouge_M: Float64[np.ndarray, " M"]
) -> GroupScores:
    """Scores of each group of items by itself."""
    number_of: dict[str, int] = {}
    group_M = np.array([number_of.setdefault(name, len(number_of)) for name in names], np.int64)
    size_V = np.bincount(group_M)
    cider_M = cider_d_by_group(corpus, group_M)
    return GroupScores(
        names=tuple(number_of),
        group_M=group_M,
        size_V=size_V,
        cider_M=cider_M,
        cider_V=np.bincount(group_M, cider_M) / size_V,
        rouge_V=np.bincount(group_M, rouge_M) / size_V,
        bleu_VN=bleu_by_group(corpus, group_M),
    )
