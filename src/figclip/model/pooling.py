"""How the frames of a clip become one embedding, and which way fits which texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, get_args

from torch import Tensor
from torch.nn.functional import normalize

from figclip.errors import ConfigError

Pooling = Literal["mean", "vc", "both"]
"""The mean of the frames, the Video Contextualizer's output, or the mean of these two."""

PoolingOption = Literal["mean", "vc", "both", "auto"]
"""As `Pooling`; `auto` is what fits the texts, as adaptation measured it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPooling:
    """What each pooling scores in [0, 1] on held-back events, for one wording of them.

    `words` is the median number of words.
    """

    words: float
    mean: float
    vc: float
    both: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPooling:
    """Which pooling fits which texts: short ones the mean, long ones perhaps another.

    The paper finds the contextualizer good for dense captions and bad for short ones (FiGCLIP,
    arXiv 2401.07669); from how many words on it is good is measured in every adaptation.

    Attributes:
        from_words: Texts of so many words or more are long; None: none are.
        long: What finds most for long texts.
        contrast: What best tells long texts about one video apart.
        measured: What was measured, by the wording.
    """

    from_words: int | None
    long: Pooling = "mean"
    contrast: Pooling = "mean"
    measured: Mapping[str, MeasuredPooling] = field(default_factory=dict[str, MeasuredPooling])

    @property
    def sentence(self) -> str:
        """What was found, with a number."""
        if self.from_words is None:
            return "Pooling: the mean of frames fits texts of every length"
        said = f"Pooling: texts of {self.from_words} words or more find most by {self.long}"
        if (dense := self.measured.get("dense captions")) is not None:
            before, after = 100 * dense.mean, 100 * getattr(dense, self.long)
            said += f" (dense captions: {before:.1f} → {after:.1f} %)"
        return f"{said}; --pooling auto uses it"

    def fit(self, texts: Sequence[str], *, contrast: bool = False) -> Pooling:
        """What fits texts that are compared with the same clips: by the median of their words.

        `contrast`: They are compared with each other, on one clip at a time.
        """
        if self.from_words is None or not texts or median(map(num_words, texts)) < self.from_words:
            return "mean"
        return self.contrast if contrast else self.long


def num_words(text: str) -> int:
    """Words of a text, as spaces part them."""
    return len(text.split())


def mean_of_both(mean_ND: Tensor, vc_ND: Tensor) -> Tensor:
    """The pooling `both`, of the other two; all rows have length 1."""
    return normalize(mean_ND + vc_ND, dim=-1)


def find_pooling(name: str) -> PoolingOption:
    """A pooling by name; a `ConfigError` that lists them if there is no such."""
    for option in get_args(PoolingOption):
        if name == option:
            return option
    fix = f"Poolings are {', '.join(get_args(PoolingOption))}"
    raise ConfigError(f"unknown pooling {name!r}", where="--pooling", fix=fix)
