"""Load the windows of an index into LanceDB.

    figclip index MODEL VIDEOS --out my.index --parquet windows.parquet
    python examples/search/load_lancedb.py windows.parquet --database lance

Loading again replaces the table.
"""

from __future__ import annotations

import argparse

import lancedb
import pyarrow.parquet as parquet


def load(database: str, file: str, *, table: str) -> int:
    """Write all rows; returns how many the table has then."""
    opened = parquet.ParquetFile(file)
    batches = opened.iter_batches(batch_size=10_000)
    connection = lancedb.connect(database)
    written = connection.create_table(
        table, data=batches, schema=opened.schema_arrow, mode="overwrite"
    )
    return written.count_rows()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--database", default="lance", help="Folder or address.")
    parser.add_argument("--table", default="figclip")
    arguments = parser.parse_args()
    num_rows = load(arguments.database, arguments.file, table=arguments.table)
    print(f"{num_rows:,} windows in LanceDB")


if __name__ == "__main__":
    main()
