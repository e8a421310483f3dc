"""What trained heads say of videos: verbs, roles and relations, in VidSitu's own forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from figclip.datasets.situations import related_events
from figclip.heads.features import EventFeatures
from figclip.heads.situations.head import SituationHead
from figclip.heads.situations.training import SituationVocabulary, middle_event, verb_of
from figclip.heads.text_decoder import beam_search
from figclip.heads.vocabulary import decode_roles
from figclip.model.contextualizer import TokenOutputs
from figclip.records import VideoRecord
from figclip.scoring.situation_files import (
    NUM_VERBS,
    PredictedEvent,
    RelationPrediction,
    RolePrediction,
    VerbPrediction,
)
from figclip.training.batches import BatchItem

_OfVideo = TypeVar("_OfVideo", VerbPrediction, RolePrediction, RelationPrediction)
_VIDEOS_AT_ONCE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationPredictions:
    """What a head says of videos, of each in their order.

    Attributes:
        verbs: Best first.
        roles: Written for the annotated verb.
        roles_of_predicted_verbs: Written for the verb that the head found.
        relations: Empty when training saw none.
    """

    verbs: tuple[VerbPrediction, ...]
    roles: tuple[RolePrediction, ...]
    roles_of_predicted_verbs: tuple[RolePrediction, ...]
    relations: tuple[RelationPrediction, ...]

    def placed(self, positions: Sequence[int]) -> SituationPredictions:
        """The same predictions under other positions of the videos."""

        def moved(predictions: Sequence[_OfVideo]) -> tuple[_OfVideo, ...]:
            return tuple(replace(one, video_idx=positions[one.video_idx]) for one in predictions)

        return SituationPredictions(
            verbs=moved(self.verbs),
            roles=moved(self.roles),
            roles_of_predicted_verbs=moved(self.roles_of_predicted_verbs),
            relations=moved(self.relations),
        )


@torch.inference_mode()
def predict_situations(
    head: SituationHead,
    features: EventFeatures,
    records: Sequence[VideoRecord],
    vocabulary: SituationVocabulary,
) -> SituationPredictions:
    """Verbs, roles and relations of the events of each video's first annotation."""
    head.eval()
    parts = [
        _predict(
            head,
            features,
            records,
            range(start, min(start + _VIDEOS_AT_ONCE, len(records))),
            vocabulary,
        )
        for start in range(0, len(records), _VIDEOS_AT_ONCE)
    ]
    return SituationPredictions(
        verbs=tuple(one for part in parts for one in part.verbs),
        roles=tuple(one for part in parts for one in part.roles),
        roles_of_predicted_verbs=tuple(o for part in parts for o in part.roles_of_predicted_verbs),
        relations=tuple(one for part in parts for one in part.relations),
    )


def _predict(
    head: SituationHead,
    features: EventFeatures,
    records: Sequence[VideoRecord],
    video_idxs: Sequence[int],
    vocabulary: SituationVocabulary,
) -> SituationPredictions:
    """Predictions for some videos at once."""
    device = head.own_event.device
    frames_BPTD, mask_BPT = features.padded([BatchItem(idx, 0) for idx in video_idxs])
    mask_BPT = mask_BPT.to(device)
    tokens = head.encode(frames_BPTD.to(device), frame_mask_BPT=mask_BPT)
    places = mask_BPT.any(dim=2).nonzero(as_tuple=True)
    verbs = _Verbs(head, tokens, vocabulary, places)
    events = [event for idx in video_idxs for event in records[idx].annotations[0].events]
    counts = [len(records[idx].annotations[0].events) for idx in video_idxs]
    writer = _RoleWriter(head, tokens, vocabulary, places, counts, video_idxs)
    return SituationPredictions(
        verbs=verbs.predictions(counts, video_idxs),
        roles=writer.write([verb_of(event) for event in events]),
        roles_of_predicted_verbs=writer.write(verbs.best),
        relations=_relations(head, tokens, vocabulary, counts, video_idxs),
    )


class _Verbs:
    """The verbs of the events of some videos."""

    def __init__(
        self,
        head: SituationHead,
        tokens: TokenOutputs,
        vocabulary: SituationVocabulary,
        places: tuple[Tensor, ...],
    ) -> None:
        probabilities_NV = head.verb_logits(tokens)[places].softmax(dim=-1)
        best = probabilities_NV.topk(min(NUM_VERBS, len(vocabulary.verbs)), dim=1)
        self._scores: list[list[float]] = best.values.tolist()
        self._names = [[vocabulary.verbs[i] for i in row] for row in best.indices.tolist()]

    @property
    def best(self) -> list[str]:
        """The verb of each event."""
        return [names[0] for names in self._names]

    def predictions(
        self, counts: Sequence[int], video_idxs: Sequence[int]
    ) -> tuple[VerbPrediction, ...]:
        """By video."""
        return tuple(
            VerbPrediction(
                video_idx=idx,
                verb_ids=tuple(tuple(names) for names in self._names[first:last]),
                scores=tuple(tuple(scores) for scores in self._scores[first:last]),
            )
            for idx, (first, last) in zip(video_idxs, _spans(counts), strict=True)
        )


@dataclass(frozen=True, slots=True)
class _RoleWriter:
    """Writes the roles of the events of some videos for given verbs."""

    head: SituationHead
    tokens: TokenOutputs
    vocabulary: SituationVocabulary
    places: tuple[Tensor, ...]
    counts: Sequence[int]
    video_idxs: Sequence[int]

    def write(self, verbs: Sequence[str]) -> tuple[RolePrediction, ...]:
        """Roles by video."""
        video_N, event_N = self.places
        id_of = {verb: i for i, verb in enumerate(self.vocabulary.verbs)}
        verb_N = torch.tensor([id_of.get(verb, len(id_of)) for verb in verbs])
        memory = self.head.role_memory(
            self.tokens, video_N=video_N, event_N=event_N, verb_N=verb_N.to(video_N.device)
        )
        written = beam_search(self.head.decoder, memory, beam=self.head.beam)
        events = [
            PredictedEvent(verb_id=verb, texts=decode_roles(tokens, self.vocabulary.roles))
            for verb, tokens in zip(verbs, written, strict=True)
        ]
        return tuple(
            RolePrediction(video_idx=idx, events=tuple(events[first:last]))
            for idx, (first, last) in zip(self.video_idxs, _spans(self.counts), strict=True)
        )


def _relations(
    head: SituationHead,
    tokens: TokenOutputs,
    vocabulary: SituationVocabulary,
    counts: Sequence[int],
    video_idxs: Sequence[int],
) -> tuple[RelationPrediction, ...]:
    """The relation of each event but the middle one."""
    if head.relation_classifier is None:
        return ()
    middle_B = torch.tensor([middle_event(count) for count in counts])
    logits_BPR = head.relation_logits(tokens, middle_B=middle_B.to(tokens.token_BSD.device))
    rows = logits_BPR.argmax(dim=-1).tolist()
    return tuple(
        RelationPrediction(
            video_idx=idx,
            labels=tuple((vocabulary.relations[row[p]],) for p in related_events(count)),
        )
        for idx, count, row in zip(video_idxs, counts, rows, strict=True)
    )


def _spans(counts: Sequence[int]) -> list[tuple[int, int]]:
    """First and past-the-last event of each video."""
    ends = torch.tensor(counts).cumsum(0).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))
