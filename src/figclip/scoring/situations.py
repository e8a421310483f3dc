"""Score predicted verbs, roles and event relations by VidSitu's own evaluator, quirks included.

Prediction files and our own heads are scored by these functions. Where the evaluator is plainly
wrong, a corrected score stands beside its own, see docs/situations.md.

Source:
    github.com/TheShadow29/VidSitu @ b794988, `vidsitu_code/evl_fns.py` (roles: `EvalFnCap`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from figclip.annotations.own_files import counted
from figclip.annotations.roles import short_role
from figclip.datasets.records import LeftOut
from figclip.datasets.situations import (
    NUM_KEPT,
    UNSCORED_ROLES,
    Part,
    SituationTruth,
    TrueEvent,
    TrueVideo,
    kept_annotations,
    related_events,
)
from figclip.errors import MetricError
from figclip.metrics.caption_corpus import CaptionCorpus
from figclip.metrics.coreference import CoreferenceVideo, coreference_f1
from figclip.metrics.situations import (
    MIN_AGREEING,
    NUM_RANKS,
    RECALL_THRESHOLD,
    GroupScores,
    RelationScores,
    TextScores,
    VerbScores,
    all_events_hit,
    judge_relations,
    judge_verbs,
    score_groups,
    score_texts,
)
from figclip.scoring.scores import PredictionScores, ScoredData
from figclip.scoring.situation_files import (
    PredictedEvent,
    Prediction,
    Predictions,
    RelationPrediction,
    RolePrediction,
    VerbPrediction,
)
from figclip.tasks.base import ItemScores, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class _RoleVideo:
    """One video: its annotations that count, and what was predicted, empty when nothing was."""

    video: TrueVideo
    kept: tuple[tuple[TrueEvent, ...], ...]
    events: tuple[PredictedEvent, ...]

    def texts(self, event_idx: int) -> Mapping[str, str]:
        """Predicted texts of an event by short name of the role."""
        return self.events[event_idx].texts if self.events else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class _RoleItem:
    """A role of an event, `Arg1 (vehicle or path)`, with what is predicted (or empty) and true."""

    video_idx: int
    event_name: str
    name: str
    verb_id: str
    candidate: str
    references: tuple[str, ...]


def _role_items(videos: Sequence[_RoleVideo]) -> list[_RoleItem]:
    """All roles that are scored, in the order of the videos, events and roles."""
    items: list[_RoleItem] = []
    for video_idx, one in enumerate(videos):
        for event_idx, event in enumerate(one.kept[0]):
            for name in _scored_names(event):
                given = (events[event_idx].roles.get(name) for events in one.kept)
                items.append(
                    _RoleItem(
                        video_idx=video_idx,
                        event_name=one.video.event_names[event_idx],
                        name=name,
                        verb_id=event.verb_id,
                        candidate=one.texts(event_idx).get(short_role(name), ""),
                        references=tuple(text for text in given if text is not None),
                    )
                )
    return items


def _coreference_videos(
    videos: Sequence[_RoleVideo],
    *,
    annotator: int,
    cider_of_video: Sequence[Mapping[str, float]],
    with_empty: bool,
) -> list[CoreferenceVideo]:
    """The mentions of each video by one annotator, where there is one, and of the prediction."""
    compared: list[CoreferenceVideo] = []
    for one, cider in zip(videos, cider_of_video, strict=True):
        # Officially, videos of which nothing was predicted do not count.
        if annotator >= len(one.kept) or not (one.events or with_empty):
            continue
        mentions = [
            (
                _mention(one.video.event_names[idx], name),
                event.roles[name],
                one.texts(idx).get(short_role(name)),
            )
            for idx, event in enumerate(one.kept[annotator])
            for name in _scored_names(event)
        ]
        compared.append(
            CoreferenceVideo(
                true=[(mention, text) for mention, text, _ in mentions],
                predicted=[(mention, text) for mention, _, text in mentions if text is not None],
                cider=cider,
            )
        )
    return compared


def _scored_names(event: TrueEvent) -> list[str]:
    """The roles of an event that count, by full name."""
    return [name for name in event.roles if short_role(name) not in UNSCORED_ROLES]


def _mention(event_name: str, name: str) -> str:
    """Name of a role in co-reference: `Ev1_Arg1`."""
    return f"{event_name}_{short_role(name)}"


_COREFERENCE_NAMES = ("mentions", "MUC", "B-cubed", "CEAF-e", "Lea", "Lea-soft")
_SHOWN = ("Lea", "Lea-soft")
NOT_PREDICTED = "no prediction"
"""Why a video is left out of the scores of partial predictions."""


def score_verbs(
    truth: SituationTruth, predictions: Predictions[VerbPrediction]
) -> PredictionScores:
    """Acc@1, Acc@5 and Rec@5 of verbs.

    Where no event has a verb of a second annotator, that of the only one counts in the recall.

    Raises:
        MetricError: no video has verbs, or one that has them has no prediction.
    """
    pairs = _pairs(truth, predictions, "verbs")
    events = [(video, idx) for video, _ in pairs for idx in range(len(video.verb_ids))]
    chosen = [video.verb_ids[idx] for video, idx in events]
    has_several = any(len(verbs) > 1 for video in truth.videos for verbs in video.verb_ids)
    judged = judge_verbs(
        [verbs for _, one in pairs for verbs in one.verb_ids],
        chosen,
        split=[verbs for video in truth.videos for verbs in video.verb_ids],
        min_agreeing=MIN_AGREEING if has_several else 1,
    )
    video_N = np.repeat(np.arange(len(pairs)), [len(video.verb_ids) for video, _ in pairs])
    num_frequent = len(judged.frequent())
    notices = [] if num_frequent else [f"No verb has over {RECALL_THRESHOLD} events: Rec@5 is 0"]
    return _result(
        truth,
        predictions,
        part="verbs",
        counts={"videos": len(pairs), "events": len(events), "frequent verbs": num_frequent},
        scores=_verb_scores(judged, all_events_hit(judged.hit_NK, video_N).mean(axis=0)),
        items=_verb_items(judged, events),
        notices=notices,
    )


def score_relations(
    truth: SituationTruth, predictions: Predictions[RelationPrediction]
) -> PredictionScores:
    """Top-1 and macro Top-1 of event relations.

    Of the annotators the first three count. Where no event has a label of a second one, that of the
    only one counts.

    Raises:
        MetricError: no video has relations, one that has them has no prediction, or annotators
            agree nowhere.
    """
    events: list[tuple[TrueVideo, int]] = []
    annotated: list[list[str]] = []
    guesses: list[list[str]] = []
    pairs = _pairs(truth, predictions, "relations")
    for video, one in pairs:
        for place, idx in enumerate(related_events(len(video.event_names))):
            given = [annotation[idx].relation for annotation in video.annotations[:NUM_KEPT]]
            labels = one.labels[place] * (len(given) if len(one.labels[place]) == 1 else 1)
            agreed = [both for both in zip(given, labels, strict=True) if both[0]]
            if agreed:
                events.append((video, idx))
                annotated.append([label for label, _ in agreed])
                guesses.append([guess for _, guess in agreed])
    num_agreeing = MIN_AGREEING if _has_several_relations(truth) else 1
    judged = judge_relations(guesses, annotated, num_agreeing=num_agreeing)
    notices = [
        f"The official evaluator stops: no event is scored whose label is {label}"
        for label in sorted(judged.unscored_labels)
    ]
    of_label = judged.accuracy_of_labels()
    return _result(
        truth,
        predictions,
        part="relations",
        counts={
            "videos": len(pairs),
            "events": len(set(judged.event_S.tolist())),
            "labels given": len(judged.event_S),
        },
        scores={
            "Top-1": Score(official=judged.accuracy),
            "macro Top-1": Score(official=judged.macro_accuracy, is_headline=True),
            **{
                f"Top-1 of {label}": Score(official=accuracy, is_detail=True)
                for label, accuracy in of_label.items()
            },
        },
        items=_relation_items(judged, events),
        notices=notices,
    )


def score_roles(
    truth: SituationTruth, predictions: Predictions[RolePrediction]
) -> PredictionScores:
    """CIDEr, CIDEr-Vb, CIDEr-Arg, ROUGE-L, Lea and Lea-soft of roles.

    Three annotations of a video count, drawn over all videos as officially, also where only some of
    them are predicted.

    Raises:
        MetricError: no video is annotated, one of them has no prediction, none has a role that is
            scored, or no annotator wrote a word.
    """
    kept = dict(zip((one.id for one in truth.videos), kept_annotations(truth.videos), strict=True))
    videos = [
        _RoleVideo(video=video, kept=kept[video.id], events=one.events)
        for video, one in _pairs(truth, predictions, "roles")
    ]
    num_annotators = next(len(annotations) for annotations in kept.values() if annotations)
    items = _role_items(videos)
    corpus = CaptionCorpus([one.candidate for one in items], [one.references for one in items])
    texts = score_texts(corpus)
    groups = {
        "Vb": score_groups(corpus, [one.verb_id for one in items], rouge_M=texts.rouge_M),
        "Arg": score_groups(corpus, [short_role(one.name) for one in items], rouge_M=texts.rouge_M),
    }
    return _result(
        truth,
        predictions,
        part="roles",
        counts={
            "videos": len(videos),
            "events": sum(len(one.kept[0]) for one in videos),
            "roles": len(items),
        },
        scores={
            **_text_scores(texts, groups),
            **_coreference_scores(videos, items, texts, num_annotators=num_annotators),
            **_detailed_text_scores(texts, groups),
        },
        items=_role_blocks(videos, items, texts=texts, groups=groups),
        notices=_role_notices(videos, items, groups, num_annotators=num_annotators),
    )


def _pairs(
    truth: SituationTruth, predictions: Predictions[Prediction], part: Part
) -> list[tuple[TrueVideo, Prediction]]:
    """The predicted videos that annotators say something of, each with its prediction."""
    by_video = {one.video_idx: one for one in predictions.videos}
    pairs: list[tuple[TrueVideo, Prediction]] = []
    for video_idx, video in enumerate(truth.videos):
        if not video.has(part):
            continue
        if video_idx in by_video:
            pairs.append((video, by_video[video_idx]))
        elif not predictions.is_partial:
            raise MetricError("has no prediction", where=video.id, fix="Predict every video")
    if not pairs:
        what = f"has no {'predicted ' * predictions.is_partial}video with annotated {part}"
        raise MetricError(what, where=truth.source, fix="Take another split, or other annotations")
    return pairs


def _has_several_relations(truth: SituationTruth) -> bool:
    """Whether any event of the split has relations by several of the annotators who count."""
    return any(
        sum(bool(events[idx].relation) for events in video.annotations[:NUM_KEPT]) > 1
        for video in truth.videos
        for idx in related_events(len(video.event_names))
    )


def data_of(truth: SituationTruth) -> ScoredData:
    """What predictions are scored against."""
    return ScoredData(name=truth.name, source=truth.source, split=truth.split, hash=truth.hash)


def _result(
    truth: SituationTruth,
    predictions: Predictions[Prediction],
    *,
    part: Part,
    counts: Mapping[str, int],
    scores: Mapping[str, Score],
    items: Sequence[ItemScores],
    notices: Sequence[str],
) -> PredictionScores:
    """The common record, with what is left out and all that is to be said."""
    predicted = {one.video_idx for one in predictions.videos}
    left_out = tuple(
        LeftOut(item=video.id, reason=NOT_PREDICTED if video.has(part) else f"no annotated {part}")
        for video_idx, video in enumerate(truth.videos)
        if not video.has(part) or video_idx not in predicted
    )
    return PredictionScores(
        protocol=f"vidsitu_{part}",
        data=data_of(truth),
        counts=counts,
        left_out=left_out,
        scores=scores,
        items=tuple(items),
        notices=(*truth.notices, *predictions.notices, *notices),
    )


def _block(
    name: str,
    ids: Sequence[str],
    *,
    videos: Sequence[TrueVideo],
    values: Mapping[str, np.ndarray],
    weights: Sequence[float] | None = None,
    labels: Mapping[str, Sequence[str]] | None = None,
) -> ItemScores:
    return ItemScores(
        block=name,
        item_ids=tuple(ids),
        group_ids=tuple(video.group for video in videos),
        values={metric: np.asarray(one, np.float64) for metric, one in values.items()},
        weights=None if weights is None else np.array(weights, np.float64),
        labels={key: tuple(one) for key, one in (labels or {}).items()},
    )


def _event_id(video: TrueVideo, event_idx: int) -> str:
    return f"{video.id}/{video.event_names[event_idx]}"


def _verb_scores(judged: VerbScores, whole_videos_K: np.ndarray) -> dict[str, Score]:
    """All that VidSitu's evaluator returns of verbs."""
    accuracy_K = judged.hit_NK.mean(axis=0)
    scores = {
        "Acc@1": Score(official=float(accuracy_K[0]), is_headline=True),
        "Acc@5": Score(official=float(accuracy_K[-1])),
        "Rec@5": Score(official=judged.macro_recall()),
    }
    details = {f"Acc@{rank}": accuracy_K[rank - 1] for rank in range(2, NUM_RANKS)}
    for rank, share in enumerate(whole_videos_K, start=1):
        details[f"Acc@{rank} of all events of a video"] = share
    for num_events in range(RECALL_THRESHOLD):
        name = f"Rec@5 of verbs of over {num_events} events"
        details[name] = judged.macro_recall(num_events)
    for name, value in details.items():
        scores[name] = Score(official=float(value), is_detail=True)
    return scores


def _verb_items(judged: VerbScores, events: Sequence[tuple[TrueVideo, int]]) -> list[ItemScores]:
    """Hits of events, and of the frequent verbs in events."""
    ids = [_event_id(video, idx) for video, idx in events]
    videos = [video for video, _ in events]
    hits = {"Acc@1": judged.hit_NK[:, 0], "Acc@5": judged.hit_NK[:, -1]}
    blocks = [_block("events", ids, videos=videos, values=hits)]
    frequent = judged.frequent()
    if frequent:
        places = [place for found in frequent.values() for place in found]
        of_event = judged.event_A[places].tolist()
        verbs = [judged.verb_A[place] for place in places]
        blocks.append(
            _block(
                "verbs",
                [f"{ids[event]}/{verb}" for event, verb in zip(of_event, verbs, strict=True)],
                videos=[videos[event] for event in of_event],
                values={"Rec@5": judged.found_A[places]},
                weights=[1 / len(found) for found in frequent.values() for _ in found],
                labels={"verb": verbs},
            )
        )
    return blocks


def _relation_items(
    judged: RelationScores, events: Sequence[tuple[TrueVideo, int]]
) -> list[ItemScores]:
    """Hits of the scored labels, once all alike and once weighted for the mean over labels."""
    of_event = judged.event_S.tolist()
    ids = [
        f"{_event_id(*events[event])}/{annotator}"
        for event, annotator in zip(of_event, judged.annotator_S.tolist(), strict=True)
    ]
    videos = [events[event][0] for event in of_event]
    counts = Counter(judged.label_S)
    labels = {"label": judged.label_S}
    weights = [1 / counts[label] for label in judged.label_S]
    right = judged.right_S
    return [
        _block("labels", ids, videos=videos, values={"Top-1": right}, labels=labels),
        _block(
            "weighted labels", ids, videos=videos, values={"macro Top-1": right}, weights=weights
        ),
    ]


def _text_scores(texts: TextScores, groups: Mapping[str, GroupScores]) -> dict[str, Score]:
    """The scores of texts that papers report."""
    scores = {"CIDEr": Score(official=float(texts.cider_M.mean()), is_headline=True)}
    for suffix, group in groups.items():
        official = group.macro_cider()
        if official is not None:
            # A group of one item has no rare and no common words: it is 0 whatever is predicted.
            corrected = group.macro_cider(min_items=2)
            scores[f"CIDEr-{suffix}"] = Score(official=official, corrected=corrected)
    return {**scores, "ROUGE-L": Score(official=float(texts.rouge_M.mean()))}


def _detailed_text_scores(texts: TextScores, groups: Mapping[str, GroupScores]) -> dict[str, Score]:
    """All else that VidSitu's evaluator returns of texts."""
    details = {f"BLEU-{n}": value for n, value in enumerate(texts.bleu.corpus_N, start=1)}
    for suffix, group in groups.items():
        details[f"ROUGE-L-{suffix}"] = group.rouge_V.mean()
        for n, value in enumerate(group.bleu_VN.mean(axis=0), start=1):
            details[f"BLEU-{n}-{suffix}"] = value
    roles = groups["Arg"]
    for idx, name in enumerate(roles.names):
        if roles.is_defined_V[idx]:
            details[f"CIDEr of {name}"] = roles.cider_V[idx]
        details[f"ROUGE-L of {name}"] = roles.rouge_V[idx]
        for n, value in enumerate(roles.bleu_VN[idx], start=1):
            details[f"BLEU-{n} of {name}"] = value
    return {name: Score(official=float(value), is_detail=True) for name, value in details.items()}


def _coreference_scores(
    videos: Sequence[_RoleVideo],
    items: Sequence[_RoleItem],
    texts: TextScores,
    *,
    num_annotators: int,
) -> dict[str, Score]:
    """Lea, Lea-soft, and what else the official evaluator computes of clusters."""
    cider_of_video: list[dict[str, float]] = [{} for _ in videos]
    for item, cider in zip(items, texts.cider_M.tolist(), strict=True):
        cider_of_video[item.video_idx][_mention(item.event_name, item.name)] = cider

    def mean_f1(num_annotators: int, *, with_empty: bool) -> np.ndarray:
        rows: list[list[float]] = []
        for annotator in range(num_annotators):
            compared = _coreference_videos(
                videos, annotator=annotator, cider_of_video=cider_of_video, with_empty=with_empty
            )
            rows.append(list(coreference_f1(compared).values()))
        return np.mean(rows, axis=0)

    # Officially as many annotators count as the first annotated video of the split has; corrected,
    # all annotators and videos do.
    numbers = [len(one.kept) for one in videos]
    most = max(numbers)
    counted_officially = min(num_annotators, most)
    official = mean_f1(counted_officially, with_empty=False)
    is_wrong = {counted_officially, *numbers} != {most} or not all(one.events for one in videos)
    corrected = mean_f1(most, with_empty=True) if is_wrong else None
    return {
        name: Score(
            official=float(official[idx]),
            corrected=None if corrected is None else float(corrected[idx]),
            is_detail=name not in _SHOWN,
        )
        for idx, name in enumerate(_COREFERENCE_NAMES)
    }


def _role_blocks(
    videos: Sequence[_RoleVideo],
    items: Sequence[_RoleItem],
    *,
    texts: TextScores,
    groups: Mapping[str, GroupScores],
) -> list[ItemScores]:
    """Scores of single roles, and those among equal verbs or roles, weighted as CIDEr-Vb is."""
    ids = [f"{videos[one.video_idx].video.id}/{one.event_name}/{one.name}" for one in items]
    of_item = [videos[one.video_idx].video for one in items]
    values = {"CIDEr": texts.cider_M, "ROUGE-L": texts.rouge_M}
    values |= {f"BLEU-{n + 1} of the text": texts.bleu.items_MN[:, n] for n in range(4)}
    labels = {"verb": [one.verb_id for one in items], "predicted": [one.candidate for one in items]}
    blocks = [_block("roles", ids, videos=of_item, values=values, labels=labels)]
    for suffix, group in groups.items():
        min_items = 1 if group.macro_cider(min_items=2) is None else 2
        counts_V = group.is_defined_V & (group.size_V >= min_items)
        places = np.flatnonzero(counts_V[group.group_M]).tolist()
        if places:
            blocks.append(
                _block(
                    f"roles by {suffix}",
                    [ids[place] for place in places],
                    videos=[of_item[place] for place in places],
                    values={f"CIDEr-{suffix}": group.cider_M[places]},
                    weights=(1 / group.size_V[group.group_M[places]]).tolist(),
                )
            )
    return blocks


def _role_notices(
    videos: Sequence[_RoleVideo],
    items: Sequence[_RoleItem],
    groups: Mapping[str, GroupScores],
    *,
    num_annotators: int,
) -> list[str]:
    """What the official evaluator would stop at, and what is scored otherwise."""
    notices: list[str] = []
    stops = "The official evaluator stops: "
    for suffix, group in groups.items():
        for name, is_defined in zip(group.names, group.is_defined_V.tolist(), strict=True):
            if not is_defined:
                why = f"no annotator wrote a word for {name}, which is left out of CIDEr-{suffix}"
                notices.append(f"{stops}{why}")
    if num_annotators > min(len(one.kept) for one in videos):
        notices.append(f"{stops}the first video has more annotations than others")
    num_without = len(videos) - len({one.video_idx for one in items})
    noun = "video" if num_without == 1 else "videos"
    if num_without:
        notices.append(f"{stops}{num_without:,} {noun} without a role that is scored")
    num_partial = sum(len(one.references) < len(videos[one.video_idx].kept) for one in items)
    notices += counted(num_partial, "role", "not given by all annotators: scored by those who do")
    return notices
