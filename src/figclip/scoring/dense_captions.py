"""Scores of dense captions by the protocol of ActivityNet Captions.

Recall and precision of the spans, captions of all pairs that meet (CIDEr, BLEU-4, ROUGE-L, METEOR),
SODA, which takes the events in their order, and scores of all sentences of a video as a paragraph.
By default METEOR is `meteor_exact`, which needs no Java; with the official one, the scores are
named `METEOR` and `SODA_c`, and paragraphs have a METEOR, too.

Source: ttengwang/PDVC@0b025c8 densevid_eval3 (evaluate2018.py, eval_soda.py, para_evaluate.py),
fujiso/SODA@9cb3e2c.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64

from figclip.annotations.own_files import counted
from figclip.datasets.dense_captions import (
    CaptionedSpan,
    DenseCaptionPredictions,
    DenseCaptionReferences,
    outside_notice,
)
from figclip.datasets.records import LeftOut
from figclip.errors import DataError, shown
from figclip.metrics.dense_captions import (
    CaptionedSpanLists,
    SodaScores,
    caption_scores,
    order_by_start,
    soda,
)
from figclip.metrics.localisation import (
    OFFICIAL_EPSILON,
    TIOUS,
    Localisation,
    SpanLists,
    f1,
    localise,
    overlapping_pairs,
)
from figclip.metrics.meteor import METEOR_EXACT, Meteor
from figclip.metrics.paragraphs import ParagraphScores, paragraph_corpus, paragraph_scores
from figclip.metrics.ptb import tokenize
from figclip.runtime.files import write_atomically
from figclip.scoring.scores import PredictionScores, ScoredData
from figclip.tasks.base import ItemScores, Score

PROTOCOL = "dense_captions"
MAX_PROPOSALS = 1000

BLEU_DETAILS = ("BLEU-1", "BLEU-2", "BLEU-3")

_NOT_ASCII = re.compile("[^\x00-\x7f]")


def score_dense_captions(
    predictions: DenseCaptionPredictions,
    references: Sequence[DenseCaptionReferences],
    *,
    name: str,
    source: str,
    split: str | None,
    meteor: Meteor = METEOR_EXACT,
    max_proposals: int = MAX_PROPOSALS,
    is_partial: bool = False,
) -> PredictionScores:
    """Score predictions against one annotation or several of the same videos.

    All videos of the references count alike, one without predictions with 0. Only SODA's official
    score leaves that one out, and is the mean over annotations of their means over videos.
    Predicted videos that no annotation has are left out, as official.

    `name` and `source` are NAME and the name of PATH of `--data`; split None: all annotations.
    `meteor` scores the captions, also within SODA, and the official one paragraphs. Of each video
    the first `max_proposals` events count, in file order; in SODA and paragraphs all do. With
    `is_partial`, videos that the predictions do not name are left out; one that they name without
    any event still counts 0.

    Raises:
        DataError: No predicted event is of a video of the references.
        MetricError: The official METEOR cannot run.
    """
    videos = tuple(dict.fromkeys(video.id for each in references for video in each.videos))
    known = set(videos)
    if not any(predictions.events_by_video.get(video) for video in known):
        raise _nothing_to_score(predictions, known=videos[0], source=source)
    truth_hash = _hash(references)
    if is_partial:
        references = of_predicted_videos(references, predictions.events_by_video)
        videos = tuple(video for video in videos if video in predictions.events_by_video)
    missing = known.difference(videos)
    predicted = _captioned(predictions.events_by_video, videos)
    annotated = [
        _captioned({video.id: video.events for video in each.videos}, videos) for each in references
    ]
    measures = _measure(predicted, annotated, meteor=meteor, max_proposals=max_proposals)
    paragraphs = _paragraphs(predictions.events_by_video, references, videos, meteor=meteor)
    return PredictionScores(
        protocol=PROTOCOL,
        data=ScoredData(name=name, source=source, split=split, hash=truth_hash),
        counts={
            "videos": len(videos),
            "annotated events": sum(len(each.sentences) for each in annotated),
            "predicted events": len(predicted.sentences),
        },
        left_out=(
            *(
                LeftOut(item=video, reason="not in the references")
                for video in predictions.events_by_video
                if video not in known
            ),
            *(LeftOut(item=video, reason="no prediction") for video in sorted(missing)),
        ),
        scores={**_scores(measures, meteor), **_paragraph_scores(paragraphs)},
        items=(_items(measures, paragraphs, videos, meteor=meteor),),
        notices=(
            *_notices(
                predictions, references, predicted=predicted.spans, max_proposals=max_proposals
            ),
            *counted(len(missing), "video", f"of {len(known):,} without prediction: left out"),
        ),
    )


def of_predicted_videos(
    references: Sequence[DenseCaptionReferences], predicted: Collection[str]
) -> tuple[DenseCaptionReferences, ...]:
    """The annotations of some videos; those that hold none of them are left out."""
    parts = (
        replace(each, videos=tuple(one for one in each.videos if one.id in predicted))
        for each in references
    )
    return tuple(part for part in parts if part.videos)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measures:
    """All that is measured: by threshold, SODA by annotation; corrected without the epsilon."""

    captions: Mapping[str, Float64[np.ndarray, "T B"]]
    official: Sequence[Localisation]
    corrected: Sequence[Localisation]
    soda: Sequence[SodaScores]
    corrected_soda: Sequence[SodaScores]
    is_annotated: Sequence[Bool[np.ndarray, " B"]]

    @property
    def soda_B(self) -> Float64[np.ndarray, " B"]:
        """Corrected SODA of each video: the mean over the annotations that hold it."""
        total_B = np.sum([each.f1_B for each in self.corrected_soda], axis=0)
        return total_B / np.sum(self.is_annotated, axis=0)


def _measure(
    predicted: CaptionedSpanLists,
    annotated: Sequence[CaptionedSpanLists],
    *,
    meteor: Meteor,
    max_proposals: int,
) -> _Measures:
    first = predicted.take(_first_positions(predicted.spans, max_proposals))
    spans = [each.spans for each in annotated]
    official, corrected = (
        [localise(first.spans, spans, tiou=tiou, is_official=flag) for tiou in TIOUS]
        for flag in (True, False)
    )
    sodas = [_soda(predicted, each, meteor=meteor) for each in annotated]
    return _Measures(
        captions=caption_scores(first, annotated, meteor={meteor.name: meteor.of_groups}),
        official=official,
        corrected=corrected,
        soda=[each[0] for each in sodas],
        corrected_soda=[each[1] for each in sodas],
        is_annotated=[each.spans.count_B > 0 for each in annotated],
    )


def _soda(
    predicted: CaptionedSpanLists, annotated: CaptionedSpanLists, *, meteor: Meteor
) -> tuple[SodaScores, SodaScores]:
    """SODA with METEOR: official, and without the official epsilon."""
    predicted, annotated = (
        each.take(order_by_start(each.spans)) for each in (predicted, annotated)
    )
    pairs, exact_pairs = (
        overlapping_pairs(predicted.spans, annotated.spans, epsilon=epsilon)
        for epsilon in (OFFICIAL_EPSILON, 0.0)
    )
    # As official, the annotated sentence is the hypothesis: METEOR is not symmetric.
    meteor_N = meteor.scores(
        meteor.stats(
            [annotated.sentences[index] for index in pairs.reference_N.tolist()],
            [predicted.sentences[index] for index in pairs.prediction_N.tolist()],
        )
    )
    official, corrected = (
        soda(predicted.spans, annotated.spans, pairs=each, value_N=each.iou_N * meteor_N)
        for each in (pairs, exact_pairs)
    )
    return official, corrected


def _nothing_to_score(predictions: DenseCaptionPredictions, known: str, source: str) -> DataError:
    fix = f"Videos are named as {shown(known)} there"
    if predictions.events_by_video:
        fix += f", as {shown(next(iter(predictions.events_by_video)))} here"
    return DataError(
        f"no event of a video of {source} is predicted", where=predictions.name, fix=fix
    )


def _captioned(
    events_by_video: Mapping[str, Sequence[CaptionedSpan]], videos: Sequence[str]
) -> CaptionedSpanLists:
    """Events of the videos, in their order, with sentences as they are scored."""
    lists = [events_by_video.get(video, ()) for video in videos]
    events = list(chain.from_iterable(lists))
    spans = np.array([(event.start_s, event.end_s) for event in events], np.float64)
    counts = np.array([len(each) for each in lists], np.int64)
    # Each alone: in a few, tokens depend on the sentence behind, officially on the order of a set.
    sentences = tuple(tokenize([_NOT_ASCII.sub(" ", event.sentence)])[0] for event in events)
    return CaptionedSpanLists(SpanLists(spans.reshape(-1, 2), counts), sentences)


def _paragraphs(
    events_by_video: Mapping[str, Sequence[CaptionedSpan]],
    references: Sequence[DenseCaptionReferences],
    videos: Sequence[str],
    *,
    meteor: Meteor,
) -> ParagraphScores:
    """All sentences of a video as one text, in file order, as official."""
    annotated: dict[str, list[list[str]]] = {video: [] for video in videos}
    for each in references:
        for video in each.videos:
            annotated[video.id].append([event.sentence for event in video.events])
    corpus = paragraph_corpus(
        [[event.sentence for event in events_by_video.get(video, ())] for video in videos],
        list(annotated.values()),
    )
    return paragraph_scores(corpus, meteor=None if meteor is METEOR_EXACT else meteor)


def _first_positions(lists: SpanLists, num_kept: int) -> Int64[np.ndarray, " M"]:
    """Positions of the first spans of each video."""
    place_N = np.arange(len(lists.spans_N2)) - lists.first_B[lists.video_N]
    return np.flatnonzero(place_N < num_kept)


def _scores(measures: _Measures, meteor: Meteor) -> dict[str, Score]:
    """Means over thresholds and videos, then the means of each threshold."""
    captions = measures.captions
    soda_scores = Score(
        official=_mean(each.f1 for each in measures.soda),
        # The mean over videos, not over annotations: a video that only one of them holds would
        # weigh less than others, or more.
        corrected=float(measures.soda_B.mean()),
        is_headline=True,
    )
    scores = {
        "CIDEr": Score(official=float(captions["CIDEr"].mean()), is_headline=True),
        meteor.name: Score(official=float(captions[meteor.name].mean()), is_headline=True),
        meteor.soda_name: soda_scores,
        **{
            name: Score(official=float(captions[name].mean()), is_detail=name in BLEU_DETAILS)
            for name in ("BLEU-4", "ROUGE-L", *BLEU_DETAILS)
        },
        **_localisation_scores(measures.official, measures.corrected, at="", is_detail=False),
    }
    for row, tiou in enumerate(TIOUS):
        at = f", tIoU {tiou}"
        for name, score_TB in captions.items():
            scores[f"{name}{at}"] = Score(official=float(score_TB[row].mean()), is_detail=True)
        official, corrected = measures.official[row], measures.corrected[row]
        scores |= _localisation_scores([official], [corrected], at=at, is_detail=True)
    return scores


def _paragraph_scores(paragraphs: ParagraphScores) -> dict[str, Score]:
    scores = {"paragraph CIDEr": Score(official=float(paragraphs.cider_B.mean()))}
    if paragraphs.meteor is not None:
        scores["paragraph METEOR"] = Score(official=paragraphs.meteor)
    for n, value in reversed(list(enumerate(paragraphs.bleu_N.tolist(), start=1))):
        name = f"BLEU-{n}"
        scores[f"paragraph {name}"] = Score(official=value, is_detail=name in BLEU_DETAILS)
    return scores


def _localisation_scores(
    official: Sequence[Localisation], corrected: Sequence[Localisation], *, at: str, is_detail: bool
) -> dict[str, Score]:
    """Recall and precision, means over thresholds, and F1 of the two means."""
    recall, right_recall = (_mean(each.recall for each in one) for one in (official, corrected))
    precision, right_precision = (
        _mean(each.precision for each in one) for one in (official, corrected)
    )
    values = {
        "recall": (recall, right_recall),
        "precision": (precision, right_precision),
        "F1": (f1(precision, recall), f1(right_precision, right_recall)),
    }
    return {
        f"{name}{at}": Score(
            official=one,
            corrected=right,
            is_headline=name == "F1" and not is_detail,
            is_detail=is_detail,
        )
        for name, (one, right) in values.items()
    }


def _items(
    measures: _Measures, paragraphs: ParagraphScores, videos: Sequence[str], *, meteor: Meteor
) -> ItemScores:
    """Values of each video: means over thresholds, corrected where that differs."""
    values = {name: score_TB.mean(axis=0) for name, score_TB in measures.captions.items()}
    values["paragraph CIDEr"] = paragraphs.cider_B
    values[meteor.soda_name] = measures.soda_B
    values["recall"] = np.mean([each.recall_B for each in measures.corrected], axis=0)
    values["precision"] = np.mean([each.precision_B for each in measures.corrected], axis=0)
    ids = tuple(videos)
    return ItemScores(block="videos", item_ids=ids, group_ids=ids, values=values)


def _notices(
    predictions: DenseCaptionPredictions,
    references: Sequence[DenseCaptionReferences],
    *,
    predicted: SpanLists,
    max_proposals: int,
) -> tuple[str, ...]:
    durations = {video.id: video.duration_s for each in references for video in each.videos}
    spans = [
        (durations[video], events)
        for video, events in predictions.events_by_video.items()
        if video in durations
    ]
    num_missing = int((predicted.count_B == 0).sum())
    num_long = int((predicted.count_B > max_proposals).sum())
    return (
        *(f"{each.name}: {notice}" for each in references for notice in each.notices),
        *(
            f"{predictions.name}: {notice}"
            for notice in (*predictions.notices, *outside_notice(spans, "prediction"))
        ),
        *counted(
            num_missing, "video", "without predictions: 0, and not in the official mean of SODA"
        ),
        *counted(
            num_long,
            "video",
            f"with more than {max_proposals:,} predictions: the first ones count, all in SODA",
        ),
    )


def _hash(references: Sequence[DenseCaptionReferences]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for each in references:
        found.update(repr(each.videos).encode("utf-8", errors="surrogatepass"))
    return found.hexdigest()


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def write_captioning_predictions(
    path: Path, events_by_video: Mapping[str, Sequence[CaptionedSpan]], *, details: str
) -> None:
    """Write predictions so that the official evaluators read them.

    Raises:
        DataError: A time or score is not finite, which JSON cannot hold.
    """
    content = {
        "version": "VERSION 1.0",
        "results": {
            video: [_prediction_json(event) for event in events]
            for video, events in events_by_video.items()
        },
        "external_data": {"used": True, "details": details},
    }
    try:
        text = json.dumps(content, indent=1, allow_nan=False)
    except ValueError as error:
        raise DataError("a predicted time or score is not finite", where=str(path)) from error
    write_atomically(path, text + "\n")


def _prediction_json(event: CaptionedSpan) -> dict[str, object]:
    entry: dict[str, object] = {
        "sentence": event.sentence,
        "timestamp": [event.start_s, event.end_s],
    }
    return entry if event.score is None else {**entry, "score": event.score}
