"""Sentences about one picture or clip, as the base and the adapted model see them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from figclip.demo.media import Medium
from figclip.errors import ConfigError
from figclip.model.figclip import FiGCLIP
from figclip.search.counterparts import Counterpart, counterparts_of

MAX_SENTENCES, MAX_SENTENCE_CHARS = 12, 500
_MAX_REMEMBERED = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a model makes of one of several sentences.

    Attributes:
        similarity: Cosine of the sentence and the picture.
        share: By how much it is the right one of them: softmax at the model's own temperature.
        margin: What `similarity` is above the best of the others; None if there is no other.
    """

    similarity: float
    share: float
    margin: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceScores:
    """A sentence with both scores, and what one click turns it into."""

    text: str
    base: Score
    adapted: Score
    counterparts: tuple[Counterpart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All sentences in their order; `base_choice` and `adapted_choice` are positions in it."""

    sentences: tuple[SentenceScores, ...]
    base_choice: int
    adapted_choice: int
    num_cut: int


class Comparer:
    """Two models that see the same things; what they saw last is remembered."""

    def __init__(self, base: FiGCLIP, adapted: FiGCLIP) -> None:
        self.base, self.adapted = base, adapted
        self._seen: OrderedDict[Medium, tuple[Tensor, Tensor]] = OrderedDict()

    def compare(self, medium: Medium, sentences: Sequence[str]) -> Comparison:
        """Score sentences about a picture or clip.

        Raises:
            VideoError: it cannot be read.
        """
        base_N, adapted_N = (
            self._scores(model, seen_D, sentences)
            for model, seen_D in zip((self.base, self.adapted), self._see(medium), strict=True)
        )
        rows = tuple(
            SentenceScores(
                text=text,
                base=base,
                adapted=adapted,
                counterparts=tuple(
                    one for one in counterparts_of(text) if one.text not in sentences
                ),
            )
            for text, base, adapted in zip(sentences, base_N, adapted_N, strict=True)
        )
        positions = range(len(rows))
        return Comparison(
            sentences=rows,
            base_choice=max(positions, key=lambda one: base_N[one].similarity),
            adapted_choice=max(positions, key=lambda one: adapted_N[one].similarity),
            num_cut=self.adapted.backbone.count_cut(list(sentences)),
        )

    def _see(self, medium: Medium) -> tuple[Tensor, Tensor]:
        """Embeddings of a picture or clip by both models."""
        if medium not in self._seen:
            base_D, adapted_D = (_embed(one, medium) for one in (self.base, self.adapted))
            self._seen[medium] = base_D, adapted_D
            if len(self._seen) > _MAX_REMEMBERED:
                self._seen.popitem(last=False)
        return self._seen[medium]

    def _scores(self, model: FiGCLIP, seen_D: Tensor, sentences: Sequence[str]) -> list[Score]:
        """What one model makes of each."""
        similarity_N = model.encode_text(sentences) @ seen_D
        scale = model.backbone.logit_scale.item()
        shares = torch.softmax(similarity_N * scale, dim=0).tolist()
        found: list[float] = similarity_N.tolist()
        others = [[*found[:n], *found[n + 1 :]] for n in range(len(found))]
        return [
            Score(similarity=one, share=share, margin=one - max(rest) if rest else None)
            for one, share, rest in zip(found, shares, others, strict=True)
        ]


def _embed(model: FiGCLIP, medium: Medium) -> Tensor:
    """A picture, or frames of a span as their mean: what plain sentences are compared with."""
    if medium.span_s is None:
        return model.encode_image([medium.path])[0]
    return model.encode_video([medium.path], spans=[medium.span_s], pooling="mean")[0]


def sentences_of(text: str) -> list[str]:
    """The lines of a text that are not blank, each once.

    Raises:
        ConfigError: none, too many, or one too long.
    """
    lines = list(dict.fromkeys(" ".join(line.split()) for line in text.splitlines()))
    sentences = [line for line in lines if line]
    if not sentences:
        raise ConfigError("There is no sentence yet", fix="Write what happens, one sentence a line")
    if len(sentences) > MAX_SENTENCES:
        raise ConfigError(
            f"{len(sentences):,} sentences are too many", fix=f"Compare at most {MAX_SENTENCES}"
        )
    if any(len(one) > MAX_SENTENCE_CHARS for one in sentences):
        raise ConfigError(
            f"A sentence is longer than {MAX_SENTENCE_CHARS} characters", fix="Shorten it"
        )
    return sentences
