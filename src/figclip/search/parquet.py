"""Windows of an index as Parquet, for the vector databases that people run."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from figclip.errors import ConfigError
from figclip.runtime.files import fsync, make_folder, named_failures
from figclip.search.addresses import place_of
from figclip.search.index_file import IndexFile, Windows

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 16_384
"""Windows of a row group: 34 MB where an embedding has 512 numbers."""


def write_parquet(index: str | Path, out: str | Path) -> int:
    """Write a row for each window, whole or not at all; returns how many.

    Columns: `id` (`HASH-NUMBER`), `hash` (SHA-256 of the video's file), `number` (of the window
    within its video), `path` (of its first file by name), `start_s`, `end_s`, `vector` (float32, of
    length 1), and `context_vector` where the index has that. The metadata of the schema has the
    spec of the index as JSON, under `figclip`.

    Raises:
        ConfigError: pyarrow is not installed.
        StoreError: the index cannot be read.
        OutputError: `out` cannot be written.
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        fix = 'Install it: pip install "figclip[parquet]"'
        raise ConfigError("needs pyarrow", where="Parquet", fix=fix) from error
    out = Path(out)
    make_folder(out.parent)
    aside = out.with_name(f".{out.name}.writing")
    with IndexFile(index) as opened, named_failures(out):
        windows, paths = opened.windows(), _paths(opened)
        schema = _schema(opened)
        try:
            with parquet.ParquetWriter(aside, schema) as writer:
                for start in range(0, len(windows.number_N), ROWS_AT_ONCE):
                    chosen = slice(start, start + ROWS_AT_ONCE)
                    writer.write_table(_table(windows, chosen, paths=paths, schema=schema))
            fsync(aside)
            aside.replace(out)
        finally:
            aside.unlink(missing_ok=True)
    return len(windows.number_N)


def _paths(index: IndexFile) -> dict[str, str]:
    """The first path of each video; bytes that are no text are escaped, as Parquet has text."""
    found: dict[str, str] = {}
    for file in index.files():
        if file.hash:
            place = os.fsencode(place_of(file.path)).decode(errors="backslashreplace")
            found.setdefault(file.hash, place)
    return found


def _schema(index: IndexFile) -> pa.Schema:
    """Columns and spec."""
    import pyarrow as pa

    vector = pa.list_(pa.float32(), index.spec.dim)
    in_context = {"context_vector": vector} if index.spec.context_hash else {}
    return pa.schema(
        {
            "id": pa.string(),
            "hash": pa.string(),
            "number": pa.int32(),
            "path": pa.string(),
            "start_s": pa.float64(),
            "end_s": pa.float64(),
            "vector": vector,
            **in_context,
        },
        metadata={"figclip": json.dumps(asdict(index.spec), sort_keys=True)},
    )


def _table(
    windows: Windows, chosen: slice, *, paths: dict[str, str], schema: pa.Schema
) -> pa.Table:
    """Some of the windows."""
    import pyarrow as pa

    hashes = [windows.hashes[idx] for idx in windows.video_idx_N[chosen]]
    numbers_N = windows.number_N[chosen]
    spans_s_N2 = windows.spans_us_N2[chosen] / 1e6
    vectors = [one for one in (windows.vectors_ND, windows.context_ND) if one is not None]
    columns = [
        pa.array([f"{name}-{number}" for name, number in zip(hashes, numbers_N, strict=True)]),
        pa.array(hashes),
        pa.array(numbers_N.astype(np.int32)),
        pa.array([paths[name] for name in hashes]),
        pa.array(spans_s_N2[:, 0]),
        pa.array(spans_s_N2[:, 1]),
        *(
            pa.FixedSizeListArray.from_arrays(pa.array(one_ND[chosen].ravel()), one_ND.shape[1])
            for one_ND in vectors
        ),
    ]
    return pa.Table.from_arrays(columns, schema=schema)
