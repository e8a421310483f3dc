"""Every case of VidSitu's evaluator, the large ones too, and the real prediction files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from figclip.annotations.archive import pack_source
from figclip.evaluation.sources import DataSource
from figclip.scoring.situation_sources import open_truth
from figclip.video.store import FrameStoreWriter, StoreSpec
from tests.golden_checks import Case, load_cases
from tests.situation_checks import check_relations, check_roles, check_verbs

pytestmark = pytest.mark.real
ROOT = Path(os.environ.get("FIGCLIP_REAL_DATA", ""))
# Folder of $FIGCLIP_REAL_DATA/goldens, file, check, and how many cases it holds.
FILES = [
    ("vidsitu_verbs", "cases.json", check_verbs, 28),
    ("vidsitu_verbs", "large.json.gz", check_verbs, 2),
    ("vidsitu_srl", "cases.json", check_roles, 50),
    ("vidsitu_srl", "large.json.gz", check_roles, 1),
    ("vidsitu_evrel", "cases.json", check_relations, 27),
    ("vidsitu_evrel", "large.json.gz", check_relations, 1),
]


def resolved(value: Any) -> Any:
    """What an input is that names a file of the data."""
    if not isinstance(value, str):
        return value
    folder = ROOT / "data" / "vidsitu"
    if value.startswith("second column of "):
        name = value.removeprefix("second column of ").partition(",")[0]
        lines = (folder / name).read_text().splitlines()[1:]
        return [line.split("\t")[1] for line in lines]
    return json.loads((folder / value).read_text())


@pytest.mark.parametrize(("folder", "file", "check", "num_cases"), FILES)
def test_official_numbers(
    folder: str, file: str, check: Callable[[Case, Path], None], num_cases: int, tmp_path: Path
):
    cases = load_cases(ROOT / "goldens" / folder / file)
    assert len(cases) == num_cases
    for number, case in enumerate(cases):
        case["inputs"] = {name: resolved(value) for name, value in case["inputs"].items()}
        try:
            check(case, tmp_path / str(number))
        except Exception as error:
            raise AssertionError(f"{folder}/{file}: {case['name']}") from error


def test_a_store_holds_the_truth_of_the_official_files(tmp_path: Path):
    folder = ROOT / "data" / "vidsitu"
    store = tmp_path / "frames.store"
    with FrameStoreWriter(store, spec=StoreSpec()) as writer:
        writer.set_source(pack_source(folder))
    of_files, of_store = (
        open_truth(DataSource(name="vidsitu", path=path)) for path in (folder, store)
    )
    assert of_store == of_files
    assert len(of_store.videos) == 1324
    assert all(len(verbs) == 10 for video in of_store.videos for verbs in video.verb_ids)
