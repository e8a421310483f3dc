"""All real clips in an index: what decodes is in, and every window finds itself first."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from figclip.search.index_file import IndexFile
from figclip.search.indexing import index
from tests.full_size_clips import write_vit_b_32
from tests.real.odd_videos import REFUSED

pytestmark = pytest.mark.real

VIDEOS = Path(os.environ.get("FIGCLIP_REAL_DATA", "/nonexistent"), "data/videos")


def test_every_clip_is_in_or_listed_and_finds_itself(tmp_path: Path):
    model, out = write_vit_b_32(tmp_path / "model"), tmp_path / "real.index"
    report = index(model, [f"{VIDEOS}/odd/*", VIDEOS / "labelled"], out=out)
    reasons = {file.path.name: file.problem.partition(":")[0] for file in report.quarantine}
    # A folder is no file, whatever it is called.
    assert reasons == {name: why for name, why in REFUSED.items() if name != "folder.mp4"} | {
        name: "unreadable" for name in reasons if name.endswith(".md")
    }
    with IndexFile(out) as opened:
        windows, files = opened.windows(), opened.files()
    assert {file.path for file in files} == {
        path
        for path in (*VIDEOS.glob("odd/*"), *VIDEOS.glob("labelled/*"))
        if path.is_file() and (path.parent.name == "odd" or path.suffix != ".md")
    }
    assert sum(bool(file.hash) for file in files) == report.num_files - len(reasons)
    found = (windows.vectors_ND @ windows.vectors_ND.T).argmax(axis=1)
    is_same = [
        np.allclose(windows.vectors_ND[row], windows.vectors_ND[best], atol=1e-5)
        for row, best in enumerate(found)
    ]
    assert all(is_same), np.flatnonzero(~np.array(is_same))
