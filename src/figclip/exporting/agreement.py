"""Whether a library that loads an export sees what figclip sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from figclip.errors import ModelError
from figclip.model.figclip import FiGCLIP

MAX_DIFFERENCE = 1e-5
"""Of one number of a normalised embedding, in fp32."""

MIN_COSINES = {"fp16": 0.999, "int8": 0.99}
"""Of embeddings of fewer bits with those in fp32."""

MIN_RESIZED_COSINE = 0.99
"""Of pictures that are resized first: libraries differ in rounding and in crops of odd margins."""

TEXTS = (
    "a man pushes a woman",
    "A Dog,  biting the man!",
    "In this photo, the action is walk, the walker is man with short hair wearing collared shirt, "
    "direction is forward, manner is slowly, scene is apartment. " * 3,
)
"""Short, with capitals and two spaces, and longer than any context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """An export as its library loads it.

    Attributes:
        precision: `fp32`, `fp16` or `int8`.
        embed_images: Pictures to embeddings, by the library's own preprocessing; of any length.
        embed_texts: Texts to embeddings, by the library's own tokenizer; of any length.
    """

    precision: str
    embed_images: Callable[[Sequence[Image.Image]], Tensor]
    embed_texts: Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How near the library's embeddings are to figclip's.

    Attributes:
        max_difference: Largest difference of one number of a normalised embedding.
        min_cosine: Lowest cosine of two embeddings of the same thing.
        resized_cosine: The same, of a picture that is resized and cropped first.
    """

    precision: str
    max_difference: float
    min_cosine: float
    resized_cosine: float

    @property
    def holds(self) -> bool:
        """Whether it is near enough."""
        if not self.resized_cosine >= MIN_RESIZED_COSINE:
            return False
        if self.precision == "fp32":
            return self.max_difference <= MAX_DIFFERENCE
        return self.min_cosine >= MIN_COSINES[self.precision]

    def __str__(self) -> str:
        return (
            f"{self.precision}: embeddings differ by at most {self.max_difference:.1e}, cosine at "
            f"least {self.min_cosine:.6f} ({self.resized_cosine:.6f} for a resized picture)"
        )


def check_agreement(model: FiGCLIP, loaded: Loaded, *, where: str) -> Agreement:
    """Compare the embeddings of fixed pictures and texts.

    Raises:
        ModelError: they differ by more than rounding explains.
    """
    pictures, large = _pictures(model.backbone.preprocessing.image_size)
    expected = torch.cat([model.encode_image(pictures), model.encode_text(TEXTS)])
    with torch.inference_mode():
        found_PD = _normalised(loaded.embed_images(pictures))
        found_TD = _normalised(loaded.embed_texts(TEXTS))
        resized_D = _normalised(loaded.embed_images([large]))[0]
    found = torch.cat([found_PD, found_TD])
    agreement = Agreement(
        precision=loaded.precision,
        max_difference=float((found - expected).abs().max()),
        min_cosine=float((found * expected).sum(dim=1).min()),
        resized_cosine=float(resized_D @ model.encode_image([large])[0]),
    )
    if not agreement.holds:
        raise ModelError(
            f"is not the same model when its library loads it: {agreement}",
            where=where,
            fix="Nothing was written. Try another version of the library, and report it",
        )
    return agreement


def _pictures(size: int) -> tuple[list[Image.Image], Image.Image]:
    """Pictures of the tower's own size, and a larger one that is smooth as photographs are."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    coarse = generator.integers(0, 256, (8, 12, 3), dtype=np.uint8)
    shape = (3 * size, 2 * size)
    large = Image.fromarray(coarse).resize(shape, Image.Resampling.BICUBIC)
    smooth = large.resize((size, size), Image.Resampling.BICUBIC)
    return [*map(Image.fromarray, noise), smooth], large


def _normalised(rows_ND: Tensor) -> Float32[Tensor, "N D"]:
    """Rows of length 1, on the CPU."""
    return normalize(rows_ND.detach().float().cpu(), dim=-1)
