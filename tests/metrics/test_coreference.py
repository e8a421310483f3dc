"""Clusters of equal texts, worked by hand and against a slow oracle."""

from __future__ import annotations

from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.metrics.coreference import CoreferenceVideo, coreference_f1


def video(true: str, predicted: str, cider: float = 1.0) -> CoreferenceVideo:
    """Mentions a, b, c, … with one letter of text each; `-` is not predicted."""
    names = "abcdefgh"
    return CoreferenceVideo(
        true=[(names[place], text) for place, text in enumerate(true)],
        predicted=[(names[place], text) for place, text in enumerate(predicted) if text != "-"],
        cider=dict.fromkeys(names, cider),
    )


def f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall)


def test_equal_clusters_are_perfect_whatever_the_texts():
    found = coreference_f1([video("xxyz", "ppqr")])
    assert found == dict.fromkeys(found, 1.0)


def test_a_cluster_that_falls_apart():
    # True: {a, b, c}. Predicted: {a, b}, {c}.
    found = coreference_f1([video("xxx", "ppq")])
    assert found["mentions"] == 1
    assert found["muc"] == pytest.approx(f1(1, 1 / 2))
    assert found["bcub"] == pytest.approx(f1(1, (2 * 2 / 3 + 1 / 3) / 3))
    assert found["ceafe"] == pytest.approx(f1(0.8 / 2, 0.8 / 1))
    # {a, b} has its one link, the single {c} is not single on the other side; one link of three.
    assert found["lea"] == pytest.approx(f1(2 / 3, 1 / 3))
    # As before, but each cluster counts by its size once more: 2 · 2 of 2 · 2 + 1 · 1.
    assert found["lea_soft"] == pytest.approx(f1(4 / 5, 1 / 3))


def test_missing_mentions_cost_recall():
    found = coreference_f1([video("xxy", "p--")])
    assert found["mentions"] == pytest.approx(f1(1, 1 / 3))
    assert found["lea"] == 0  # a is single in the prediction only


def test_lea_soft_weighs_precision_by_cider():
    # One cluster of two mentions whose texts have CIDEr 3 each: (3 + 3) · 2 of 2 · 2.
    found = coreference_f1([video("xx", "pp", cider=3.0)])
    assert found["lea"] == 1
    assert found["lea_soft"] == pytest.approx(f1(3, 1))


def test_videos_are_summed_and_not_averaged():
    found = coreference_f1([video("xxx", "ppp"), video("x", "-")])
    assert found["lea"] == pytest.approx(f1(1, 3 / 4))


def test_nothing_is_zero():
    assert set(coreference_f1([]).values()) == {0.0}
    assert set(coreference_f1([video("", "")]).values()) == {0.0}
    assert set(coreference_f1([video("xx", "--")]).values()) == {0.0}


def links(clusters: dict[str, list[str]]) -> set[tuple[str, str]]:
    return {pair for members in clusters.values() for pair in combinations(sorted(members), 2)}


def grouped(mentions: object) -> dict[str, list[str]]:
    clusters: dict[str, list[str]] = {}
    for name, text in mentions:  # pyright: ignore
        clusters.setdefault(text, []).append(name)
    return clusters


def lea_side(clusters: dict[str, list[str]], others: dict[str, list[str]]) -> tuple[float, int]:
    """Lea by its definition: shares of the links of each cluster, weighted by its size."""
    right, total = 0.0, 0
    for members in clusters.values():
        total += len(members)
        if len(members) == 1:
            right += members in others.values()
        else:
            mine = links({"": members})
            right += len(members) * len(mine & links(others)) / len(mine)
    return right, total


@given(st.lists(st.tuples(st.text("xyz", max_size=6), st.text("pq-", min_size=6, max_size=6))))
def test_lea_against_its_definition(texts: list[tuple[str, str]]):
    videos = [video(true, predicted[: len(true)]) for true, predicted in texts]
    sums = [0.0, 0.0, 0.0, 0.0]
    for one in videos:
        true, predicted = grouped(one.true), grouped(one.predicted)
        for place, value in enumerate((*lea_side(predicted, true), *lea_side(true, predicted))):
            sums[place] += value
    precision = sums[0] / sums[1] if sums[1] else 0
    recall = sums[2] / sums[3] if sums[3] else 0
    expected = f1(precision, recall) if precision + recall else 0
    assert coreference_f1(videos)["lea"] == pytest.approx(expected)


def ceaf_side(ones: list[list[str]], others: list[list[str]]) -> float:
    """The best of all ways to give each cluster of the shorter list one of the other."""
    shorter, longer = sorted((ones, others), key=len)
    return max(
        sum(
            2 * len({*one} & {*other}) / (len(one) + len(other))
            for one, other in zip(shorter, order, strict=True)
        )
        for order in permutations(longer, len(shorter))
    )


@given(st.text("vwxyz", min_size=1, max_size=8), st.text("opqrs-", min_size=8, max_size=8))
def test_the_best_alignment_against_all_of_them(true: str, predicted: str):
    one = video(true, predicted[: len(true)])
    ones, others = (list(grouped(side).values()) for side in (one.true, one.predicted))
    similarity = ceaf_side(ones, others)
    expected = f1(similarity / len(others), similarity / len(ones)) if similarity else 0
    assert coreference_f1([one])["ceafe"] == pytest.approx(expected)
