"""Caption scores, tokens and METEOR: every case of the official evaluators."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from figclip.datasets.dense_captions import REFERENCE_READERS
from figclip.errors import MetricError
from figclip.metrics.meteor import MeteorStats, OfficialMeteor, meteor_exact
from figclip.metrics.ptb import tokenize
from tests.caption_checks import (
    check_caption_metrics,
    check_exact_matches,
    check_official_meteor,
    check_tokens,
)
from tests.golden_checks import load_cases

pytestmark = pytest.mark.real


def goldens(name: str) -> Path:
    return Path(os.environ["FIGCLIP_REAL_DATA"]) / "goldens" / name


@pytest.mark.parametrize(("file", "num_cases"), [("cases.json", 48), ("large.json.gz", 1)])
def test_official_scores(file: str, num_cases: int):
    cases = load_cases(goldens("caption_metrics") / file)
    assert len(cases) == num_cases
    for case in cases:
        try:
            check_caption_metrics(case)
        except AssertionError as error:
            raise AssertionError(f"{file}: {case['name']}") from error


def test_official_tokens():
    cases = load_cases(goldens("ptb_tokenizer") / "cases.json.gz")
    assert [len(case["inputs"]) for case in cases] == [364, 1739, 1000]
    for case in cases:
        check_tokens(case)


def official_tokens(sentences: Sequence[str]) -> list[str]:
    tokenizer = import_module("pycocoevalcap.tokenizer.ptbtokenizer").PTBTokenizer()
    items = {number: [{"caption": text}] for number, text in enumerate(sentences)}
    return [line for (line,) in tokenizer.tokenize(items).values()]


@pytest.mark.skipif(
    not find_spec("pycocoevalcap") or not shutil.which("java"),
    reason="needs figclip[metrics] and Java",
)
def test_tokens_of_all_annotations_of_dense_captions():
    benchmarks = Path(os.environ["FIGCLIP_REAL_DATA"]) / "data" / "benchmarks"
    annotations = (
        *REFERENCE_READERS["activitynet"](benchmarks / "activitynet_captions"),
        *REFERENCE_READERS["youcook2"](benchmarks / "youcook2"),
    )
    sentences = [
        event.sentence
        for annotation in annotations
        for video in annotation.videos
        for event in video.events
    ]
    assert len(sentences) == 17505 + 17031 + 3492
    compared = zip(sentences, tokenize(sentences), official_tokens(sentences), strict=True)
    assert not [each for each in compared if each[1] != each[2]]


def test_official_counts_of_exact_matches():
    cases = load_cases(goldens("meteor") / "cases.json.gz")
    assert len(cases) == 52
    assert sum(check_exact_matches(case) for case in cases) == 406


def test_the_formula_where_function_words_do_not_matter():
    """All words of both sentences are content words, all matches exact: ours is the jar's score."""
    num_compared = 0
    for case in load_cases(goldens("meteor") / "cases.json.gz"):
        rows = zip(case["expected"]["stats"], case["expected"]["scores"], strict=True)
        for line, score in rows:
            numbers = np.array(line.split(), np.float64)
            if numbers[2:4].any() or numbers[8:20].any():
                continue
            num_compared += 1
            ours = MeteorStats(
                candidate_words=int(numbers[0]),
                reference_words=int(numbers[1]),
                matches=int(numbers[21]),
                chunks=int(numbers[20]),
            )
            assert meteor_exact(ours) == pytest.approx(score, abs=1e-9)
    assert num_compared == 13


def test_official_meteor():
    try:
        meteor = OfficialMeteor()
    except MetricError as error:
        pytest.skip(str(error))
    with meteor:
        for case in load_cases(goldens("meteor") / "cases.json.gz"):
            check_official_meteor(meteor, case)
