"""Caption scores and tokens against the official evaluators' (tests/goldens/README.md)."""

from __future__ import annotations

import numpy as np
import pytest

from figclip.errors import MetricError
from figclip.metrics.caption_corpus import CaptionCorpus
from figclip.metrics.caption_scores import bleu, cider_d, rouge_l
from figclip.metrics.meteor import OfficialMeteor, meteor_exact_stats
from figclip.metrics.ptb import tokenize
from tests.golden_checks import Case, close

# Positions in the jar's 23 numbers.
_LENGTHS, _INEXACT, _CHUNKS, _MATCHES = slice(0, 2), slice(8, 20), 20, 21


def check_caption_metrics(case: Case) -> None:
    expected = case["expected"]
    corpus = CaptionCorpus(case["inputs"]["hypotheses"], case["inputs"]["references"])
    if isinstance(expected["cider"], dict):  # it stops
        with pytest.raises(MetricError, match="no reference of the chosen captions holds a word"):
            cider_d(corpus)
    else:
        close(cider_d(corpus), expected["cider_items"])
        close(cider_d(corpus).mean(), expected["cider"])
    scores = bleu(corpus)
    for column in range(4):
        close(scores.corpus_N[column], expected[f"bleu_{column + 1}"])
        close(scores.items_MN[:, column], expected[f"bleu_{column + 1}_items"])
    close(rouge_l(corpus), expected["rouge_l_items"])
    close(rouge_l(corpus).mean(), expected["rouge_l"])


def check_tokens(case: Case) -> None:
    found = tokenize(case["inputs"])
    wrong = [
        (text, tokens, official)
        for text, tokens, official in zip(case["inputs"], found, case["expected"], strict=True)
        if tokens != official
    ]
    assert not wrong


def check_exact_matches(case: Case) -> int:
    """Our counts of pairs that the jar matched exactly only; how many pairs these are.

    Where the jar's normalisation splits a word, or it finds stems, synonyms or paraphrases, its
    counts and ours differ by definition.
    """
    num_compared = 0
    for pair, line in zip(case["inputs"], case["expected"]["stats"], strict=True):
        official = np.array(line.split(), np.float64)
        if len(pair["references"]) > 1 or official[_INEXACT].any():
            continue
        found = meteor_exact_stats(pair["hypothesis"], *pair["references"])
        lengths = (found.candidate_words, found.reference_words)
        if tuple(official[_LENGTHS]) != lengths:
            continue
        num_compared += 1
        assert (found.matches, found.chunks) == (official[_MATCHES], official[_CHUNKS]), pair
    return num_compared


def check_official_meteor(meteor: OfficialMeteor, case: Case) -> None:
    stats = [meteor.stats(pair["hypothesis"], pair["references"]) for pair in case["inputs"]]
    assert stats == case["expected"]["stats"]
    each, together = meteor.scores(stats)
    close(each, case["expected"]["scores"])
    close(together, case["expected"]["score"])
