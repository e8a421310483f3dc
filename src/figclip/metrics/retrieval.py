"""Retrieval between texts and videos both ways: corrected ranks, and CLIP4Clip's own scores.

CLIP4Clip's scores include its ties. Its sorted tables are not needed: all follows from how many
items are ahead of the correct one or tie with it. Fractions instead of percentages.

Source: ArrowLuo/CLIP4Clip @ 508ffa3, metrics.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from figclip.errors import MetricError
from figclip.metrics.ranking import (
    Places,
    Similarities,
    count_true,
    dot_products,
    dual_softmax,
    place,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionScores:
    """One direction of retrieval.

    Attributes:
        rank_Q: Corrected rank of each query, from 1: one more than the wrong items that are at
            least as similar as the best correct one.
        places: Where the official way finds the query's own item: what `metrics.retrieval` scores.
    """

    rank_Q: Int64[np.ndarray, " Q"]
    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class BothDirections:
    """Texts that search videos (a rank per text), and videos that search texts (per video)."""

    t2v: DirectionScores
    v2t: DirectionScores


def retrieve(
    text_ND: Float[np.ndarray, "N D"],
    visual_BD: Float[np.ndarray, "B D"],
    *,
    video_of_text_N: Int64[np.ndarray, " N"],
    text_label_N: Int64[np.ndarray, " N"],
    is_dual: bool = False,
) -> BothDirections:
    """Rank videos for each text, and texts for each video, by dot product.

    Official places are those of CLIP4Clip: of a text's own video, and from video to text of the
    video itself, where each video of the gallery stands for its best text.

    Corrected: a tie counts against the query, once. From video to text, the best text of the video
    competes with the wrong texts themselves. Equal texts answer for each other: a text finds any
    video with a text of its label, a video finds any text with a label of its own texts.

    Texts stand in the order of their videos, and every video has at least one. Equal texts have
    equal labels, for example a hash. With `is_dual`, similarities of each direction go through
    `dual_softmax` first, whose scores are never to be mixed with others.

    Raises:
        MetricError: an embedding is not finite, there is no text, a video has none, or the texts
            are in another order.
    """
    t2v, v2t = dot_products(text_ND, visual_BD), dot_products(visual_BD, text_ND)
    answers = _answers(len(visual_BD), video_of_text_N, text_label_N)
    if is_dual:
        t2v, v2t = dual_softmax(t2v), dual_softmax(v2t)
    return BothDirections(t2v=_texts_to_videos(t2v, answers), v2t=_videos_to_texts(v2t, answers))


@dataclass(frozen=True, slots=True)
class _Lists:
    """Lists of indices, end to end: list i is `members_M[starts_L[i]:starts_L[i + 1]]`."""

    members_M: Int64[np.ndarray, " M"]
    starts_L: Int64[np.ndarray, " L"]

    def of(
        self, list_A: Int64[np.ndarray, " A"]
    ) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]:
        """Members of the lists asked for, in turn: position in the question, and member."""
        first_A = self.starts_L[list_A]
        count_A = self.starts_L[list_A + 1] - first_A
        asked_P = np.repeat(np.arange(len(list_A)), count_A)
        skipped_A = np.cumsum(count_A) - count_A
        return asked_P, self.members_M[np.arange(len(asked_P)) + (first_A - skipped_A)[asked_P]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """What answers what.

    Attributes:
        first_text_B: Index of the first text of each video.
        is_one_to_one: Each video has one text, and no two texts are equal: the corrected rank is
            then that of the own item.
    """

    first_text_B: Int64[np.ndarray, " B"]
    video_of_text_N: Int64[np.ndarray, " N"]
    label_N: Int64[np.ndarray, " N"]
    videos_of_label: _Lists
    labels_of_video: _Lists
    texts_of_label: _Lists
    is_one_to_one: bool


def _answers(
    num_videos: int,
    video_of_text_N: Int64[np.ndarray, " N"],
    text_label_N: Int64[np.ndarray, " N"],
) -> _Answers:
    """Check and index the relation of texts and videos."""
    if not len(video_of_text_N):
        raise MetricError("there is no text to retrieve")
    if (np.diff(video_of_text_N) < 0).any():
        text = int(np.flatnonzero(np.diff(video_of_text_N) < 0)[0]) + 1
        raise MetricError(
            "texts are not in the order of their videos",
            where=f"text {text}",
            fix="Sort them by video.",
        )
    assert video_of_text_N[0] >= 0 and video_of_text_N[-1] < num_videos
    num_texts_B = np.bincount(video_of_text_N, minlength=num_videos)
    if not num_texts_B.all():
        raise MetricError("has no text", where=f"video {int(np.argmin(num_texts_B))}")
    label_N = np.unique(text_label_N, return_inverse=True)[1].astype(np.int64)
    return _Answers(
        first_text_B=np.cumsum(num_texts_B) - num_texts_B,
        video_of_text_N=video_of_text_N,
        label_N=label_N,
        videos_of_label=_lists(label_N, video_of_text_N),
        labels_of_video=_lists(video_of_text_N, label_N),
        texts_of_label=_lists(label_N, np.arange(len(label_N))),
        is_one_to_one=len(label_N) == num_videos == int(label_N.max()) + 1,
    )


def _lists(list_P: Int64[np.ndarray, " P"], member_P: Int64[np.ndarray, " P"]) -> _Lists:
    """Lists of the pairs' members, each once and in order."""
    base = int(member_P.max()) + 1
    list_M, member_M = np.divmod(np.unique(list_P * base + member_P), np.int64(base))
    starts_L = np.searchsorted(list_M, np.arange(int(list_P.max()) + 2))
    return _Lists(member_M, starts_L)


def _texts_to_videos(similarities: Similarities, answers: _Answers) -> DirectionScores:
    """Rank of the best video with a text of the query's label; place of the text's own video."""
    ranks: list[Int64[np.ndarray, " R"]] = []
    places: list[Places] = []
    for part, sim_RB in similarities.parts():
        places.append(place(sim_RB, answers.video_of_text_N[part]))
        if answers.is_one_to_one:
            ranks.append(places[-1].worst_ranks)
            continue
        query_P, video_P = answers.videos_of_label.of(answers.label_N[part])
        ranks.append(_best_rank(sim_RB, query_P, video_P))
    return DirectionScores(rank_Q=np.concatenate(ranks), places=_joined(places))


def _videos_to_texts(similarities: Similarities, answers: _Answers) -> DirectionScores:
    """Rank of the best text of the video's labels; place of the video among videos."""
    ranks: list[Int64[np.ndarray, " R"]] = []
    places: list[Places] = []
    for part, sim_RN in similarities.parts():
        video_R = np.arange(part.start, part.stop, dtype=np.int64)
        places.append(place(_best_texts(sim_RN, answers.first_text_B), video_R))
        if answers.is_one_to_one:
            ranks.append(places[-1].worst_ranks)
            continue
        query_P, label_P = answers.labels_of_video.of(video_R)
        pair_P, text_P = answers.texts_of_label.of(label_P)
        ranks.append(_best_rank(sim_RN, query_P[pair_P], text_P))
    return DirectionScores(rank_Q=np.concatenate(ranks), places=_joined(places))


def _best_texts(
    sim_RN: Float[np.ndarray, "R N"], first_text_B: Int64[np.ndarray, " B"]
) -> Float[np.ndarray, "R B"]:
    """Similarity to the best text of each video."""
    if len(first_text_B) == sim_RN.shape[1]:
        return sim_RN  # the maximum over single texts would take half of the whole time
    return np.maximum.reduceat(sim_RN, first_text_B, axis=1)


def _best_rank(
    sim_RN: Float[np.ndarray, "R N"],
    query_P: Int64[np.ndarray, " P"],
    item_P: Int64[np.ndarray, " P"],
) -> Int64[np.ndarray, " R"]:
    """`ranking.ranks` with the correct items as pairs, sorted by query, at least one per query."""
    correct_P = sim_RN[query_P, item_P]
    first_R = np.searchsorted(query_P, np.arange(len(sim_RN)))
    best_R = np.maximum.reduceat(correct_P, first_R)
    similar_R = count_true(sim_RN >= best_R[:, None])
    own_R = np.bincount(query_P[correct_P == best_R[query_P]], minlength=len(sim_RN))
    return 1 + similar_R - own_R


def _joined(parts: Sequence[Places]) -> Places:
    """Places of all queries."""
    return Places(
        ahead_Q=np.concatenate([part.ahead_Q for part in parts]),
        tied_Q=np.concatenate([part.tied_Q for part in parts]),
        tied_before_Q=np.concatenate([part.tied_before_Q for part in parts]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalScores:
    """What is reported of one direction.

    Recalls are shares of the queries in [0, 1]; ranks count from 1.
    """

    recall_1: float
    recall_5: float
    recall_10: float
    median_rank: float
    mean_rank: float


def one_caption_scores(places: Places) -> RetrievalScores:
    """Scores of queries with one correct item each (`compute_metrics`, metrics.py:9-24).

    Every position that ties with the correct item counts as a position of the query, so a query
    with ties counts several times, and the denominator exceeds the number of queries. The median is
    between the two middle positions. Serves both directions when each video has one caption, and
    video to text when a video is as similar as its best caption.
    """
    last_Q = places.ahead_Q + places.tied_Q
    size = int(last_Q.max()) + 2
    # +1 where a query's positions begin, -1 behind their end: the running sum counts them.
    edges = np.bincount(places.ahead_Q, minlength=size) - np.bincount(last_Q + 1, minlength=size)
    return _scores(np.cumsum(edges)[:-1], is_median_lower=False)


def several_captions_scores(places: Places) -> RetrievalScores:
    """Scores of captions when videos have several (`tensor_text_to_video_metrics`, :34-61).

    The position is the one of a sort in which the lower index wins a tie (theirs does not ask for a
    stable sort; on the CPU it is one). The median is the lower of the two middle positions.
    """
    return _scores(np.bincount(places.stable_ranks - 1), is_median_lower=True)


def _scores(count_P: Int64[np.ndarray, " P"], *, is_median_lower: bool) -> RetrievalScores:
    """Scores of how often each position, counted from 0, occurs."""
    upto_P = np.cumsum(count_P)
    total = int(upto_P[-1])
    lower = int(np.searchsorted(upto_P, (total + 1) // 2))
    upper = int(np.searchsorted(upto_P, total // 2 + 1))
    recall_1, recall_5, recall_10 = (
        float(upto_P[min(k, len(upto_P)) - 1] / total) for k in (1, 5, 10)
    )
    return RetrievalScores(
        recall_1=recall_1,
        recall_5=recall_5,
        recall_10=recall_10,
        median_rank=1.0 + (lower if is_median_lower else (lower + upper) / 2),
        mean_rank=1.0 + float(count_P @ np.arange(len(count_P)) / total),
    )
