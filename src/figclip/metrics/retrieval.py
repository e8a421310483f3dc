"""Retrieval between texts and videos both ways: corrected ranks, and CLIP4Clip's own scores.

CLIP4Clip's scores include its ties. Its sorted tables are not needed: all follows from how many
items are ahead of the correct one or tie with it. Fractions instead of percentages.

Source: ArrowLuo/CLIP4Clip @ 508ffa3, metrics.py.
"""

from collections.abc import Callable
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
    first_text_B = _first_texts(len(visual_BD), video_of_text_N)
    label_N = np.unique(text_label_N, return_inverse=True)[1].astype(np.int64)
    if is_dual:
        t2v, v2t = dual_softmax(t2v), dual_softmax(v2t)
    # Each video has one text, and no two texts are equal: its rank is then that of the own item.
    is_one_to_one = len(label_N) == len(visual_BD) == int(label_N.max()) + 1
    videos_of_label = _lists(label_N, video_of_text_N)
    labels_of_video = _lists(video_of_text_N, label_N)
    texts_of_label = _lists(label_N, np.arange(len(label_N)))

    def correct_videos(text_R: Int64[np.ndarray, " R"]) -> _Pairs:
        return videos_of_label.of(label_N[text_R])

    def correct_texts(video_R: Int64[np.ndarray, " R"]) -> _Pairs:
        query_P, label_P = labels_of_video.of(video_R)
        pair_P, text_P = texts_of_label.of(label_P)
        return query_P[pair_P], text_P

    own_B = np.arange(len(visual_BD), dtype=np.int64)
    if is_one_to_one:
        return BothDirections(t2v=_rank(t2v, video_of_text_N), v2t=_rank(v2t, own_B))
    return BothDirections(
        t2v=_rank(t2v, video_of_text_N, correct=correct_videos),
        v2t=_rank(v2t, own_B, correct=correct_texts, first_item_B=first_text_B),
    )


def _first_texts(
    num_videos: int, video_of_text_N: Int64[np.ndarray, " N"]
) -> Int64[np.ndarray, " B"]:
    """Index of the first text of each video, which are checked."""
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
    return np.cumsum(num_texts_B) - num_texts_B


_Pairs = tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]


@dataclass(frozen=True, slots=True)
class _Lists:
    """Lists of indices, end to end: list i is `members_M[starts_L[i]:starts_L[i + 1]]`."""

    members_M: Int64[np.ndarray, " M"]
    starts_L: Int64[np.ndarray, " L"]

    def of(self, list_A: Int64[np.ndarray, " A"]) -> _Pairs:
        """Members of the lists asked for, in turn: position in the question, and member."""
        first_A = self.starts_L[list_A]
        count_A = self.starts_L[list_A + 1] - first_A
        asked_P = np.repeat(np.arange(len(list_A)), count_A)
        skipped_A = np.cumsum(count_A) - count_A
        return asked_P, self.members_M[np.arange(len(asked_P)) + (first_A - skipped_A)[asked_P]]


def _lists(list_P: Int64[np.ndarray, " P"], member_P: Int64[np.ndarray, " P"]) -> _Lists:
    """Lists of the pairs' members, each once and in order."""
    base = int(member_P.max()) + 1
    list_M, member_M = np.divmod(np.unique(list_P * base + member_P), np.int64(base))
    starts_L = np.searchsorted(list_M, np.arange(int(list_P.max()) + 2))
    return _Lists(member_M, starts_L)


def _rank(
    similarities: Similarities,
    own_Q: Int64[np.ndarray, " Q"],
    *,
    correct: Callable[[Int64[np.ndarray, " R"]], _Pairs] | None = None,
    first_item_B: Int64[np.ndarray, " B"] | None = None,
) -> DirectionScores:
    """Place of the own item, and rank of the best of all correct ones; else only the own one is.

    Of items in runs that begin at `first_item_B`, the own one is the best of a run.
    """
    ranks: list[Int64[np.ndarray, " R"]] = []
    places: list[Places] = []
    for part, sim_RN in similarities.parts():
        best_RB = sim_RN
        # The maximum over runs of one item would take half of the whole time.
        if first_item_B is not None and len(first_item_B) < sim_RN.shape[1]:
            best_RB = np.maximum.reduceat(sim_RN, first_item_B, axis=1)
        places.append(place(best_RB, own_Q[part]))
        if correct is None:
            ranks.append(places[-1].worst_ranks)
        else:
            ranks.append(
                _best_rank(sim_RN, *correct(np.arange(part.start, part.stop, dtype=np.int64)))
            )
    return DirectionScores(
        rank_Q=np.concatenate(ranks),
        places=Places(
            ahead_Q=np.concatenate([one.ahead_Q for one in places]),
            tied_Q=np.concatenate([one.tied_Q for one in places]),
            tied_before_Q=np.concatenate([one.tied_before_Q for one in places]),
        ),
    )


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
