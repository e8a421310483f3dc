"""The head for verbs, roles and relations of a video's events, and what it says of videos."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from figclip.annotations.roles import roles_by_key, told_roles
from figclip.config import TransformerConfig
from figclip.datasets.situations import UNSCORED_ROLES, related_events
from figclip.heads.features import EventFeatures
from figclip.heads.text_decoder import PartOrder, TextDecoder, TextMemory, beam_search
from figclip.heads.vocabulary import END, Vocabulary, build_vocabulary, decode_roles
from figclip.model.contextualizer import TokenOutputs, VideoContextualizer
from figclip.records import Event, VideoRecord
from figclip.scoring.situation_files import (
    NUM_VERBS,
    PredictedEvent,
    RelationPrediction,
    RolePrediction,
    VerbPrediction,
)
from figclip.training.batches import BatchItem

_Row = TypeVar("_Row")
_VIDEOS_AT_ONCE = 32
_PLACE_STD = 0.3
"""Of types and positions at first, beside frames of unit variance; at 0.02 frames drown them."""


@dataclass(frozen=True, kw_only=True)
class SituationVocabulary:
    """What a head can say, from its training annotations.

    Verbs are senses, or bare verbs where events have none; relations are those to the middle event;
    `roles` has the keys and the words of roles. `frames` are the roles of each verb, in their
    order; none of heads of earlier versions, which choose roles as they write.
    """

    verbs: tuple[str, ...]
    relations: tuple[str, ...]
    roles: Vocabulary
    frames: tuple[tuple[str, ...], ...] = ()

    @cached_property
    def frame_of(self) -> Mapping[str, tuple[str, ...]]:
        """The roles of a verb."""
        return dict(zip(self.verbs, self.frames, strict=False))


def verb_of(event: Event) -> str:
    """The sense, which VidSitu calls VerbID, or the bare verb where there is none."""
    return event.sense or event.verb


def middle_event(num_events: int) -> int:
    """Position of the event that relations are to: Ev3 of VidSitu's five."""
    return num_events // 2


def written_roles(event: Event) -> dict[str, str]:
    """Texts by key of the roles that a head writes: what says something, and is scored."""
    return {key: text for key, text in told_roles(event).items() if key not in UNSCORED_ROLES}


def role_frames(events: Iterable[Event]) -> dict[str, tuple[str, ...]]:
    """The roles that are written of each verb's events, in the order of their mean position.

    In VidSitu all events of a verb have the same roles in the same order.
    """
    places: defaultdict[str, defaultdict[str, list[int]]]
    places = defaultdict(lambda: defaultdict(list))
    for event in events:
        of_verb, written = places[verb_of(event)], written_roles(event)
        for place, key in enumerate(roles_by_key(event)):
            if key in written:
                of_verb[key].append(place)
    return {
        verb: tuple(sorted(keys, key=lambda key: (sum(keys[key]) / len(keys[key]), key)))
        for verb, keys in places.items()
    }


def build_role_vocabulary(events: Iterable[Event], *, min_count: int) -> Vocabulary:
    """Keys and words of the roles of events; rarer words than `min_count` are unknown."""
    roles = [written_roles(event) for event in events]
    return build_vocabulary(
        (text for one in roles for text in one.values()),
        marks=(key for one in roles for key in one),
        min_count=min_count,
    )


def build_situation_vocabulary(
    records: Sequence[VideoRecord], *, min_word_count: int
) -> SituationVocabulary:
    """Verbs, relations, role keys and words of all annotations."""
    events = [e for record in records for one in record.annotations for e in one.events]
    frames = role_frames(events)
    return SituationVocabulary(
        verbs=tuple(sorted(frames)),
        frames=tuple(frames[verb] for verb in sorted(frames)),
        relations=tuple(sorted({event.relation for event in events if event.relation})),
        roles=build_role_vocabulary(events, min_count=min_word_count),
    )


class SituationHead(nn.Module):
    """A temporal transformer over the frames of a video's events, and three readers of it.

    Verbs: a linear classifier of the event outputs. Roles: a decoder that looks at all of the
    video's tokens, so that an entity keeps its words from event to event; it is told the verb, and
    writes the verb's roles, each once, in their order.
    Relations: a small network on the outputs of the event and of the middle one.

    Source:
        Sadhu et al., Visual Semantic Role Labeling for Video Understanding, CVPR 2021, section 5:
        event features through a transformer, verb classifier, autoregressive role decoder given
        the verb. Theirs chooses the roles as it writes; that a verb knows its roles is as in GVSR
        (Khan et al., NeurIPS 2022), whose queries are one a role. The relation classifier reads
        features only; theirs also reads verbs and roles.
    """

    def __init__(
        self,
        feature_dim: int,
        *,
        num_verbs: int,
        num_relations: int,
        num_tokens: int,
        size: TransformerConfig,
    ) -> None:
        super().__init__()
        width = size.width
        self.beam = size.beam
        self.project = nn.Linear(feature_dim, width)
        self.temporal = VideoContextualizer(
            width,
            num_layers=size.encoder_layers,
            head_dim=width // size.heads,
            dropout=size.dropout,
            place_std=_PLACE_STD,
        )
        self.verb_classifier = nn.Linear(width, num_verbs)
        self.relation_classifier = (
            nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, num_relations))
            if num_relations
            else None
        )
        # One row more, which stays 0: a verb that training never saw.
        self.verb_embedding = nn.Embedding(num_verbs + 1, width, padding_idx=num_verbs)
        self.own_event = nn.Parameter(torch.zeros(width))
        self.decoder = TextDecoder(
            num_tokens,
            width=width,
            num_layers=size.decoder_layers,
            num_heads=size.heads,
            dropout=size.dropout,
            max_length=size.max_words,
        )
        nn.init.normal_(self.own_event, std=0.02)

    def encode(
        self, frames_BPTD: Float[Tensor, "B P T D"], *, frame_mask_BPT: Bool[Tensor, "B P T"]
    ) -> TokenOutputs:
        """Contextualised tokens of B videos.

        Features are L2-normalised; they are scaled to unit variance here.
        """
        scaled_BPTD = frames_BPTD * frames_BPTD.shape[-1] ** 0.5
        return self.temporal.encode(self.project(scaled_BPTD), frame_mask_BPT=frame_mask_BPT)

    def verb_logits(self, tokens: TokenOutputs) -> Float[Tensor, "B P V"]:
        """Logits of each event's verb."""
        return self.verb_classifier(tokens.event_BPD)

    def relation_logits(
        self, tokens: TokenOutputs, *, middle_B: Int[Tensor, " B"]
    ) -> Float[Tensor, "B P R"]:
        """Logits of each event's relation to the middle event of its video, at these positions."""
        assert self.relation_classifier is not None, "training saw no relations"
        event_BPD = tokens.event_BPD
        rows_B = torch.arange(len(event_BPD), device=event_BPD.device)
        middle_BPD = event_BPD[rows_B, middle_B][:, None].expand_as(event_BPD)
        return self.relation_classifier(torch.cat([event_BPD, middle_BPD], dim=-1))

    def role_memory(
        self,
        tokens: TokenOutputs,
        *,
        video_N: Int[Tensor, " N"],
        event_N: Int[Tensor, " N"],
        verb_N: Int[Tensor, " N"],
    ) -> TextMemory:
        """What the roles of N events are written from: the event and its verb, and its video.

        `verb_N` is `num_verbs` for a verb that is not known.
        """
        own_NS = tokens.event_of_token_S == event_N[:, None]
        memory_NSD = tokens.token_BSD[video_N] + own_NS[..., None] * self.own_event
        prefix_ND = tokens.event_BPD[video_N, event_N] + self.verb_embedding(verb_N)
        return TextMemory(prefix_ND, memory_NSD, tokens.present_BS[video_N])


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationPredictions:
    """What a head says of videos, of each in their order.

    Verbs are best first. Roles are written for the annotated verb, and for the verb that the head
    found. There are no relations when training saw none.
    """

    verbs: tuple[VerbPrediction, ...]
    roles: tuple[RolePrediction, ...]
    roles_of_predicted_verbs: tuple[RolePrediction, ...]
    relations: tuple[RelationPrediction, ...]


@torch.inference_mode()
def predict_situations(
    head: SituationHead,
    features: EventFeatures,
    records: Sequence[VideoRecord],
    *,
    vocabulary: SituationVocabulary,
    positions: Sequence[int] | None = None,
) -> SituationPredictions:
    """Verbs, roles and relations of the events of each video's first annotation.

    `positions` says where each video stands in its split, by which predictions name it; None: as in
    `records`.
    """
    head.eval()
    device = head.own_event.device
    verbs: list[VerbPrediction] = []
    roles: list[RolePrediction] = []
    roles_of_predicted_verbs: list[RolePrediction] = []
    relations: list[RelationPrediction] = []
    everything = range(len(records))
    for start in range(0, len(records), _VIDEOS_AT_ONCE):
        rows = everything[start : start + _VIDEOS_AT_ONCE]
        frames_BPTD, mask_BPT = features.padded([BatchItem(row, 0) for row in rows])
        mask_BPT = mask_BPT.to(device)
        events = [records[row].annotations[0].events for row in rows]
        part = _Part(
            head=head,
            vocabulary=vocabulary,
            tokens=head.encode(frames_BPTD.to(device), frame_mask_BPT=mask_BPT),
            places=mask_BPT.any(dim=2).nonzero(as_tuple=True),
            positions=[(positions or everything)[row] for row in rows],
            counts=list(map(len, events)),
        )
        found = part.verbs()
        verbs += found
        roles += part.roles([verb_of(event) for one in events for event in one])
        roles_of_predicted_verbs += part.roles([ids[0] for one in found for ids in one.verb_ids])
        relations += part.relations()
    return SituationPredictions(
        verbs=tuple(verbs),
        roles=tuple(roles),
        roles_of_predicted_verbs=tuple(roles_of_predicted_verbs),
        relations=tuple(relations),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Some videos at once: their tokens, the places of their events, and how many each has."""

    head: SituationHead
    vocabulary: SituationVocabulary
    tokens: TokenOutputs
    places: tuple[Tensor, ...]
    positions: Sequence[int]
    counts: Sequence[int]

    def verbs(self) -> list[VerbPrediction]:
        """The best verbs of each event."""
        names = self.vocabulary.verbs
        probabilities_NV = self.head.verb_logits(self.tokens)[self.places].softmax(dim=-1)
        best = probabilities_NV.topk(min(NUM_VERBS, len(names)), dim=1)
        ids = self._by_video(tuple(names[i] for i in row) for row in best.indices.tolist())
        scores = self._by_video(tuple(row) for row in best.values.tolist())
        return [
            VerbPrediction(video_idx=idx, verb_ids=own_ids, scores=own_scores)
            for idx, own_ids, own_scores in zip(self.positions, ids, scores, strict=True)
        ]

    def roles(self, verbs: Sequence[str]) -> list[RolePrediction]:
        """Roles written for given verbs."""
        video_N, event_N = self.places
        id_of = {verb: i for i, verb in enumerate(self.vocabulary.verbs)}
        verb_N = torch.tensor([id_of.get(verb, len(id_of)) for verb in verbs])
        memory = self.head.role_memory(
            self.tokens, video_N=video_N, event_N=event_N, verb_N=verb_N.to(video_N.device)
        )
        written = self._write(memory, [self.vocabulary.frame_of.get(verb) for verb in verbs])
        events = self._by_video(
            PredictedEvent(verb_id=verb, texts=decode_roles(tokens, self.vocabulary.roles))
            for verb, tokens in zip(verbs, written, strict=True)
        )
        return [
            RolePrediction(video_idx=idx, events=own)
            for idx, own in zip(self.positions, events, strict=True)
        ]

    def _write(
        self, memory: TextMemory, frames: Sequence[tuple[str, ...] | None]
    ) -> list[tuple[int, ...]]:
        """Tokens of the roles of events: of these roles, or of any where there is None."""
        known = {row: frame for row, frame in enumerate(frames) if frame is not None}
        free = [row for row in range(len(frames)) if row not in known]
        written: dict[int, tuple[int, ...]] = {}
        for rows, parts in ((list(known), self._in_order(list(known.values()))), (free, None)):
            index_M = torch.tensor(rows, dtype=torch.long, device=memory.prefix_ND.device)
            about, beam = memory.rows(index_M), self.head.beam
            found = beam_search(self.head.decoder, about, beam=beam, parts=parts)
            written |= {row: one.tokens for row, one in zip(rows, found, strict=True)}
        return [written[row] for row in range(len(frames))]

    def _in_order(self, frames: Sequence[tuple[str, ...]]) -> PartOrder:
        """Roles as the parts of texts."""
        roles, device = self.vocabulary.roles, self.head.own_event.device
        most = max(map(len, frames), default=0)
        marks = [[*map(roles.mark_id, frame), *[END] * (most + 1 - len(frame))] for frame in frames]
        is_mark = [roles.is_mark(token) for token in range(len(roles))]
        mark_NR = torch.tensor(marks, dtype=torch.long, device=device)
        return PartOrder(
            mark_NR.reshape(len(frames), most + 1), torch.tensor(is_mark, device=device)
        )

    def relations(self) -> list[RelationPrediction]:
        """The relation of each event but the middle one."""
        if self.head.relation_classifier is None:
            return []
        middle_B = torch.tensor([middle_event(count) for count in self.counts])
        logits_BPR = self.head.relation_logits(
            self.tokens, middle_B=middle_B.to(self.tokens.token_BSD.device)
        )
        rows = logits_BPR.argmax(dim=-1).tolist()
        names = self.vocabulary.relations
        return [
            RelationPrediction(
                video_idx=idx, labels=tuple((names[row[p]],) for p in related_events(count))
            )
            for idx, count, row in zip(self.positions, self.counts, rows, strict=True)
        ]

    def _by_video(self, rows: Iterable[_Row]) -> list[tuple[_Row, ...]]:
        rest = iter(rows)
        return [tuple(islice(rest, count)) for count in self.counts]
