from __future__ import annotations

from pathlib import Path

import pytest

from tests.caption_checks import check_caption_metrics, check_exact_matches, check_tokens
from tests.golden_checks import Case, load_cases

FOLDER = Path(__file__).parents[1] / "goldens"


@pytest.mark.parametrize(
    "case", load_cases(FOLDER / "caption_metrics.json"), ids=lambda case: case["name"]
)
def test_official_scores(case: Case):
    check_caption_metrics(case)


def test_official_tokens():
    (case,) = load_cases(FOLDER / "ptb_tokenizer.json")
    assert len(case["inputs"]) == 364
    check_tokens(case)


def test_official_counts_of_exact_matches():
    assert sum(check_exact_matches(case) for case in load_cases(FOLDER / "meteor.json")) == 19
