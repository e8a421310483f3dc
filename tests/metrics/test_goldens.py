from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden_checks import CHECKS, Case, load_cases

FOLDER = Path(__file__).parents[1] / "goldens"
CASES = [
    pytest.param(name, case, id=f"{name}-{case['name']}")
    for name in CHECKS
    for case in load_cases(FOLDER / f"{name}.json")
]


@pytest.mark.parametrize(("evaluator", "case"), CASES)
def test_official_numbers(evaluator: str, case: Case):
    CHECKS[evaluator](case)
