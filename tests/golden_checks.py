"""Our tasks against numbers that the official evaluators printed (tests/goldens/README.md).

A check takes one case, has the task itself score it, with a model whose similarities are those of
the case, and raises AssertionError where what is reported differs by more than 1e-6. Where an
evaluator stops, divides by zero or lets NaN pass as a number, the task must refuse it or have
nothing to report.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float32

from figclip.datasets.records import CaptionedMedium, CompositionSet, Contrast, RetrievalSet
from figclip.errors import MetricError
from figclip.metrics.composition import MIN_ATTRIBUTE_ITEMS, SYMMETRIC_RELATIONS
from figclip.tasks.base import ItemScores, Score
from figclip.tasks.composition import MEAN, Composition
from figclip.tasks.media import MediaSet
from figclip.tasks.retrieval import CUT_OFFS, Retrieval
from figclip.video.stored import StoredClips
from tests.media_sets import clips_of, video

Case = Mapping[str, Any]


def load_cases(path: Path) -> list[Case]:
    """Cases of a JSON file, gzipped or not."""
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def close(found: object, expected: object) -> None:
    np.testing.assert_allclose(np.asarray(found, float), np.asarray(expected, float), 0, 1e-6)


@dataclass
class Given:
    """A model whose embeddings are given, so that its similarities can be any numbers.

    Attributes:
        texts: Embedding of each text.
        videos: Embedding of each video, by name.
    """

    texts: dict[str, Sequence[float]] = field(default_factory=dict)
    videos: dict[str, Sequence[float]] = field(default_factory=dict)

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "N D"]:
        return np.array([self.texts[text] for text in texts], np.float32)

    def embed_clips(
        self, clips: StoredClips, clip_idxs: Sequence[int]
    ) -> Float32[np.ndarray, "N D"]:
        return np.array([self.videos[clips.key_of[i]] for i in clip_idxs], np.float32)


# CLIP4Clip


def check_clip4clip(case: Case) -> None:
    expected = case["expected"]
    sim, counts = clip4clip_table(case["inputs"])
    if not np.isfinite(sim).all():
        with pytest.raises(MetricError, match="not finite"):
            retrieval_scores(sim, counts)
        return
    found = retrieval_scores(sim, counts)
    # The way for several captions, if every video has one, is not the way that is reported.
    if case["kind"] == "one caption a video" or max(counts) > 1:
        check_direction(found, "t2v", expected["text_to_video"])
    if "error" not in expected["video_to_text"]:  # one video with several captions stops theirs
        check_direction(found, "v2t", expected["video_to_text"])


def retrieval_scores(sim: Float32[np.ndarray, "N B"], counts: Sequence[int]) -> Mapping[str, Score]:
    """What the task reports of texts and videos with these similarities."""
    own = np.repeat(np.arange(len(counts)), counts)
    captions = [f"text {n}" for n in range(len(sim))]
    items = tuple(
        CaptionedMedium(
            id=f"v{b}",
            medium=video(f"v{b}"),
            captions=tuple(captions[n] for n in np.flatnonzero(own == b)),
            group=f"v{b}",
        )
        for b in range(len(counts))
    )
    # Each video is a direction of its own, so a text is its similarities to them.
    unit = np.eye(len(counts), dtype=np.float32)
    model = Given(
        texts=dict(zip(captions, sim, strict=True)),
        videos={f"v{b}": unit[b] for b in range(len(counts))},
    )
    clips = clips_of([one.medium for one in items])
    source = MediaSet(benchmark=RetrievalSet(split=None, items=items), clips=clips)
    task = Retrieval()
    return task.summarise(task.score(model, task.load(source)))


def clip4clip_table(inputs: Case) -> tuple[Float32[np.ndarray, "N B"], Sequence[int]]:
    """Similarities of texts to videos, and the number of each video's texts."""
    if "similarity" in inputs:
        sim = np.array(
            [[float(value) for value in row] for row in inputs["similarity"]], np.float32
        )
        return sim, inputs.get("sentence_counts", [1] * len(sim))
    random = np.random.RandomState(inputs["seed"])
    counts = [1] * inputs["n"] if "n" in inputs else random.randint(10, 60, 300).tolist()
    num_texts, num_videos = sum(counts), len(counts)
    sim = random.standard_normal((num_texts, num_videos)).astype(np.float32) * np.float32(0.1)
    sim[np.arange(num_texts), np.repeat(np.arange(num_videos), counts)] += np.float32(0.25)
    if "float16" in inputs["rule"]:
        sim = sim.astype(np.float16).astype(np.float32)
    close(sim.sum(dtype=np.float64), inputs["check"]["sum_float64"])
    return sim, counts


def check_direction(found: Mapping[str, Score], direction: str, expected: Case) -> None:
    for k in CUT_OFFS:
        score = found.get(f"{direction} R@{k}")
        # No recall is reported that nothing could miss.
        close(1 if score is None else score.official, expected[f"R{k}"] / 100)
    for name, theirs in (("median rank", "MedianR"), ("mean rank", "MeanR")):
        close(found[f"{direction} {name}"].official, expected[theirs])


# SugarCrepe, ARO, VELOCITI: one true and one false caption


@dataclass(frozen=True)
class Pair:
    """Similarities of the true and the false caption of a medium, and the part it belongs to."""

    true: float
    false: float
    part: str


def composition_scores(protocol: str, pairs: Sequence[Pair]) -> Mapping[str, Score]:
    """What the task reports of such pairs."""
    model, items = Given(), []
    for n, pair in enumerate(pairs):
        items.append(contrast(n, part=pair.part, num_media=1))
        # Along one axis the product of two embeddings is that of two numbers.
        model.videos[f"v{n}.0"] = (1.0,)
        model.texts |= {f"true {n}": (pair.true,), f"false {n}": (pair.false,)}
    task = Composition()
    return task.summarise(score_contrasts(task, protocol, items, model))


def contrast(number: int, *, part: str, num_media: int) -> Contrast:
    return Contrast(
        id=f"c{number}",
        subset=part,
        media=tuple(video(f"v{number}.{i}") for i in range(num_media)),
        positives=(f"true {number}",),
        negatives=(f"false {number}",),
        group=f"c{number}",
    )


def score_contrasts(
    task: Composition, protocol: str, items: Sequence[Contrast], model: Given
) -> tuple[ItemScores, ...]:
    benchmark = CompositionSet(protocol=protocol, split=None, items=tuple(items))
    clips = clips_of([medium for one in items for medium in one.media])
    return task.score(model, task.load(MediaSet(benchmark=benchmark, clips=clips)))


def is_finite(pairs: Sequence[Pair]) -> bool:
    return all(np.isfinite([pair.true, pair.false]).all() for pair in pairs)


def check_sugarcrepe(case: Case) -> None:
    pairs = [
        Pair(float(item["pos"]), float(item["neg"]), category)
        for category, items in case["inputs"].items()
        for item in items.values()
    ]
    if not is_finite(pairs):
        with pytest.raises(MetricError, match="not finite"):
            composition_scores("sugarcrepe", pairs)
        return
    found = composition_scores("sugarcrepe", pairs)
    if "error" in case["expected"]:
        assert found == {}
        return
    names = list(case["inputs"])
    for name in names:
        metric = "accuracy" if len(names) == 1 else f"accuracy, {name}"
        close(found[metric].official, case["expected"][name])


def check_aro(case: Case) -> None:
    inputs, expected = case["inputs"], case["expected"]
    if case["benchmark"] == "vg_relation":
        names = inputs["relation"]
        left_out = {name for name in names if name in SYMMETRIC_RELATIONS}
        records = {one["Relation"]: one["Accuracy"] for one in expected["records"]}
        macro = expected["macro_without_symmetric"]
    elif case["benchmark"] == "vg_attribution":
        names = ["_".join(pair) for pair in inputs["attributes"]]
        left_out = {name for name in names if names.count(name) < MIN_ATTRIBUTE_ITEMS}
        records = {one["Attributes"]: one["Accuracy"] for one in expected.get("records", ())}
        macro = expected.get("macro_of_25_and_more", "nan")
    else:  # the order of words, which no task asks about: that needs a parser
        return
    pairs = [
        Pair(true, false, name)
        for (false, true), name in zip(inputs["scores_false_true"], names, strict=True)
    ]
    found = composition_scores(case["benchmark"], pairs)
    for name, accuracy in records.items():
        metric = f"accuracy, {name}{' (not in the mean)' if name in left_out else ''}"
        close(found[metric if len(set(names)) > 1 else "accuracy"].official, accuracy)
    if macro == "nan":
        assert MEAN not in found
    else:
        close(found[MEAN].official, macro)


def check_velociti(case: Case) -> None:
    positive, negative = case["inputs"]["pos"], case["inputs"]["neg"]
    pairs = [
        Pair(float(true), float(false), "chrono")
        for true, false in zip(positive, negative, strict=True)
    ]
    if not is_finite(pairs):
        with pytest.raises(MetricError, match="not finite"):
            composition_scores("velociti", pairs)
        return
    found = composition_scores("velociti", pairs)
    if not pairs:
        assert found == {}
        return
    expected = case["expected"]
    for metric in ("accuracy", MEAN):
        close(found[metric].official, expected["classic_unrounded"])
        assert round(found[metric].official, 3) == expected["classic_vle"][0]


# Winoground


def check_winoground(case: Case) -> None:
    model, items = Given(), []
    for n, item in enumerate(case["inputs"]):
        items.append(contrast(n, part="", num_media=2))
        model.videos |= {f"v{n}.0": (1.0, 0.0), f"v{n}.1": (0.0, 1.0)}
        for text, caption in (("true", "c0"), ("false", "c1")):
            model.texts[f"{text} {n}"] = [float(item[f"{caption}_i{i}"]) for i in (0, 1)]
    task = Composition()
    if not np.isfinite(list(model.texts.values())).all():
        with pytest.raises(MetricError, match="not finite"):
            score_contrasts(task, "winoground", items, model)
        return
    scores = score_contrasts(task, "winoground", items, model)
    found, expected = task.summarise(scores), case["expected"]
    names = [f"{kind} score" for kind in ("text", "image", "group")]
    close(
        [found[name].official for name in names],
        [expected[name.replace(" ", "_")] for name in names],
    )
    close(np.stack([scores[0].values[name] for name in names], axis=1), expected["items"])


CHECKS: dict[str, Callable[[Case], None]] = {
    "clip4clip": check_clip4clip,
    "sugarcrepe": check_sugarcrepe,
    "winoground": check_winoground,
    "aro": check_aro,
    "velociti": check_velociti,
}
