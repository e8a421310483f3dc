"""Indexes written by hand: what each window shows is said by a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from figclip.model.context_embedder import long_text_identity
from figclip.model.embedder import model_identity
from figclip.model.figclip import FiGCLIP
from figclip.search.index_file import IndexedFile, IndexedVideo, IndexSpec, IndexWriter


def write_index(
    path: Path,
    model: FiGCLIP,
    shown: Mapping[str, Sequence[str]],
    *,
    folder: str = "/videos",
    in_context: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Windows of 2 s every second; the embedding of each is that of the text it shows.

    Videos are FOLDER/NAME, and their content is known by their name up to a `+`: `a.mp4+copy.mp4`
    is two files. `in_context` is what each window shows to the model's contextualizer.
    """

    def embed(texts: Sequence[str]) -> np.ndarray:
        # One by one: in a batch, equal texts may differ in the last bit.
        return np.concatenate([model.encode_text([text]).numpy() for text in texts])

    spec = IndexSpec(
        model=str(path.parent / "no-such-model"),
        model_hash=model_identity(model.backbone),
        pipeline="pil",
        dim=model.backbone.dim,
        context_hash="" if in_context is None else long_text_identity(model),
        precision=model.backbone.resolved_precision,
    )
    with IndexWriter(path, spec=spec) as writer:
        for names, texts in shown.items():
            starts = np.arange(len(texts), dtype=np.int64) * 1_000_000
            video = IndexedVideo(
                hash="hash of " + names.encode("ascii", "backslashreplace").decode(),
                duration_s=len(texts) + 1.0,
                spans_us=np.stack([starts, starts + 2_000_000], axis=1),
                vectors_ND=embed(texts),
                context_ND=None if in_context is None else embed(in_context[names]),
                thumbnails=tuple(_jpeg(number) for number in range(len(texts))),
            )
            writer.add_video(video)
            for name in names.split("+"):
                writer.set_file(_indexed(Path(folder, name), video.hash))
    return path


def _indexed(path: Path, video_hash: str) -> IndexedFile:
    """A file as it is, if it is there."""
    status = path.stat() if path.exists() else None
    return IndexedFile(
        path=path,
        num_bytes=status.st_size if status else 1,
        mtime_ns=status.st_mtime_ns if status else 1,
        hash=video_hash,
    )


def _jpeg(number: int) -> bytes:
    """A grey picture, brighter with the number."""
    content = BytesIO()
    Image.new("RGB", (32, 18), (20 * number % 256,) * 3).save(content, "JPEG")
    return content.getvalue()
