"""Approximate search of many windows, by FAISS: a graph (HNSW), or codes in cells (IVF-PQ).

It lies beside the index, with a stamp of the windows that it was made of: where they have changed,
it is made again. What it proposes is scored exactly afterwards, so that only its recall is less.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float32, Int64

from figclip.errors import ConfigError
from figclip.runtime.checked_json import dump_checked, load_checked
from figclip.runtime.files import named_failures, staged_file
from figclip.runtime.progress import CountProgress, no_progress

Kind = Literal["hnsw", "ivfpq"]
LEAST_WINDOWS = 10_000
"""Fewer are searched exactly in a millisecond."""

_FORMAT = 1
_LINKS, _BREADTH_WHILE_BUILT = 16, 80
_LEAST_BREADTH = 400
_NUMBERS_PER_CODE = 4
_CELLS_PER_ROOT, _LOOKED_AT = 2, 1 / 16
_TRAINED_PER_CELL = 40
_AT_ONCE = 10_000
_NUM_ASKED, _DEPTH = 200, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stamp:
    """What was made, of what, and how good it is."""

    format: int
    kind: str
    content_hash: str
    num_windows: int
    recall: float
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproximateIndex:
    """Proposes windows for a query; any number of threads may ask.

    Attributes:
        path: Its file.
        kind: `hnsw` or `ivfpq`.
        recall: How many of the ten most similar windows it finds, in [0, 1], for 200 of the windows
            as queries. Sentences may find fewer.
    """

    path: Path
    kind: Kind
    recall: float
    faiss_index: Any

    def propose(self, query_D: Float32[np.ndarray, " D"], *, num: int) -> Int64[np.ndarray, " M"]:
        """Positions of about `num` windows that are like the query, in no order."""
        return _propose(self.faiss_index, self.kind, query_D, num=num)


def open_approximate(
    index: Path,
    kind: Kind,
    *,
    vectors_ND: Float32[np.ndarray, "N D"],
    content_hash: str,
    on_progress: CountProgress | None = None,
) -> ApproximateIndex:
    """Read `INDEX.hnsw` or `INDEX.ivfpq`; make it, where there is none that fits.

    Args:
        index: The index file.
        kind: What to make.
        vectors_ND: Embeddings of the windows.
        content_hash: The index's, by which its windows are known.
        on_progress: Told how many windows of how many are in.

    Raises:
        ConfigError: faiss is not installed, fewer windows than `LEAST_WINDOWS`, or an unknown kind.
        OutputError: the file cannot be written.
    """
    if kind not in get_args(Kind):
        raise ConfigError(
            f"unknown kind {kind!r}",
            where="--approximate",
            fix=f"Use {' or '.join(get_args(Kind))}",
        )
    faiss = _load_faiss()
    if len(vectors_ND) < LEAST_WINDOWS:
        raise ConfigError(
            f"the index has {len(vectors_ND):,} windows, which are searched exactly at once",
            where=f"--approximate {kind}",
            fix="Leave it out",
        )
    path = index.with_name(f"{index.name}.{kind}")
    found = _read(path, kind=kind, content_hash=content_hash, num_windows=len(vectors_ND))
    if found is not None:
        return found
    faiss_index = _build(vectors_ND, kind, on_progress=on_progress or no_progress)
    payload = faiss.serialize_index(faiss_index)
    stamp = _Stamp(
        format=_FORMAT,
        kind=kind,
        content_hash=content_hash,
        num_windows=len(vectors_ND),
        recall=_measure_recall(faiss_index, kind, vectors_ND),
        sha256=hashlib.sha256(payload.data).hexdigest(),
    )
    with staged_file(path) as aside, aside.open("wb") as file:
        file.write(dump_checked(asdict(stamp)).encode() + b"\n")
        file.write(payload.data)
    return ApproximateIndex(path=path, kind=kind, recall=stamp.recall, faiss_index=faiss_index)


def _read(
    path: Path, *, kind: Kind, content_hash: str, num_windows: int
) -> ApproximateIndex | None:
    """What a file holds; None where there is none, or it is of other windows, or damaged."""
    if not path.is_file():
        return None
    with named_failures(path), path.open("rb") as file:
        head = file.readline(1_000)
        try:
            stamp = _Stamp(**load_checked(head.decode()))
        except (ValueError, TypeError):
            return None
        asked = (_FORMAT, kind, content_hash, num_windows)
        if (stamp.format, stamp.kind, stamp.content_hash, stamp.num_windows) != asked:
            return None
        payload = np.frombuffer(file.read(), np.uint8)
    # FAISS believes what it reads.
    if hashlib.sha256(payload.data).hexdigest() != stamp.sha256:
        return None
    faiss_index = _load_faiss().deserialize_index(payload)
    return ApproximateIndex(path=path, kind=kind, recall=stamp.recall, faiss_index=faiss_index)


def _build(
    vectors_ND: Float32[np.ndarray, "N D"], kind: Kind, *, on_progress: CountProgress
) -> Any:
    """Make the index, some windows at a time."""
    faiss = _load_faiss()
    num_windows, dim = vectors_ND.shape
    if kind == "hnsw":
        faiss_index = faiss.IndexHNSWFlat(dim, _LINKS, faiss.METRIC_INNER_PRODUCT)
        faiss_index.hnsw.efConstruction = _BREADTH_WHILE_BUILT
    else:
        if dim % _NUMBERS_PER_CODE:
            raise ConfigError(
                f"embeddings of {dim} numbers cannot be cut into parts of {_NUMBERS_PER_CODE}",
                where="--approximate ivfpq",
                fix="Use hnsw",
            )
        num_cells = _CELLS_PER_ROOT * math.isqrt(num_windows)
        faiss_index = faiss.index_factory(
            dim, f"IVF{num_cells},PQ{dim // _NUMBERS_PER_CODE}x4fs", faiss.METRIC_INNER_PRODUCT
        )
        num_trained = min(num_windows, _TRAINED_PER_CELL * num_cells)
        chosen = np.random.default_rng(0).choice(num_windows, num_trained, replace=False)
        faiss_index.train(vectors_ND[np.sort(chosen)])
    for start in range(0, num_windows, _AT_ONCE):
        faiss_index.add(vectors_ND[start : start + _AT_ONCE])
        on_progress(min(start + _AT_ONCE, num_windows), num_windows)
    return faiss_index


def _propose(
    faiss_index: Any, kind: Kind, query_D: Float32[np.ndarray, " D"], *, num: int
) -> Int64[np.ndarray, " M"]:
    """Positions of windows near a query."""
    faiss = _load_faiss()
    num = min(num, faiss_index.ntotal)
    if kind == "hnsw":
        how = faiss.SearchParametersHNSW(efSearch=max(_LEAST_BREADTH, num))
    else:
        how = faiss.SearchParametersIVF(nprobe=max(1, round(_LOOKED_AT * faiss_index.nlist)))
    _, found_1M = faiss_index.search(query_D[None], num, params=how)
    return found_1M[0][found_1M[0] >= 0]


def _measure_recall(faiss_index: Any, kind: Kind, vectors_ND: Float32[np.ndarray, "N D"]) -> float:
    """How many of the ten nearest windows are among those that a search for ten hits looks at."""
    asked = np.random.default_rng(0).choice(len(vectors_ND), _NUM_ASKED, replace=False)
    found = 0
    for position in asked:
        query_D = vectors_ND[position]
        tenth = np.partition(vectors_ND @ query_D, -_DEPTH)[-_DEPTH]
        proposed = _propose(faiss_index, kind, query_D, num=num_proposed(_DEPTH))
        is_near = vectors_ND[proposed] @ query_D >= tenth - 1e-6
        found += min(_DEPTH, int(is_near.sum()))
    return found / (_DEPTH * _NUM_ASKED)


def num_proposed(num_hits: int) -> int:
    """How many windows are looked at for so many hits: a moment has several."""
    return 8 * num_hits


def _load_faiss() -> Any:
    """The library, which is an extra; its types are not complete."""
    try:
        import faiss
    except ImportError as error:
        fix = 'Install it: pip install "figclip[search]"'
        raise ConfigError("needs faiss", where="--approximate", fix=fix) from error
    return faiss
