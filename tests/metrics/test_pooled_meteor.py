from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from figclip.metrics.caption_corpus import CaptionCorpus
from figclip.metrics.meteor import (
    METEOR_EXACT,
    MeteorStats,
    OfficialMeteor,
    meteor_exact,
    meteor_exact_stats,
    official_meteor_of,
)


def test_exact_pairs_and_groups() -> None:
    hypotheses, references = (
        ["a dog bites", "a man", "a man", ""],
        ["the dog bites", "x", "a man", ""],
    )
    pairs = list(map(meteor_exact_stats, hypotheses, references))
    found = METEOR_EXACT.scores(METEOR_EXACT.stats(hypotheses, references))
    assert found.tolist() == pytest.approx([meteor_exact(pair) for pair in pairs])
    corpus = CaptionCorpus(hypotheses, [[reference] for reference in references])
    grouped = METEOR_EXACT.of_groups(corpus, np.array([1, 1, 0, 0]))
    pooled = meteor_exact(MeteorStats(*map(sum, zip(*pairs[:2], strict=True))))
    assert grouped.tolist() == pytest.approx([1, pooled])


def test_copies_of_several_sentences_score_1_together() -> None:
    texts = ["a dog bites a man", "a man walks", "one"]
    corpus = CaptionCorpus(texts, [[text] for text in texts])
    assert METEOR_EXACT.of_groups(corpus, np.zeros(3, np.int64)).tolist() == [1]
    # Simply added up, each sentence is a chunk.
    added = MeteorStats(*map(sum, zip(*map(meteor_exact_stats, texts, texts), strict=True)))
    assert meteor_exact(added) < 0.7


class FakeJar(OfficialMeteor):
    """METEOR's jar as far as it is used: matches are equal words at equal places."""

    def __init__(self) -> None: ...

    def stats(self, candidate: str, references: Sequence[str]) -> str:
        words, others = candidate.split(), references[0].split()
        matches = sum(one == other for one, other in zip(words, others, strict=False))
        row = [0.0] * 23
        row[0], row[1], row[20], row[21], row[22] = len(words), len(others), 1, matches, matches
        return " ".join(map(str, row))

    def scores(self, stats: Sequence[str]) -> tuple[list[float], float]:
        rows = np.array([row.split() for row in stats], np.float64)
        return (rows[:, 21] / rows[:, 0] - rows[:, 20] / 100).tolist(), 0.0


def test_the_official_meteor_has_names_of_its_own_and_pools_without_whole_chunks() -> None:
    meteor = official_meteor_of(FakeJar())
    assert (meteor.name, meteor.soda_name) == ("METEOR", "SODA_c")
    texts = ["a b c", "d e", "f g", "a b"]
    corpus = CaptionCorpus(texts, [["a b c"], ["d x"], ["f g"], ["a b c"]])
    found = meteor.of_groups(corpus, np.array([0, 0, 1, 1]))
    # Of each group one pair is whole and brings no chunk: 4 of 5 and 4 of 4 words, one chunk each.
    assert found.tolist() == pytest.approx([4 / 5 - 0.01, 4 / 4 - 0.01])
    assert meteor.scores(meteor.stats([], [])).shape == (0,)
