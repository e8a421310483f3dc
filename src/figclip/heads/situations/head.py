"""Verbs, roles and relations of the events of a video, from frozen frame features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from figclip.config import TransformerConfig
from figclip.heads.text_decoder import TextDecoder, TextMemory
from figclip.model.contextualizer import TokenOutputs, VideoContextualizer


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationLabels:
    """What a head can say."""

    num_verbs: int
    num_relations: int
    num_tokens: int


class SituationHead(nn.Module):
    """A temporal transformer over the frames of a video's events, and three readers of it.

    Verbs: a linear classifier of the event outputs. Roles: a decoder that looks at all of the
    video's tokens, so that an entity keeps its words from event to event; it is told the verb.
    Relations: a small network on the outputs of the event and of the middle one.

    Source:
        Sadhu et al., Visual Semantic Role Labeling for Video Understanding, CVPR 2021, section 5:
        event features through a transformer, verb classifier, autoregressive role decoder given
        the verb. The relation classifier reads features only; theirs also reads verbs and roles.
    """

    def __init__(
        self, feature_dim: int, *, labels: SituationLabels, size: TransformerConfig
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
        )
        self.verb_classifier = nn.Linear(width, labels.num_verbs)
        self.relation_classifier = (
            nn.Sequential(
                nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, labels.num_relations)
            )
            if labels.num_relations
            else None
        )
        # One row more, which stays 0: a verb that training never saw.
        self.verb_embedding = nn.Embedding(
            labels.num_verbs + 1, width, padding_idx=labels.num_verbs
        )
        self.own_event = nn.Parameter(torch.zeros(width))
        self.decoder = TextDecoder(
            labels.num_tokens,
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

        Raises:
            ModelError: more events or frames than there are positions.
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
