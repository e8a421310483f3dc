"""Scores of paragraphs: all sentences of a video, one behind the other, as one text.

Source: ttengwang/PDVC@0b025c8 densevid_eval3/para_evaluate.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from figclip.metrics.caption_corpus import CaptionCorpus
from figclip.metrics.caption_scores import bleu, cider_d_by_group
from figclip.metrics.meteor import Meteor

_NO_LETTERS = re.compile("[^a-zA-Z]+")


def paragraph(sentences: Iterable[str]) -> str:
    """The words of all sentences, lower-cased, in their order; what is no letter parts words."""
    return _NO_LETTERS.sub(" ", " ".join(sentences)).strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParagraphScores:
    """Scores of B videos, of which CIDEr's is the mean.

    BLEU (column n - 1 is BLEU-n) and METEOR are of the pooled counts of all videos. METEOR is None
    where it was not asked for.
    """

    cider_B: Float64[np.ndarray, " B"]
    bleu_N: Float64[np.ndarray, " 4"]
    meteor: float | None


def paragraph_scores(corpus: CaptionCorpus, *, meteor: Meteor | None) -> ParagraphScores:
    """Scores of paragraphs, an item a video.

    The IDF of CIDEr is counted over the paragraphs of all videos. CIDEr is 0 where no reference
    holds a word, which stops the official evaluator. `meteor_exact` takes seconds for a paragraph
    of hundreds of words, and is to be compared with nobody's number.
    """
    cider_B = cider_d_by_group(corpus, np.zeros(len(corpus), np.int64))
    return ParagraphScores(
        cider_B=np.nan_to_num(cider_B),
        bleu_N=bleu(corpus).corpus_N,
        meteor=None if meteor is None else meteor.of_corpus(corpus),
    )


def paragraph_corpus(
    predicted: Sequence[Sequence[str]], annotated: Sequence[Sequence[Sequence[str]]]
) -> CaptionCorpus:
    """The paragraphs of videos: the sentences of each, and those of each of its annotations."""
    return CaptionCorpus(
        [paragraph(one) for one in predicted],
        [[paragraph(one) for one in of_video] for of_video in annotated],
    )
