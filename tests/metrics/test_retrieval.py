from __future__ import annotations

import numpy as np
import pytest

import figclip.metrics.ranking as similarity
from figclip.errors import MetricError
from figclip.metrics.ranking import Places, place, ranks
from figclip.metrics.retrieval import BothDirections, retrieve


def retrieve_from_table(
    sim: np.ndarray, *, video_of_text_N: np.ndarray, text_label_N: np.ndarray
) -> BothDirections:
    """By similarities of texts to videos: each video is a direction of its own."""
    return retrieve(
        np.asarray(sim, float),
        np.eye(sim.shape[1]),
        video_of_text_N=video_of_text_N,
        text_label_N=text_label_N,
    )


def same_places(found: Places, expected: Places) -> bool:
    return all(
        getattr(found, name).tolist() == getattr(expected, name).tolist()
        for name in ("ahead_Q", "tied_Q", "tied_before_Q")
    )


def slow_ranks(sim: np.ndarray, video_of_text: list[int], label: list[int], *, v2t: bool) -> list:
    """Ranks of the corrected way, one query after the other, in plain Python."""
    num_texts, num_videos = sim.shape
    labels_of = [
        {label[n] for n in range(num_texts) if video_of_text[n] == video}
        for video in range(num_videos)
    ]
    found: list[int] = []
    for query in range(num_videos if v2t else num_texts):
        if v2t:
            right = [label[n] in labels_of[query] for n in range(num_texts)]
            scores = sim[:, query]
        else:
            right = [label[query] in labels_of[video] for video in range(num_videos)]
            scores = sim[query]
        best = max(s for s, r in zip(scores, right, strict=True) if r)
        wrong = sum(s >= best for s, r in zip(scores, right, strict=True) if not r)
        found.append(1 + wrong)
    return found


def test_two_captions_a_video_by_hand() -> None:
    sim = np.array(
        [
            # videos 0, 1, 2
            [0.9, 0.1, 0.2],  # text 0 of video 0: first
            [0.3, 0.3, 0.1],  # text 1 of video 0: ties with video 1
            [0.5, 0.4, 0.1],  # text 2 of video 1: second
            [0.1, 0.8, 0.8],  # text 3 of video 1: ties with video 2
            [0.2, 0.3, 0.1],  # text 4 of video 2: last
        ]
    )
    index = np.array([0, 0, 1, 1, 2])
    found = retrieve_from_table(sim, video_of_text_N=index, text_label_N=np.arange(5))
    assert found.t2v.rank_Q.tolist() == [1, 2, 2, 2, 3]
    # Video 2: its one text (.1) is behind .2 and .8 and ties with two others.
    assert found.v2t.rank_Q.tolist() == [1, 1, 5]
    # A stable sort keeps texts 1 and 3 first.
    assert found.t2v.places.stable_ranks.tolist() == [1, 1, 2, 1, 3]
    # Best captions: video 0 sees (.9, .5, .2), video 1 (.3, .8, .3), video 2 (.2, .8, .1).
    assert found.v2t.places.ahead_Q.tolist() == [0, 0, 2]


def test_equal_texts_answer_for_each_other() -> None:
    sim = np.array([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5], [0.3, 0.2, 0.4]])
    index = np.arange(3)
    apart = retrieve_from_table(sim, video_of_text_N=index, text_label_N=index)
    assert apart.t2v.rank_Q.tolist() == [3, 1, 1]
    assert apart.v2t.rank_Q.tolist() == [3, 2, 3]
    together = retrieve_from_table(sim, video_of_text_N=index, text_label_N=np.array([7, 7, -2]))
    assert together.t2v.rank_Q.tolist() == [1, 1, 1]
    assert together.v2t.rank_Q.tolist() == [2, 1, 3]
    assert same_places(together.t2v.places, apart.t2v.places)
    assert same_places(together.v2t.places, apart.v2t.places)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cells", [1, 50, 16_000_000])
def test_equal_to_a_slow_oracle(seed: int, cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "_CELLS_AT_ONCE", cells)
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 4, 9)
    index = np.repeat(np.arange(9), counts)
    label = rng.integers(-8, 8, len(index))
    sim = rng.integers(0, 5, (len(index), 9)).astype(np.float32) / 4
    found = retrieve_from_table(sim, video_of_text_N=index, text_label_N=label)
    pairs = (index.tolist(), label.tolist())
    assert found.t2v.rank_Q.tolist() == slow_ranks(sim, *pairs, v2t=False)
    assert found.v2t.rank_Q.tolist() == slow_ranks(sim, *pairs, v2t=True)
    by_video = np.array([sim[index == video].max(axis=0) for video in range(9)])
    assert same_places(found.t2v.places, place(sim, index))
    assert same_places(found.v2t.places, place(by_video.T, np.arange(9)))


@pytest.mark.parametrize("cells", [1, 100, 16_000_000])
def test_embeddings_give_the_scores_of_their_table(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similarity, "_CELLS_AT_ONCE", cells)
    rng = np.random.default_rng(0)
    visual = rng.normal(size=(12, 16)).astype(np.float32)
    visual[5] = visual[3]
    index = np.repeat(np.arange(12), 3)
    texts = (visual[index] + rng.normal(size=(36, 16))).astype(np.float32)
    texts[20] = texts[4]
    sim = (texts.astype(np.float64) @ visual.astype(np.float64).T).astype(np.float32)
    label = np.arange(36)
    found = retrieve(texts, visual, video_of_text_N=index, text_label_N=label)
    expected = retrieve_from_table(sim, video_of_text_N=index, text_label_N=label)
    assert found.t2v.places.tied_Q.any()
    for ours, theirs in ((found.t2v, expected.t2v), (found.v2t, expected.v2t)):
        assert ours.rank_Q.tolist() == theirs.rank_Q.tolist()
        assert same_places(ours.places, theirs.places)


def test_dual_softmax_of_either_direction() -> None:
    rng = np.random.default_rng(1)
    visual = rng.normal(size=(8, 4)).astype(np.float32)
    visual /= np.linalg.norm(visual, axis=1, keepdims=True)
    index = np.arange(8)
    texts = visual + 0.8 * rng.normal(size=(8, 4)).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    sim = texts.astype(np.float64) @ visual.astype(np.float64).T
    found = retrieve(texts, visual, video_of_text_N=index, text_label_N=index, is_dual=True)
    gold = np.eye(8, dtype=bool)
    for ours, table in ((found.t2v, sim), (found.v2t, sim.T)):
        weights = np.exp(100 * table)
        revised = table * weights / weights.sum(axis=0)
        assert ours.rank_Q.tolist() == ranks(revised, gold).tolist()
        assert ours.rank_Q.tolist() != ranks(table, gold).tolist()
        assert ours.rank_Q.tolist() == ours.places.worst_ranks.tolist()


def test_perfect_worst_and_all_tied() -> None:
    index, label = np.repeat(np.arange(10), 2), np.arange(20)
    own = (index[:, None] == np.arange(10)).astype(float)

    def both_ranks(sim: np.ndarray) -> tuple[list[int], list[int]]:
        found = retrieve_from_table(sim, video_of_text_N=index, text_label_N=label)
        return found.t2v.rank_Q.tolist(), found.v2t.rank_Q.tolist()

    assert both_ranks(own) == ([1] * 20, [1] * 10)
    assert both_ranks(-own) == ([10] * 20, [19] * 10)
    assert both_ranks(0 * own) == ([10] * 20, [19] * 10)


def test_a_random_model_is_at_chance() -> None:
    num = 400
    rng = np.random.default_rng(0)
    index = np.arange(num)
    sim = rng.random((num, num))
    found = retrieve_from_table(sim, video_of_text_N=index, text_label_N=index)
    for direction in (found.t2v, found.v2t):
        chance = 10 / num
        recall_10 = (direction.rank_Q <= 10).mean()
        assert abs(recall_10 - chance) < 3 * np.sqrt(chance * (1 - chance) / num)
        sigma = np.sqrt((num**2 - 1) / 12 / num)
        assert abs(direction.rank_Q.mean() - (num + 1) / 2) < 3 * sigma


def test_undefined_retrieval_is_refused() -> None:
    sim = np.zeros((3, 2))
    label = np.arange(3)
    with pytest.raises(MetricError, match="text 2: texts are not in the order of their videos"):
        retrieve_from_table(sim, video_of_text_N=np.array([0, 1, 0]), text_label_N=label)
    with pytest.raises(MetricError, match="video 1: has no text"):
        retrieve_from_table(sim, video_of_text_N=np.array([0, 0, 0]), text_label_N=label)
    sim[1, 1] = np.nan
    with pytest.raises(MetricError, match="row 1: a value is not finite"):
        retrieve_from_table(sim, video_of_text_N=np.array([0, 0, 1]), text_label_N=label)
    none = np.zeros(0, np.int64)
    with pytest.raises(MetricError, match="0 queries"):
        retrieve(np.zeros((0, 2)), np.eye(2), video_of_text_N=none, text_label_N=none)
    with pytest.raises(MetricError, match="not finite"):
        retrieve(np.full((3, 2), np.inf), np.eye(2), video_of_text_N=label, text_label_N=label)
