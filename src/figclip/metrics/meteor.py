"""METEOR of sentences: our `meteor_exact`, or the official jar behind the same interface.

`meteor_exact` is METEOR 1.5 with exact matches only; it is not the official METEOR. Formula and
English parameters are METEOR 1.5's (Denkowski, Lavie, "Meteor Universal", 2014). It differs from
the official jar in what needs the jar's data: no matches of stems, synonyms or paraphrases, and all
words weigh the same (the jar weighs function words a third of others). It does not normalise
punctuation either: words are what `str.split` gives of the lower-cased text. Do not compare the
numbers of the two.

The official METEOR 1.5 is the jar that the package `pycocoevalcap` brings, run by Java, behind the
extra `figclip[metrics]`; nothing else needs Java. One process serves all pairs: it reads its 1 GB
of paraphrases once, in about 9 s.

Dense captions need the score of a pair (SODA), of pooled pairs (all of a video), and of pooled
paragraphs, each with the better one of its references.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from figclip.errors import MetricError
from figclip.metrics.caption_corpus import CaptionCorpus

_ALPHA, _BETA, _GAMMA = 0.85, 0.2, 0.6
_BEAM = 64
"""Partial alignments kept a word."""
_PLACES = 16
"""Places of the reference tried for a word: the one that goes on with its chunk, then the first."""


class MeteorStats(NamedTuple):
    """What METEOR counts of a pair of sentences, or of many pairs when added up.

    `chunks`: Number of runs of matched words that stand together in both sentences.
    """

    candidate_words: int
    reference_words: int
    matches: int
    chunks: int


def meteor_exact(stats: MeteorStats) -> float:
    """Score in [0, 1] of one pair, or of many pairs whose counts were added up.

    The mean of precision and recall, weighted towards recall, less a penalty for matched words that
    do not stand together. Without a match it is 0.
    """
    if not stats.matches:
        return 0.0
    precision = stats.matches / stats.candidate_words
    recall = stats.matches / stats.reference_words
    mean = precision * recall / (_ALPHA * precision + (1 - _ALPHA) * recall)
    is_same = precision == recall == stats.chunks == 1
    fragmentation = 0.0 if is_same else stats.chunks / stats.matches
    return mean * (1 - _GAMMA * fragmentation**_BETA)


@lru_cache(maxsize=100_000)
def meteor_exact_stats(candidate: str, reference: str) -> MeteorStats:
    """Counts of a candidate and a reference.

    As many words as possible are matched, each with an equal one; among such alignments one with
    the fewest chunks is sought, by a search that keeps 64 partial alignments a word and tries 16
    places of the reference for it.
    """
    words, its_words = candidate.lower().split(), reference.lower().split()
    shared = Counter(words) & Counter(its_words)
    return MeteorStats(
        candidate_words=len(words),
        reference_words=len(its_words),
        matches=shared.total(),
        chunks=_fewest_chunks(words, its_words, shared),
    )


def _fewest_chunks(words: list[str], its_words: list[str], shared: Counter[str]) -> int:
    """Chunks of an alignment that matches every shared word as often as `shared` says.

    Words of the candidate are matched or passed over one by one. Alignments that took the same
    places of the reference and ended at the same one go on alike: the one with fewer chunks stays.
    """
    places: dict[str, int] = dict.fromkeys(shared, 0)  # a bit a place
    for position, word in enumerate(its_words):
        if word in places:
            places[word] |= 1 << position
    counts = Counter(words)
    may_pass = {word: counts[word] - shared[word] for word in shared}
    met = dict.fromkeys(shared, 0)
    # Places taken and the one after the last match (0: the word before is not matched): chunks.
    alignments = {(0, 0): 0}
    for word in words:
        following: dict[tuple[int, int], int] = {}
        if word in places:
            for (taken, next_place), chunks in alignments.items():
                left = places[word] & ~taken
                if met[word] - (places[word] & taken).bit_count() < may_pass[word]:
                    _keep_fewer(following, (taken, 0), chunks)
                for _ in range(min(_PLACES, left.bit_count())):
                    place = left & next_place or left & -left
                    left ^= place
                    state = (taken | place, place << 1)
                    _keep_fewer(following, state, chunks + (place != next_place))
            met[word] += 1
        else:
            for (taken, _), chunks in alignments.items():
                _keep_fewer(following, (taken, 0), chunks)
        alignments = following
        if len(following) > _BEAM:
            alignments = dict(sorted(following.items(), key=itemgetter(1))[:_BEAM])
    return min(alignments.values())


def _keep_fewer(
    alignments: dict[tuple[int, int], int], state: tuple[int, int], chunks: int
) -> None:
    if chunks < alignments.get(state, chunks + 1):
        alignments[state] = chunks


@dataclass(frozen=True, slots=True, kw_only=True)
class Meteor:
    """A METEOR, with the names of its scores.

    `stats` counts each pair of a hypothesis and a reference, tokenised, a row per pair; `scores`
    scores each row, a pair's counts or the sum of several pairs'.
    """

    name: str
    soda_name: str
    stats: Callable[[Sequence[str], Sequence[str]], Float64[np.ndarray, "N C"]]
    scores: Callable[[Float64[np.ndarray, "N C"]], Float64[np.ndarray, " N"]]

    def of_groups(
        self, corpus: CaptionCorpus, group_M: Int64[np.ndarray, " M"]
    ) -> Float64[np.ndarray, " K"]:
        """Scores of the pooled counts of each group of captions."""
        num_sentences = len(corpus.sentences)
        key_M = corpus.candidate_M * num_sentences + corpus.reference_R
        pairs, pair_M = np.unique(key_M, return_inverse=True)
        hypotheses: list[int] = (pairs // num_sentences).tolist()
        references: list[int] = (pairs % num_sentences).tolist()
        stats_MC = self.stats(
            [corpus.sentences[index] for index in hypotheses],
            [corpus.sentences[index] for index in references],
        )[pair_M]
        pooled_KC = np.zeros((int(group_M.max()) + 1, stats_MC.shape[1]))
        np.add.at(pooled_KC, group_M, stats_MC)
        return self.scores(pooled_KC)

    def of_corpus(self, corpus: CaptionCorpus) -> float:
        """Score of the pooled counts of all captions, each with the reference that it meets best.

        Of references that score alike the first one counts.
        """
        hypotheses: list[int] = corpus.candidate_M[corpus.item_R].tolist()
        references: list[int] = corpus.reference_R.tolist()
        stats_RC = self.stats(
            [corpus.sentences[index] for index in hypotheses],
            [corpus.sentences[index] for index in references],
        )
        order_R = np.lexsort((-self.scores(stats_RC), corpus.item_R))
        best_M = order_R[corpus.first_reference_M]
        return float(self.scores(stats_RC[best_M].sum(axis=0, keepdims=True))[0])


def _exact_stats(
    hypotheses: Sequence[str], references: Sequence[str]
) -> Float64[np.ndarray, "N 4"]:
    """Counts of `MeteorStats`, in the order of its fields."""
    rows = list(map(meteor_exact_stats, hypotheses, references))
    stats_N4 = np.array(rows, np.float64).reshape(-1, 4)
    words_N2, matches_N, chunks_N = stats_N4[:, :2], stats_N4[:, 2], stats_N4[:, 3]
    chunks_N[_is_whole(words_N2, matches_N[:, None], chunks_N)] = 0
    return stats_N4


def _exact_scores(stats_N4: Float64[np.ndarray, "N 4"]) -> Float64[np.ndarray, " N"]:
    rows = stats_N4.astype(np.int64).tolist()
    return np.array([meteor_exact(MeteorStats(*row)) for row in rows], np.float64)


METEOR_EXACT = Meteor(
    name="meteor_exact", soda_name="soda_meteor_exact", stats=_exact_stats, scores=_exact_scores
)


def _is_whole(
    words_N2: Float64[np.ndarray, "N 2"],
    matches_NM: Float64[np.ndarray, "N M"],
    chunks_N: Float64[np.ndarray, " N"],
) -> Bool[np.ndarray, " N"]:
    """Whether both sentences match as a whole: the jar adds no chunk for such a pair to a sum."""
    return (matches_NM == words_N2).all(axis=1) & (chunks_N == 1)


_SEPARATOR = " ||| "
_NUM_STATS = 23


class OfficialMeteor:
    """A running METEOR jar: `with OfficialMeteor() as meteor: …`. Not safe for several threads.

    Sentences are given to it as pycocoevalcap gives them: tokenised and lower-cased by the caller.

    Raises:
        MetricError: `pycocoevalcap`, its jar or `java` is missing, or the jar stops.
    """

    def __init__(self) -> None:
        self._command, self._folder = _jar_command()

    def __enter__(self) -> OfficialMeteor:
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def stats(self, candidate: str, references: Sequence[str]) -> str:
        """The jar's 23 numbers of a candidate, with the reference with which it scores highest.

        `|||` in the candidate is left out, as pycocoevalcap does.

        Raises:
            MetricError: no reference, a sentence holds a line break, a reference `|||`: the jar
                reads lines with that separator. Or the jar stops.
        """
        candidate = candidate.replace("|||", "").replace("  ", " ")
        if not references or any("\n" in text or "\r" in text for text in (candidate, *references)):
            raise MetricError(
                "METEOR takes one line a sentence, and one reference at least",
                where=repr(candidate),
                fix="tokenise the sentences first",
            )
        if any("|||" in reference for reference in references):
            raise MetricError("a reference holds |||, which separates METEOR's references")
        self._write(_SEPARATOR.join(("SCORE", *references, candidate)))
        answer = self._read()
        if len(answer.split()) != _NUM_STATS:
            raise MetricError(f"the METEOR jar answers {answer!r} instead of {_NUM_STATS} numbers")
        return answer

    def scores(self, stats: Sequence[str]) -> tuple[list[float], float]:
        """Score of each pair, of which `stats` gave the numbers, and that of all of them added up.

        Raises:
            MetricError: the list is empty, or the jar stops.
        """
        if not stats:
            raise MetricError("there is no caption to score")
        self._write(_SEPARATOR.join(("EVAL", *stats)))
        return [float(self._read()) for _ in stats], float(self._read())

    def _write(self, line: str) -> None:
        try:
            self._stdin.write(line + "\n")
            self._stdin.flush()
        except BrokenPipeError as error:
            raise self._stopped() from error

    def _read(self) -> str:
        line = self._stdout.readline()
        if not line:
            raise self._stopped()
        return line.strip()

    def _stopped(self) -> MetricError:
        return MetricError(
            f"the METEOR jar stopped with exit code {self._process.wait()}",
            where=str(self._folder),
            fix="it needs 2 GB of memory; run the same command by hand to see why: "
            + " ".join(self._command),
        )


def _jar_command() -> tuple[list[str], Path]:
    package = find_spec("pycocoevalcap")
    if package is None or not package.submodule_search_locations:
        raise MetricError(
            "the official METEOR needs the package pycocoevalcap",
            fix="pip install 'figclip[metrics]', or use meteor_exact, which is another score",
        )
    folder = Path(package.submodule_search_locations[0]) / "meteor"
    if not (folder / "meteor-1.5.jar").is_file():
        raise MetricError("pycocoevalcap holds no METEOR jar", where=str(folder))
    java = shutil.which("java")
    if java is None:
        raise MetricError(
            "the official METEOR needs Java, and no `java` is on the PATH",
            fix="install a Java runtime, or use meteor_exact, which is another score",
        )
    options = ["-Xmx2G", "-jar", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"]
    return [java, *options], folder


def official_meteor_of(jar: OfficialMeteor) -> Meteor:
    """The METEOR that papers report, from a running jar."""

    def stats(hypotheses: Sequence[str], references: Sequence[str]) -> Float64[np.ndarray, "N 23"]:
        pairs = zip(hypotheses, references, strict=True)
        rows = [jar.stats(hypothesis, (reference,)).split() for hypothesis, reference in pairs]
        stats_NC = np.array(rows, np.float64).reshape(-1, _NUM_STATS)
        words_N2, chunks_N, matches_N2 = stats_NC[:, :2], stats_NC[:, -3], stats_NC[:, -2:]
        chunks_N[_is_whole(words_N2, matches_N2, chunks_N)] = 0
        return stats_NC

    def scores(stats_NC: Float64[np.ndarray, "N 23"]) -> Float64[np.ndarray, " N"]:
        rows = [" ".join(map(str, row)) for row in stats_NC.tolist()]
        return np.array(jar.scores(rows)[0] if rows else [], np.float64)

    return Meteor(name="METEOR", soda_name="SODA_c", stats=stats, scores=scores)
