"""What a start makes of all annotations, in a file of the run: a resumed run reads it.

Making it takes longer the more videos there are, and resuming must not; and what was made once
stays the run's own, whatever later versions would make.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from figclip.annotations.texts import TextRows, TextTable
from figclip.errors import CheckpointError
from figclip.model.embedder import FrameRef
from figclip.runtime.files import write_atomically
from figclip.runtime.reading import damage_named
from figclip.training.run_folder import RunFolder, data_before

_ROWS = tuple(field.name for field in fields(TextRows))
_OTHERS = ("text_bytes", "text_ends", "frame_videos", "frame_times_s")
_DAMAGED = "Delete the file to go on: it is made again."


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTexts:
    """Texts of a run, and what was drawn from its annotations besides.

    Attributes:
        data: `content_hash` of the videos.
        table: Captions and hard negatives.
        num_cut: Texts of the table that the text tower reads in part.
        kept_texts: What pictures are compared with; empty where they are compared with nothing.
        kept_frames: Frames of the training videos that stand in for pictures; empty for none.
    """

    data: str
    table: TextTable
    num_cut: int
    kept_texts: tuple[str, ...] = ()
    kept_frames: tuple[FrameRef, ...] = ()


def write_run_texts(run: RunFolder, texts: RunTexts) -> None:
    """Write them, whole or not at all; an `OutputError` if that fails."""
    strings = (*texts.table.texts, *texts.kept_texts)
    encoded = [text.encode("utf-8", "surrogatepass") for text in strings]
    arrays = {name: np.ascontiguousarray(getattr(texts.table.rows, name)) for name in _ROWS}
    arrays |= {
        "text_bytes": np.frombuffer(b"".join(encoded), np.uint8),
        "text_ends": np.cumsum([0, *map(len, encoded)], dtype=np.int64),
        "frame_videos": np.array([video for video, _ in texts.kept_frames], np.int64),
        "frame_times_s": np.array([time_s for _, time_s in texts.kept_frames], np.float64),
    }
    facts = {"data": texts.data, "num_cut": texts.num_cut, "kept_texts": len(texts.kept_texts)}
    # One entry: safetensors writes several in an order that changes.
    told = json.dumps({**facts, "check": _check(arrays, facts)})
    write_atomically(run.texts, save(arrays, metadata={"facts": told}))


def read_run_texts(run: RunFolder) -> RunTexts | None:
    """Those of a run that has checkpoints; None without one, or if an earlier version wrote it.

    Raises:
        CheckpointError: they are damaged, or of other data than the run.
    """
    before = data_before(run)
    if before is None or not run.texts.exists():
        return None
    with damage_named(run.texts, CheckpointError, fix=_DAMAGED, also=(Exception,)):
        texts = _read(run.texts)
        if texts.data != before["hash"]:
            raise ValueError("it is of other data")
        return texts


def _read(file: Path) -> RunTexts:
    """What a file holds, if its check says so."""
    with safe_open(file, framework="numpy") as opened:
        metadata: dict[str, str] = opened.metadata()
        arrays: dict[str, Any] = {name: opened.get_tensor(name) for name in (*_ROWS, *_OTHERS)}
    facts: dict[str, Any] = json.loads(metadata["facts"])
    if facts.pop("check") != _check(arrays, facts):
        raise ValueError("it does not match its check")
    whole, ends = arrays["text_bytes"].tobytes(), arrays["text_ends"].tolist()
    strings = tuple(
        whole[first:last].decode("utf-8", "surrogatepass")
        for first, last in zip(ends, ends[1:], strict=False)
    )
    num_texts = len(strings) - facts["kept_texts"]
    rows = TextRows(**{name: arrays[name] for name in _ROWS})
    frames = zip(arrays["frame_videos"].tolist(), arrays["frame_times_s"].tolist(), strict=True)
    return RunTexts(
        data=facts["data"],
        table=TextTable.restore(strings[:num_texts], rows),
        num_cut=facts["num_cut"],
        kept_texts=strings[num_texts:],
        kept_frames=tuple(frames),
    )


def _check(arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Hash of all of it."""
    digest = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16)
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
