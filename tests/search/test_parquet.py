"""Parquet has the windows as they are, and vector databases find them by their vectors."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from figclip.errors import ConfigError
from figclip.search.index_file import IndexedFile, IndexFile, IndexWriter
from figclip.search.parquet import write_parquet
from tests.search.test_index_file import SPEC, video

EXAMPLES = Path(__file__).parents[2] / "examples" / "search"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    path = tmp_path / "my.index"
    with IndexWriter(path, spec=SPEC) as writer:
        for name, file in (("b", "/v/\udcff.mp4"), ("a", "/v/a.mp4"), ("a", "/v/copy of a.mp4")):
            writer.add_video(video(name))
            row = IndexedFile(path=Path(file), num_bytes=1, mtime_ns=1, hash=name)
            writer.set_file(row)
        broken = IndexedFile(path=Path("/v/x.mp4"), num_bytes=1, mtime_ns=1, problem="empty: …")
        writer.set_file(broken)
    return path


def test_a_row_for_each_window(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("figclip.search.parquet.ROWS_AT_ONCE", 4)
    out = tmp_path / "new" / "windows.parquet"
    assert write_parquet(index, out) == 6
    table = parquet.read_table(out)
    assert parquet.ParquetFile(out).num_row_groups == 2
    assert json.loads(table.schema.metadata[b"figclip"]) == asdict(SPEC)
    assert table["id"].to_pylist() == ["a-0", "a-1", "a-2", "b-0", "b-1", "b-2"]
    assert table["path"].to_pylist() == ["/v/a.mp4"] * 3 + ["/v/\\xff.mp4"] * 3
    assert table["start_s"].to_pylist() == [0.0, 1.0, 2.0] * 2
    assert table["end_s"].to_pylist() == [2.0, 3.0, 4.0] * 2
    with IndexFile(index) as opened:
        found = np.stack(table["vector"].to_numpy())
        np.testing.assert_array_equal(found, opened.windows().vectors_ND)
    assert [one.name for one in out.parent.iterdir()] == ["windows.parquet"]


def test_no_windows_are_a_table_without_rows(tmp_path: Path):
    with IndexWriter(tmp_path / "none", spec=SPEC):
        pass
    assert write_parquet(tmp_path / "none", tmp_path / "none.parquet") == 0
    assert parquet.read_table(tmp_path / "none.parquet").num_rows == 0


def test_without_pyarrow_it_says_what_to_install(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigError, match=r"pip install \"figclip\[parquet\]\""):
        write_parquet(index, tmp_path / "windows.parquet")


@pytest.fixture
def windows(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    write_parquet(index, tmp_path / "windows.parquet")
    return tmp_path / "windows.parquet"


@pytest.mark.slow
def test_qdrant_finds_each_window_by_its_vector(windows: Path, tmp_path: Path):
    client = import_module("qdrant_client").QdrantClient(path=str(tmp_path / "qdrant"))
    load = import_module("load_qdrant").load
    assert load(client, str(windows), collection="moments") == 6
    assert load(client, str(windows), collection="moments") == 6, "again: the same points"
    for row in parquet.read_table(windows).to_pylist():
        (hit,) = client.query_points("moments", query=row["vector"], limit=1).points
        assert hit.payload["window"] == row["id"] and hit.payload["start_s"] == row["start_s"]
    client.close()


@pytest.mark.slow
def test_lancedb_finds_each_window_by_its_vector(windows: Path, tmp_path: Path):
    load = import_module("load_lancedb").load
    for _ in range(2):
        assert load(str(tmp_path / "lance"), str(windows), table="moments") == 6
    table = import_module("lancedb").connect(str(tmp_path / "lance")).open_table("moments")
    for row in parquet.read_table(windows).to_pylist():
        (hit,) = table.search(row["vector"]).limit(1).to_list()
        assert hit["id"] == row["id"] and hit["path"] == row["path"]
