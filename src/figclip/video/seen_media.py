"""Images and videos that made a model what it is, known by their content wherever they lie."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenMedia:
    """What a model was trained on, and what chose it.

    Attributes:
        trained_on: `medium_hash` of each image and video that it was trained on.
        validated_on: That of each that chose its checkpoint.
        selected_on: That of each that chose its strength; and for each set of which one half did,
            its `evaluation.selection_split.items_hash`.
        is_whole: False where more was seen than is known: folders of earlier versions do not say.
    """

    trained_on: frozenset[str] = frozenset()
    validated_on: frozenset[str] = frozenset()
    selected_on: frozenset[str] = frozenset()
    is_whole: bool = True

    def __or__(self, other: SeenMedia) -> SeenMedia:
        return SeenMedia(
            trained_on=self.trained_on | other.trained_on,
            validated_on=self.validated_on | other.validated_on,
            selected_on=self.selected_on | other.selected_on,
            is_whole=self.is_whole and other.is_whole,
        )


def medium_hash(key: str) -> str:
    """Short name of an image or video by the content of its file; of a part, of the whole file.

    Args:
        key: SHA-256 of the file, or `decoding.clip_key`.

    Returns:
        16 hex digits: short, as a model folder may hold thousands.
    """
    file_hash = key.partition("#")[0]
    return hashlib.blake2b(file_hash.encode(), digest_size=8).hexdigest()
