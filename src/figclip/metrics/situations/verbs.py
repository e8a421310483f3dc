"""Verbs of events against the verbs that several annotators chose.

Source: github.com/TheShadow29/VidSitu @ b794988, `EvlFn_Vb` of `vidsitu_code/evl_fns.py`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from figclip.errors import MetricError

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

    Args:
        predicted: Verbs of each event, best first; from the sixth on they do not count.
        chosen: What the annotators of each event chose; a verb may stand there several times.
        split: What those of all events of the split chose: by these a verb is frequent or not,
            whichever events are scored. None: `chosen`.
        min_agreeing: Annotators who must choose a verb for it to count in the recall; officially 2.

    Raises:
        MetricError: no event.
    """
    if not predicted:
        raise MetricError("there is no event to score")
    hits: list[list[bool]] = []
    events: list[int] = []
    verbs: list[str] = []
    found: list[bool] = []
    for event, (ranked, votes) in enumerate(zip(predicted, chosen, strict=True)):
        places = [rank for rank, verb in enumerate(ranked[:NUM_RANKS]) if verb in votes]
        first = places[0] if places else NUM_RANKS
        hits.append([first <= rank for rank in range(NUM_RANKS)])
        for verb in _agreed(votes, min_agreeing):
            events.append(event)
            verbs.append(verb)
            found.append(verb in ranked[:NUM_RANKS])
    agreed = (_agreed(votes, min_agreeing) for votes in (chosen if split is None else split))
    return VerbScores(
        hit_NK=np.array(hits, np.bool_),
        event_A=np.array(events, np.int64),
        verb_A=tuple(verbs),
        found_A=np.array(found, np.bool_),
        num_events_of=Counter(verb for one in agreed for verb in one),
    )


def _agreed(votes: Sequence[str], min_agreeing: int) -> list[str]:
    """The verbs that so many annotators of an event chose."""
    return [verb for verb, count in Counter(votes).items() if count >= min_agreeing]


def all_events_hit(
    hit_NK: Bool[np.ndarray, "N 5"], video_N: Int64[np.ndarray, " N"]
) -> Bool[np.ndarray, "V 5"]:
    """True for each video and k where all its events are hit, videos by their numbers."""
    _, video_N = np.unique(video_N, return_inverse=True)
    missed_VK = np.zeros((int(video_N.max()) + 1, hit_NK.shape[1]), np.int64)
    np.add.at(missed_VK, video_N, ~hit_NK)
    return missed_VK == 0
