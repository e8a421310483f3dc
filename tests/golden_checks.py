"""Our metrics against numbers that the official evaluators printed (tests/goldens/README.md).

A check takes one case and raises AssertionError where ours differs by more than 1e-6. Official ways
that no task of ours reports are formulas here, on top of the package's functions: CLIP_benchmark's
recalls and argmax, ARO's word order, VELOCITI's scores of answers in words. Where an evaluator
stops, divides by zero or lets NaN pass as a number, ours must be a `MetricError`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from figclip.errors import MetricError
from figclip.metrics.aro import attribution_score, relation_score
from figclip.metrics.averages import means_by_name
from figclip.metrics.clip4clip import several_captions_scores
from figclip.metrics.composition import judge, judge_winoground
from figclip.metrics.ranking import Places, RetrievalScores, hits_at_k, place, ranks
from figclip.metrics.retrieval import BothDirections, retrieve_from_table
from figclip.metrics.similarity import dot_products

Case = Mapping[str, Any]


def load_cases(path: Path) -> list[Case]:
    """Cases of a JSON file, gzipped or not."""
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def close(found: object, expected: object) -> None:
    np.testing.assert_allclose(np.asarray(found, float), np.asarray(expected, float), 0, 1e-6)


def column(values: Sequence[float | str]) -> np.ndarray:
    """One score an item, as `judge` takes it."""
    return np.array([float(value) for value in values], np.float32)[:, None]


# CLIP4Clip


def check_clip4clip(case: Case) -> None:
    sim, counts = clip4clip_table(case["inputs"])
    expected = case["expected"]
    video_of_text = np.repeat(np.arange(len(counts)), counts)
    found = retrieve_from_table(
        sim, video_of_text_N=video_of_text, text_label_N=np.arange(len(sim))
    )
    if case["kind"] == "one caption a video":
        close_percentages(found.t2v.official, expected["text_to_video"])
        close(counted_positions(found.t2v.places), expected["text_to_video"]["cols"])
    else:
        check_several_captions(found, expected)
    if "error" not in expected["video_to_text"]:  # one video with several captions stops theirs
        close_percentages(found.v2t.official, expected["video_to_text"])
        close(counted_positions(found.v2t.places), expected["video_to_text"]["cols"])
    else:
        assert found.v2t.rank_Q.tolist() == [1]


def clip4clip_table(inputs: Case) -> tuple[np.ndarray, Sequence[int]]:
    """Similarities of texts to videos, and the number of each video's texts."""
    if "similarity" in inputs:
        sim = np.array(
            [[float(value) for value in row] for row in inputs["similarity"]], np.float32
        )
        return sim, inputs.get("sentence_counts", [1] * len(sim))
    random = np.random.RandomState(inputs["seed"])
    counts = [1] * inputs["n"] if "n" in inputs else random.randint(10, 60, 300)
    num_texts, num_videos = int(np.sum(counts)), len(counts)
    sim = random.standard_normal((num_texts, num_videos)).astype(np.float32) * np.float32(0.1)
    sim[np.arange(num_texts), np.repeat(np.arange(num_videos), counts)] += np.float32(0.25)
    if "float16" in inputs["rule"]:
        sim = sim.astype(np.float16).astype(np.float32)
    close(sim.sum(dtype=np.float64), inputs["check"]["sum_float64"])
    return sim, counts


def close_percentages(found: RetrievalScores, expected: Case) -> None:
    names = ("R1", "R5", "R10")
    close(
        [found.recall_1, found.recall_5, found.recall_10],
        [expected[name] / 100 for name in names],
    )
    close([found.median_rank, found.mean_rank], [expected["MedianR"], expected["MeanR"]])


def counted_positions(places: Places) -> list[int]:
    """All positions that `compute_metrics` counts, query by query."""
    return [
        int(position)
        for ahead, tied in zip(places.ahead_Q, places.tied_Q, strict=True)
        for position in range(ahead, ahead + tied + 1)
    ]


def check_several_captions(found: BothDirections, expected: Case) -> None:
    places = found.t2v.places
    scores = several_captions_scores(places)
    close_percentages(scores, expected["text_to_video"])
    close(places.stable_ranks.std(), expected["text_to_video"]["Std_Rank"])
    if len(found.t2v.rank_Q) > len(found.v2t.rank_Q):
        assert found.t2v.official == scores
    bounds = expected.get("t2v_rank_bounds_ours")
    if bounds:
        close(places.ahead_Q, bounds["best"])
        close(places.worst_ranks - 1, bounds["worst"])


# CLIP_benchmark: retrieval. No task of ours reports it.


def check_clip_benchmark(case: Case) -> None:
    inputs, expected = case["inputs"], case["expected"]
    if case["kind"] == "recall_at_k":
        check_recalls(case)
        return
    sim, image_of_text = clip_benchmark_embeddings(inputs)
    gold = image_of_text[:, None] == np.arange(sim.shape[1])
    if "error" in expected:  # theirs cannot look deeper than the gallery; our recall is then 1
        for hits in hit_bounds(sim, gold, k=max(inputs["recall_k"])).values():
            assert np.all(hits)
        return
    for k in inputs["recall_k"]:
        for name, hits in hit_bounds(sim, gold, k=k).items():
            low, high = (float(values.mean()) for values in hits)
            value = expected[f"{name}_recall@{k}"]
            assert low - 1e-6 <= value <= high + 1e-6
            if not case["name"].startswith("zero_vector"):  # which ties with itself
                assert low == high


def clip_benchmark_embeddings(inputs: Case) -> tuple[np.ndarray, np.ndarray]:
    """Similarities of texts to images, and each text's image."""
    if "rule" in inputs:
        random = np.random.RandomState(inputs["seed"])
        images = random.standard_normal((1000, 32)).astype(np.float32)
        noise = random.standard_normal((5000, 32)).astype(np.float32) * np.float32(1.2)
        texts = np.repeat(images, 5, 0) + noise
        counts = [5] * 1000
        sums = [images.sum(dtype=np.float64), texts.sum(dtype=np.float64)]
        np.testing.assert_allclose(
            sums, [inputs["check"][n] for n in ("I_sum", "T_sum")], atol=1e-3
        )
    else:
        images = np.array(inputs["image_embeddings"], np.float32)
        texts = np.array(inputs["text_embeddings"], np.float32)
        counts = inputs["texts_per_image"]
        counts = [counts] * len(images) if isinstance(counts, int) else counts
    texts, images = (
        x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (texts, images)
    )
    sim = dot_products(texts, images).rows(slice(None))
    return sim, np.repeat(np.arange(len(images)), counts)


def hit_bounds(
    sim: np.ndarray, gold: np.ndarray, *, k: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Hits among the top k with every tie lost, and with every tie won."""
    return {
        name: (
            hits_at_k(ranks(table, answers), k=k),
            hits_at_k(ranks(np.where(answers, np.nextafter(table, np.inf), table), answers), k=k),
        )
        for name, table, answers in (
            ("image_retrieval", sim, gold),
            ("text_retrieval", sim.T, gold.T),
        )
    }


def check_recalls(case: Case) -> None:
    """`recall_at_k`: the share of a query's correct items that are among the top k."""
    sim = np.array(case["inputs"]["scores_texts_by_images"], np.float32)
    gold = np.array(case["inputs"]["texts_image_index"])[:, None] == np.arange(sim.shape[1])
    for k in case["inputs"]["recall_k"]:
        for name, table, answers in (
            ("image_retrieval", sim, gold),
            ("text_retrieval", sim.T, gold.T),
        ):
            query, item = np.nonzero(answers)
            places = place(np.ascontiguousarray(table)[query], item)
            each = [
                np.bincount(query, rank <= k, len(table))
                for rank in (places.worst_ranks, 1 + places.ahead_Q)
            ]
            with np.errstate(invalid="ignore"):  # an image without texts: 0 / 0, theirs too
                low, high = (found / answers.sum(axis=1) for found in each)
            expected = case["expected"][f"{name}@{k}"]
            wanted = np.array([float(value) for value in expected["recall_each"]])
            close(np.clip(wanted, low, high), wanted)
            close((wanted > 0).mean(), expected["hit_mean"])
            if not case["has_ties"]:
                close(low, wanted)
                close(low.mean(), float(expected["recall_mean"]))
                close((low > 0).mean(), expected["hit_mean"])


# SugarCrepe


def check_sugarcrepe(case: Case) -> None:
    if "error" in case["expected"]:
        with pytest.raises(MetricError, match="0 items"):
            judge(column([]), column([]))
        return
    for category, items in case["inputs"].items():
        positive, negative = (
            column([item[side] for item in items.values()]) for side in ("pos", "neg")
        )
        if np.isfinite(positive).all() and np.isfinite(negative).all():
            close(judge(positive, negative).right_N.mean(), case["expected"][category])
        else:
            with pytest.raises(MetricError, match="not finite"):
                judge(positive, negative)


def check_sugarcrepe_by_argmax(case: Case) -> None:
    """CLIP_benchmark, which lets ties win. No task of ours reports it."""
    scores = np.array(case["inputs"], np.float32).reshape(-1, 2)
    verdicts = judge(scores[:, :1], scores[:, 1:])
    accuracy = (verdicts.right_N + verdicts.tied_N).mean()
    close([accuracy, accuracy, 1], [case["expected"][n] for n in ("text_acc", "acc", "image_acc")])


# Winoground


def check_winoground(case: Case) -> None:
    names = ("c0_i0", "c0_i1", "c1_i0", "c1_i1")
    scores = np.array([[float(item[name]) for name in names] for item in case["inputs"]])
    sim = scores.astype(np.float32).reshape(-1, 2, 2)
    if not np.isfinite(sim).all():
        with pytest.raises(MetricError, match="not finite"):
            judge_winoground(sim)
        return
    found = judge_winoground(sim)
    kinds = (found.text, found.image, found.group)
    expected = case["expected"]
    close(
        [kind.right_N.mean() for kind in kinds],
        [expected[f"{kind}_score"] for kind in ("text", "image", "group")],
    )
    close(np.stack([kind.right_N for kind in kinds], axis=1), expected["items"])
    # CLIP_benchmark's argmax lets some ties win; which, its embeddings' last bits decide, and the
    # scores do not tell. No task of ours reports it.
    for kind, name in zip(kinds, ("text_acc", "image_acc", "acc"), strict=True):
        low, high = kind.right_N.mean(), (kind.right_N + kind.tied_N).mean()
        assert low - 1e-6 <= case["clip_benchmark"][name] <= high + 1e-6


# ARO


def check_aro(case: Case) -> None:
    checks = {"vg_relation": check_relation, "vg_attribution": check_attribution}
    checks |= {"order": check_order}
    # Captions are cleaned (`pre_caption`) for COCO and Flickr order alone, which no task of ours
    # runs: they need a parser. Relations and attributes take captions as they are.
    if case["benchmark"] != "pre_caption":
        checks[case["benchmark"]](case["inputs"], case["expected"])


def right_pairs(inputs: Case) -> np.ndarray:
    scores = np.array(inputs["scores_false_true"], np.float32)
    return judge(scores[:, 1:], scores[:, :1]).right_N


def check_relation(inputs: Case, expected: Case) -> None:
    right, names = right_pairs(inputs), inputs["relation"]
    records = {record["Relation"]: record["Accuracy"] for record in expected["records"]}
    assert means_by_name(right, names) == pytest.approx(records, abs=1e-6)
    if expected["macro_without_symmetric"] == "nan":
        with pytest.raises(MetricError, match="none of"):
            relation_score(right, names)
    else:
        close(relation_score(right, names), expected["macro_without_symmetric"])


def check_attribution(inputs: Case, expected: Case) -> None:
    right = right_pairs(inputs)
    names = ["_".join(pair) for pair in inputs["attributes"]]
    if "error" in expected:
        with pytest.raises(MetricError, match="none of"):
            attribution_score(right, names)
        return
    means = means_by_name(right, names)
    for record in expected["records"]:
        close(means[record["Attributes"]], record["Accuracy"])
    close(attribution_score(right, names), expected["macro_of_25_and_more"])


def check_order(inputs: Case, expected: Case) -> None:
    """The true caption first of five; argmax lets its ties win. No task of ours reports it."""
    rows = inputs["scores_true_first"]
    scores = np.array([[float(value) for value in row] for row in rows], np.float32)
    if not np.isfinite(scores).all():
        with pytest.raises(MetricError, match="not finite"):
            judge(scores[:, :1], scores[:, 1:].max(axis=1, keepdims=True))
        return
    verdicts = judge(scores[:, :1], scores[:, 1:].max(axis=1, keepdims=True))
    close((verdicts.right_N + verdicts.tied_N).mean(), expected["Precision@1"])


# VELOCITI


def check_velociti(case: Case) -> None:
    positive, negative = column(case["inputs"]["pos"]), column(case["inputs"]["neg"])
    if not np.isfinite(positive).all() or not np.isfinite(negative).all() or not len(positive):
        with pytest.raises(MetricError):
            judge(positive, negative)
        return
    right = judge(positive, negative).right_N
    expected = case["expected"]
    close(
        [right.mean(), right.sum(), len(right)],
        [expected["classic_unrounded"], *expected["classic_vle"][1:]],
    )
    assert round(float(right.mean()), 3) == expected["classic_vle"][0]
    # StrictVLE is for probabilities of "yes": with cosines no score exceeds 0.5, so no task of
    # ours reports it.
    half = np.full_like(positive, 0.5)
    strict = judge(np.hstack([positive, half]), np.hstack([half, negative])).right_N
    close([round(float(strict.mean()), 3), strict.sum(), len(strict)], expected["strict_vle"])
    accepted = judge(positive, half).right_N
    if "error" in expected["strict_vle_analysis"]:
        assert not accepted.any()
        return
    rates = (strict.sum() / accepted.sum(), accepted.mean())
    close(
        [*(round(float(rate), 3) for rate in rates), accepted.sum()],
        expected["strict_vle_analysis"],
    )


def check_velociti_answers(case: Case) -> None:
    """Multiple choice by a language model's words: nothing that a CLIP gives."""
    answers = [[text.split()[:1] for text in case["inputs"][name]] for name in ("gt_A", "gt_B")]
    pairs = [
        (first[0] == "A", second[0] == "B")
        for first, second in zip(*answers, strict=True)
        if first in (["A"], ["B"]) and second in (["A"], ["B"])
    ]
    chosen = np.array(pairs, np.float32).reshape(-1, 2)
    if "error" in case["expected"]:
        has_empty = any(not words for one in answers for words in one)
        assert has_empty or not len(chosen)
        return
    none = np.zeros_like(chosen)
    each = [judge(chosen[:, i : i + 1], none[:, :1]).right_N.mean() for i in (0, 1)]
    found = [*each, judge(chosen, none).right_N.mean()]
    close([*(round(float(value), 3) for value in found), len(chosen)], case["expected"])


CHECKS: dict[str, Callable[[Case], None]] = {
    "clip4clip": check_clip4clip,
    "clip_benchmark": check_clip_benchmark,
    "sugarcrepe": check_sugarcrepe,
    "winoground": check_winoground,
    "aro": check_aro,
    "velociti": check_velociti,
}
