"""Load the windows of an index into Qdrant.

    figclip index MODEL VIDEOS --out my.index --parquet windows.parquet
    python examples/search/load_qdrant.py windows.parquet --url http://localhost:6333

Without `--url`, `--folder DIR` uses Qdrant's local mode. Loading again replaces the same windows.
"""

from __future__ import annotations

import argparse
import uuid

import pyarrow.parquet as parquet
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, PointStruct, VectorParams


def load(client: QdrantClient, file: str, *, collection: str) -> int:
    """Upsert all rows; returns how many points the collection has then."""
    opened = parquet.ParquetFile(file)
    dim = opened.schema_arrow.field("vector").type.list_size
    if not client.collection_exists(collection):
        config = VectorParams(size=dim, distance=Distance.COSINE)
        client.create_collection(collection, vectors_config=config)
    for batch in opened.iter_batches(batch_size=1_000):
        client.upsert(collection, [_point(**row) for row in batch.to_pylist()])
    return client.count(collection).count


def _point(*, id: str, vector: list[float], **payload: object) -> PointStruct:
    """A window; Qdrant's names are numbers or UUIDs."""
    name = str(uuid.uuid5(uuid.NAMESPACE_OID, id))
    return PointStruct(id=name, vector=vector, payload={"window": id, **payload})


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--url")
    parser.add_argument("--folder", help="Local mode: a folder in place of a server.")
    parser.add_argument("--collection", default="figclip")
    arguments = parser.parse_args()
    client = QdrantClient(url=arguments.url, path=arguments.folder)
    print(f"{load(client, arguments.file, collection=arguments.collection):,} windows in Qdrant")


if __name__ == "__main__":
    main()
