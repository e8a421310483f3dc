"""Every case of what our tasks report, the large ones too: see tests/goldens/README.md."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.golden_checks import CHECKS, Case, load_cases

pytestmark = pytest.mark.real
# Folder of $FIGCLIP_REAL_DATA/goldens, file, check, and how many cases it holds.
FILES = [
    ("retrieval_clip4clip", "cases.json", CHECKS["clip4clip"], 38),
    ("retrieval_clip4clip", "large.json.gz", CHECKS["clip4clip"], 3),
    ("sugarcrepe", "cases.json", CHECKS["sugarcrepe"], 21),
    ("sugarcrepe", "large.json.gz", CHECKS["sugarcrepe"], 1),
    ("winoground", "cases.json", CHECKS["winoground"], 22),
    ("winoground", "large.json.gz", CHECKS["winoground"], 1),
    ("aro", "cases.json", CHECKS["aro"], 28),
    ("aro", "large.json.gz", CHECKS["aro"], 3),
    ("velociti", "cases.json", CHECKS["velociti"], 22),
    ("velociti", "large.json.gz", CHECKS["velociti"], 8),
]


@pytest.mark.parametrize(("folder", "file", "check", "num_cases"), FILES)
def test_official_numbers(folder: str, file: str, check: Callable[[Case], None], num_cases: int):
    cases = load_cases(Path(os.environ["FIGCLIP_REAL_DATA"]) / "goldens" / folder / file)
    assert len(cases) == num_cases
    for case in cases:
        try:
            check(case)
        except AssertionError as error:
            raise AssertionError(f"{folder}/{file}: {case['name']}") from error
