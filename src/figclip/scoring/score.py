"""Scores a file of predictions by the protocol of the benchmark that it is about."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from figclip.datasets.dense_captions import REFERENCE_READERS, read_predictions
from figclip.errors import ConfigError
from figclip.evaluation.sources import DataSource, parse_source
from figclip.metrics.meteor import METEOR_EXACT, Meteor, OfficialMeteor, official_meteor_of
from figclip.runtime.locks import one_writer
from figclip.scoring.dense_captions import score_dense_captions
from figclip.scoring.scores import PredictionScores, write_scores
from figclip.scoring.situation_files import (
    load_prediction_file,
    relation_predictions,
    role_predictions,
    verb_predictions,
)
from figclip.scoring.situation_sources import open_truth
from figclip.scoring.situations import score_relations, score_roles, score_verbs

_SCORED = ("vidsitu", "events", *REFERENCE_READERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredFile:
    """What `score_predictions` made."""

    scores: PredictionScores
    file: Path


@one_writer
def score_predictions(
    predictions: Path,
    *,
    data: str,
    out: Path,
    official_meteor: bool = False,
    is_partial: bool = False,
) -> ScoredFile:
    """Score a file of predictions, and write the scores.

    Args:
        predictions: In the benchmark's own format; of VidSitu, verbs, roles or relations, which its
            content tells.
        data: `NAME:PATH[,PATH][,split=S]`, where the ground truth is: `vidsitu:DIR`,
            `events:FILE`, a frame store of either, `activitynet:DIR`, `youcook2:DIR`, or one or
            several files of the last two.
        out: Folder of the result, made if it is not there.
        official_meteor: For dense captions, `METEOR` and `SODA_c` instead of `meteor_exact` and
            `soda_meteor_exact`. Needs Java and `figclip[metrics]`.
        is_partial: Score the videos that are predicted and leave the others out. Else situations
            refuse such a file, and dense captions count 0 for them. The annotators of situations
            are those of the whole split all the same.

    Raises:
        ConfigError: Data that no prediction files are scored on, or options that do not go with it.
        PredictionError, AnnotationError: Lists every problem of a file.
        DataError, MetricError: There is nothing to score.
    """
    sources = _parse(data)
    name = sources[0].name
    has_sentences = name in REFERENCE_READERS
    if official_meteor and not has_sentences:
        what = f"{name} is not scored by METEOR"
        raise ConfigError(what, where=f"--data {data}", fix="Leave --official-meteor out")
    if not has_sentences:
        scores = _score_situations(predictions, sources, is_partial=is_partial)
    else:
        with OfficialMeteor() if official_meteor else nullcontext() as jar:
            meteor = METEOR_EXACT if jar is None else official_meteor_of(jar)
            scores = _score_dense_captions(
                predictions, sources, is_partial=is_partial, meteor=meteor
            )
    return ScoredFile(scores=scores, file=write_scores(scores, out, predictions=predictions))


def _parse(text: str) -> list[DataSource]:
    """The sources that `--data` names: one NAME, one split, one path or several."""
    where = f"--data {text}"
    first, *parts = text.split(",")
    name, colon, _ = first.partition(":")
    options = [part for part in parts if "=" in part]
    paths = [first, *(f"{name}{colon}{part}" for part in parts if "=" not in part)]
    sources = [parse_source(",".join([path, *options])) for path in paths]
    if name not in _SCORED:
        what = f"no prediction files are scored on {name}"
        raise ConfigError(what, where=where, fix=f"Scored are {', '.join(_SCORED)}")
    if len(sources) > 1 and name not in REFERENCE_READERS:
        raise ConfigError(f"{name} has one path", where=where, fix="Leave the others out")
    if sources[0] != DataSource(name=name, path=sources[0].path, split=sources[0].split):
        raise ConfigError(
            "only split= goes with predictions", where=where, fix="Leave the rest out"
        )
    return sources


def _score_situations(
    predictions: Path, sources: Sequence[DataSource], *, is_partial: bool
) -> PredictionScores:
    (source,) = sources
    file = load_prediction_file(predictions, is_partial=is_partial)
    truth = open_truth(source, parts=(file.part,))
    if file.part == "verbs":
        return score_verbs(truth, verb_predictions(file, truth))
    if file.part == "roles":
        return score_roles(truth, role_predictions(file, truth))
    return score_relations(truth, relation_predictions(file, truth))


def _score_dense_captions(
    predictions: Path, sources: Sequence[DataSource], *, is_partial: bool, meteor: Meteor
) -> PredictionScores:
    name = sources[0].name
    return score_dense_captions(
        read_predictions(predictions),
        [one for source in sources for one in REFERENCE_READERS[name](source.path, source.split)],
        name=name,
        source=", ".join(source.path.name for source in sources),
        split=sources[0].split,
        meteor=meteor,
        is_partial=is_partial,
    )
