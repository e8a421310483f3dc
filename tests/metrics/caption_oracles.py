"""Caption scores the slow and plain way: one item, one n-gram, one alignment at a time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

Gram = tuple[str, ...]


def grams(text: str, n: int) -> Counter[Gram]:
    words = text.split()
    return Counter(tuple(words[start : start + n]) for start in range(len(words) - n + 1))


def slow_cider_d(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    documents: Counter[Gram] = Counter()
    for own in references:
        documents.update({gram for text in own for n in (1, 2, 3, 4) for gram in grams(text, n)})

    def weight(gram: Gram, count: int) -> float:
        return count * math.log(len(references) / max(1, documents[gram]))

    def norm(counts: Counter[Gram]) -> float:
        return math.sqrt(sum(weight(gram, count) ** 2 for gram, count in counts.items()))

    scores: list[float] = []
    for candidate, own in zip(candidates, references, strict=True):
        total = 0.0
        for reference in own:
            difference = grams(candidate, 2).total() - grams(reference, 2).total()
            for n in (1, 2, 3, 4):
                mine, other = grams(candidate, n), grams(reference, n)
                dot = sum(
                    min(weight(gram, count), weight(gram, other[gram])) * weight(gram, other[gram])
                    for gram, count in mine.items()
                )
                if norms := norm(mine) * norm(other):
                    total += dot / norms * math.exp(-(difference**2) / 72) / 4
        scores.append(10 * total / len(own))
    return scores


def slow_bleu(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """BLEU 1 … 4 of the corpus."""
    words = closest = 0
    hits, guesses = [0] * 4, [0] * 4
    for candidate, own in zip(candidates, references, strict=True):
        length = len(candidate.split())
        lengths = [len(reference.split()) for reference in own]
        words += length
        closest += min(lengths, key=lambda other: (abs(other - length), other))
        for n in (1, 2, 3, 4):
            most: Counter[Gram] = Counter()
            for reference in own:
                most |= grams(reference, n)
            hits[n - 1] += (grams(candidate, n) & most).total()
            guesses[n - 1] += max(0, length - n + 1)
    ratio = (words + 1e-15) / (closest + 1e-9)
    brevity = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    product, scores = 1.0, list[float]()
    for n in (1, 2, 3, 4):
        product *= (hits[n - 1] + 1e-15) / (guesses[n - 1] + 1e-9)
        scores.append(product ** (1 / n) * brevity)
    return scores


def slow_rouge_l(candidate: str, references: Sequence[str]) -> float:
    mine = candidate.split(" ")
    pairs = [(common_words(mine, text.split(" ")), len(text.split(" "))) for text in references]
    precision = max(common / len(mine) for common, _ in pairs)
    recall = max(common / length for common, length in pairs)
    if not precision or not recall:
        return 0.0
    return (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision)


def common_words(words: Sequence[str], others: Sequence[str]) -> int:
    table = [[0] * (len(others) + 1) for _ in range(len(words) + 1)]
    for row, word in enumerate(words):
        for column, other in enumerate(others):
            table[row + 1][column + 1] = (
                table[row][column] + 1
                if word == other
                else max(table[row][column + 1], table[row + 1][column])
            )
    return table[-1][-1]


def fewest_chunks(words: Sequence[str], others: Sequence[str]) -> int:
    """Over all alignments with as many matches as possible; only for short sentences."""
    num_matches = (Counter(words) & Counter(others)).total()

    def extend(position: int, taken: frozenset[int], last: int, matches: int) -> float:
        if position == len(words):
            return 0 if matches == num_matches else math.inf
        passed = extend(position + 1, taken, -2, matches)
        matched = (
            (place != last + 1) + extend(position + 1, taken | {place}, place, matches + 1)
            for place, other in enumerate(others)
            if other == words[position] and place not in taken
        )
        return min(passed, *matched, math.inf)

    return int(extend(0, frozenset(), -2, 0))
