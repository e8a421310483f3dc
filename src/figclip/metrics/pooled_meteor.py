"""METEOR of pairs of sentences, and of pairs whose counts are pooled: exact or official.

The scores of dense captions need both: SODA of pairs, captions of all pairs of a video together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from figclip.metrics.captions import CaptionCorpus
from figclip.metrics.captions.meteor import MeteorStats, meteor_exact, meteor_exact_stats
from figclip.metrics.captions.official_meteor import NUM_STATS, OfficialMeteor


@dataclass(frozen=True, slots=True, kw_only=True)
class Meteor:
    """A METEOR, with the names of its scores.

    Attributes:
        name: Of captions scored by it.
        soda_name: Of SODA with it.
        stats: Counts of each pair of a hypothesis and a reference, tokenised; a row a pair.
        scores: Score of each row, a pair's counts or the sum of several pairs'.
    """

    name: str
    soda_name: str
    stats: Callable[[Sequence[str], Sequence[str]], Float64[np.ndarray, "N C"]]
    scores: Callable[[Float64[np.ndarray, "N C"]], Float64[np.ndarray, " N"]]

    def of_groups(
        self, corpus: CaptionCorpus, group_M: Int64[np.ndarray, " M"]
    ) -> Float64[np.ndarray, " K"]:
        """Scores of the pooled counts of each group of captions."""
        num_sentences = len(corpus.sentences)
        key_M = corpus.candidate_M * num_sentences + corpus.reference_R
        pairs, pair_M = np.unique(key_M, return_inverse=True)
        hypotheses: list[int] = (pairs // num_sentences).tolist()
        references: list[int] = (pairs % num_sentences).tolist()
        stats_MC = self.stats(
            [corpus.sentences[index] for index in hypotheses],
            [corpus.sentences[index] for index in references],
        )[pair_M]
        pooled_KC = np.zeros((int(group_M.max()) + 1, stats_MC.shape[1]))
        np.add.at(pooled_KC, group_M, stats_MC)
        return self.scores(pooled_KC)


def _exact_stats(
    hypotheses: Sequence[str], references: Sequence[str]
) -> Float64[np.ndarray, "N 4"]:
    """Counts of `MeteorStats`, in the order of its fields."""
    rows = [
        (stats.candidate_words, stats.reference_words, stats.matches, stats.chunks)
        for stats in (
            meteor_exact_stats(hypothesis, (reference,))
            for hypothesis, reference in zip(hypotheses, references, strict=True)
        )
    ]
    stats_N4 = np.array(rows, np.float64).reshape(-1, 4)
    words_N2, matches_N, chunks_N = stats_N4[:, :2], stats_N4[:, 2], stats_N4[:, 3]
    chunks_N[_is_whole(words_N2, matches_N[:, None], chunks_N)] = 0
    return stats_N4


def _exact_scores(stats_N4: Float64[np.ndarray, "N 4"]) -> Float64[np.ndarray, " N"]:
    rows = stats_N4.astype(np.int64).tolist()
    scores = [
        meteor_exact(
            MeteorStats(
                candidate_words=row[0], reference_words=row[1], matches=row[2], chunks=row[3]
            )
        )
        for row in rows
    ]
    return np.array(scores, np.float64)


METEOR_EXACT = Meteor(
    name="meteor_exact",
    soda_name="soda_meteor_exact",
    stats=_exact_stats,
    scores=_exact_scores,
)


def official_meteor_of(jar: OfficialMeteor) -> Meteor:
    """The METEOR that papers report, from a running jar."""

    def stats(hypotheses: Sequence[str], references: Sequence[str]) -> Float64[np.ndarray, "N 23"]:
        pairs = zip(hypotheses, references, strict=True)
        rows = [jar.stats(hypothesis, (reference,)).split() for hypothesis, reference in pairs]
        stats_NC = np.array(rows, np.float64).reshape(-1, NUM_STATS)
        words_N2, chunks_N, matches_N2 = stats_NC[:, :2], stats_NC[:, -3], stats_NC[:, -2:]
        chunks_N[_is_whole(words_N2, matches_N2, chunks_N)] = 0
        return stats_NC

    def scores(stats_NC: Float64[np.ndarray, "N 23"]) -> Float64[np.ndarray, " N"]:
        rows = [" ".join(map(str, row)) for row in stats_NC.tolist()]
        return np.array(jar.scores(rows)[0] if rows else [], np.float64)

    return Meteor(name="METEOR", soda_name="SODA_c", stats=stats, scores=scores)


def _is_whole(
    words_N2: Float64[np.ndarray, "N 2"],
    matches_NM: Float64[np.ndarray, "N M"],
    chunks_N: Float64[np.ndarray, " N"],
) -> Bool[np.ndarray, " N"]:
    """Whether both sentences match as a whole: the jar adds no chunk for such a pair to a sum."""
    return (matches_NM == words_N2).all(axis=1) & (chunks_N == 1)
