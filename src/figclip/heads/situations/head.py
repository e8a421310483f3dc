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
from figclip.config import RelationInputs, TransformerConfig
from figclip.datasets.situations import (
    NUM_KEPT,
    UNSCORED_ROLES,
    TrueEvent,
    related_events,
    situation_truth_of,
)
from figclip.heads.features import EventFeatures
from figclip.heads.situations.relation_reader import (
    EventWords,
    annotated_roles,
    middle_rows,
    pad_words,
    pair_width,
    pool_roles,
    read_pairs,
)
from figclip.heads.text_decoder import PartOrder, TextDecoder, TextMemory, beam_search
from figclip.heads.vocabulary import (
    END,
    Vocabulary,
    build_vocabulary,
    decode_roles,
    encode_roles,
)
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

Annotators = Sequence[Sequence[TrueEvent]]
"""What each annotator of a video says of its events."""

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
    Relations: a small network on what `read_pairs` gives of the event and of the middle one, or on
    their outputs alone.

    Source:
        Sadhu et al., Visual Semantic Role Labeling for Video Understanding, CVPR 2021, section 5:
        event features through a transformer, verb classifier, autoregressive role decoder given
        the verb. Theirs chooses the roles as it writes; that a verb knows its roles is as in GVSR
        (Khan et al., NeurIPS 2022), whose queries are one a role. Of relations, theirs reads
        features, and verbs and roles by RoBERTa (github.com/TheShadow29/VidSitu @ 3607180,
        vidsitu_code/mdl_evrel.py, SFPret_SimpleEvRel): the annotated ones, on every split, of each
        annotator for his own prediction (dat_loader.py, get_vb_arg_data). So do ours; texts are
        short, and no language model is needed to see who is who.
    """

    def __init__(
        self,
        feature_dim: int,
        *,
        num_verbs: int,
        num_relations: int,
        num_tokens: int,
        num_marks: int,
        size: TransformerConfig,
        relations_read: RelationInputs,
    ) -> None:
        super().__init__()
        width = size.width
        self.beam, self.max_words = size.beam, size.max_words
        self.num_marks, self.reads_words = num_marks, relations_read == "words"
        self.project = nn.Linear(feature_dim, width)
        self.temporal = VideoContextualizer(
            width,
            num_layers=size.encoder_layers,
            head_dim=width // size.heads,
            dropout=size.dropout,
            place_std=_PLACE_STD,
        )
        self.verb_classifier = nn.Linear(width, num_verbs)
        pair = pair_width(width, num_marks=num_marks) if self.reads_words else 2 * width
        self.relation_classifier = (
            nn.Sequential(nn.Linear(pair, width), nn.GELU(), nn.Linear(width, num_relations))
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
        self, event_ND: Float[Tensor, "N D"], words: EventWords, *, middle_N: Int[Tensor, " N"]
    ) -> Float[Tensor, "N R"]:
        """Logits of the relation of N events to the middle one of each, which is at this row.

        `event_ND` are outputs of `encode`. The words are looked at by heads that read them.
        """
        assert self.relation_classifier is not None, "training saw no relations"
        if not self.reads_words:
            pair_NF = torch.cat([event_ND, event_ND[middle_N]], dim=1)
            return self.relation_classifier(pair_NF)
        word_NLD = self.decoder.token_embedding(words.role_NL)
        pair_NF = read_pairs(
            event_ND,
            self.verb_embedding(words.verb_N),
            pool_roles(word_NLD, words.role_NL, num_marks=self.num_marks),
            middle_N=middle_N,
        )
        return self.relation_classifier(pair_NF)

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
    annotators: Sequence[Annotators] | None = None,
) -> SituationPredictions:
    """Verbs, roles and relations of the events of each video's first annotation.

    `positions` says where each video stands in its split, by which predictions name it; None: as in
    `records`. `annotators` are those of each video, from whose verbs and roles relations are told,
    a label for each who counts; None: those of `records`.
    """
    if annotators is None:
        annotators = [one.annotations for one in situation_truth_of(records).videos]
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
            annotators=[annotators[row][:NUM_KEPT] for row in rows],
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
    annotators: Sequence[Annotators]

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
        """The relation of each event but the middle one, of each annotator if words are read."""
        if self.head.relation_classifier is None:
            return []
        reads_words = self.head.reads_words
        told = self.annotators if reads_words else [one[:1] for one in self.annotators]
        lists = [(row, events) for row, one in enumerate(told) for events in one]
        device = self.tokens.token_BSD.device
        video_N = torch.tensor([row for row, events in lists for _ in events], device=device)
        event_N = torch.tensor(
            [p for _, events in lists for p in range(len(events))], device=device
        )
        middle_N = torch.tensor(middle_rows([len(events) for _, events in lists]), device=device)
        logits_NR = self.head.relation_logits(
            self.tokens.event_BPD[video_N, event_N],
            self._words([event for _, events in lists for event in events]),
            middle_N=middle_N,
        )
        names = iter([self.vocabulary.relations[i] for i in logits_NR.argmax(dim=-1).tolist()])
        found = [[tuple(islice(names, len(events))) for events in one] for one in told]
        return [
            RelationPrediction(
                video_idx=idx,
                labels=tuple(tuple(own[p] for own in labels) for p in related_events(count)),
            )
            for idx, count, labels in zip(self.positions, self.counts, found, strict=True)
        ]

    def _words(self, events: Sequence[TrueEvent]) -> EventWords:
        """Verbs and roles as ids."""
        id_of = {verb: i for i, verb in enumerate(self.vocabulary.verbs)}
        return pad_words(
            [id_of.get(event.verb_id, len(id_of)) for event in events],
            [
                encode_roles(annotated_roles(event), self.vocabulary.roles)[: self.head.max_words]
                for event in events
            ],
            device=self.tokens.token_BSD.device,
        )

    def _by_video(self, rows: Iterable[_Row]) -> list[tuple[_Row, ...]]:
        rest = iter(rows)
        return [tuple(islice(rest, count)) for count in self.counts]
