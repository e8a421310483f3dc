"""Events of a whole video with a sentence each, from frozen frame features."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn

from figclip.head_config import EventQueries as QueryConfig
from figclip.head_config import TransformerConfig
from figclip.heads.beam_search import beam_search
from figclip.heads.event_queries import WAVES, EventQueries, FoundEvents, FrameTokens, waves
from figclip.heads.text_decoder import TextDecoder
from figclip.model.encoder import build_encoder


@dataclass(frozen=True, slots=True)
class FrameRows:
    """Features of B whole videos, padded.

    Attributes:
        frames_BSD: L2-normalised.
        place_BS: Time of each frame as a share of its video.
        duration_B: Seconds.
        present_BS: True where a frame is there; at least one a video.
    """

    frames_BSD: Float32[Tensor, "B S D"]
    place_BS: Float32[Tensor, "B S"]
    duration_B: Float32[Tensor, " B"]
    present_BS: Bool[Tensor, "B S"]

    def to(self, device: torch.device) -> FrameRows:
        """The same on a device."""
        return FrameRows(
            self.frames_BSD.to(device),
            self.place_BS.to(device),
            self.duration_B.to(device),
            self.present_BS.to(device),
        )


_LONGEST_S = 4096.0
"""Up to here the network tells times apart; later ones look alike to it."""


@dataclass(frozen=True, slots=True)
class SentenceMemory:
    """What some sentences are written from.

    Attributes:
        prefix_ND: The query that found the event.
        memory_NSD: The frames of its video.
        memory_mask_NS: True for those of its span.
    """

    prefix_ND: Float[Tensor, "N D"]
    memory_NSD: Float[Tensor, "N S D"]
    memory_mask_NS: Bool[Tensor, "N S"]

    @classmethod
    def of_spans(
        cls,
        frames: FrameTokens,
        found: FoundEvents,
        *,
        video_N: Int[Tensor, " N"],
        query_N: Int[Tensor, " N"],
        edge_N2: Float[Tensor, "N 2"],
    ) -> SentenceMemory:
        """For N events.

        Args:
            frames: Of all videos.
            found: By the queries.
            video_N: Row of the video of each.
            query_N: Query of each.
            edge_N2: Start and end of each, as shares of the video; where no frame lies within, the
                one nearest to the middle is taken.
        """
        place_NS, present_NS = frames.place_BS[video_N], frames.present_BS[video_N]
        start_N1, end_N1 = edge_N2[:, :1], edge_N2[:, 1:]
        distance_NS = (place_NS - (start_N1 + end_N1) / 2).abs()
        distance_NS = distance_NS.masked_fill(~present_NS, torch.inf)
        nearest_NS = distance_NS == distance_NS.amin(dim=1, keepdim=True)
        within_NS = (place_NS >= start_N1) & (place_NS <= end_N1) & present_NS
        return cls(
            found.query_BQD[video_N, query_N], frames.token_BSD[video_N], within_NS | nearest_NS
        )


class CaptioningHead(nn.Module):
    """A temporal transformer over the frames of a video, queries for its events, a text decoder.

    The number of frames is not bounded. Each sentence is written from the frames of its span, and
    from the query that found it.

    Args:
        feature_dim: Of the frozen features.
        num_tokens: Size of the vocabulary.
        size: Of the transformers.
        queries: Of the queries.

    Source:
        Wang et al., End-to-End Dense Video Captioning with Parallel Decoding (PDVC), ICCV 2021: set
        prediction, an event counter, sentences from queries, focal and generalised IoU losses. Ours
        has full attention at one scale, where theirs samples deformably at four.
    """

    def __init__(
        self, feature_dim: int, *, num_tokens: int, size: TransformerConfig, queries: QueryConfig
    ) -> None:
        super().__init__()
        width = size.width
        self._beam = size.beam
        self.project = nn.Linear(feature_dim, width)
        self.place = nn.Linear(4 * WAVES, width)
        self.temporal = build_encoder(
            width,
            num_layers=size.encoder_layers,
            num_heads=size.heads,
            dropout=size.dropout,
        )
        self.queries = EventQueries(
            width,
            num_queries=queries.num,
            num_layers=queries.decoder_layers,
            num_heads=size.heads,
            dropout=size.dropout,
        )
        self.count = nn.Linear(width, queries.num)
        self.decoder = TextDecoder(
            num_tokens,
            width=width,
            num_layers=size.decoder_layers,
            num_heads=size.heads,
            dropout=size.dropout,
            max_length=size.max_words,
        )

    @property
    def num_queries(self) -> int:
        """Most events that can be found in a video."""
        return self.count.out_features

    @property
    def device(self) -> torch.device:
        """Where the head is."""
        return self.count.weight.device

    def encode(self, rows: FrameRows) -> FrameTokens:
        """Contextualised frames of whole videos; features are scaled to unit variance here."""
        frames_BSD, place_BS, present_BS = rows.frames_BSD, rows.place_BS, rows.present_BS
        scaled_BSD = frames_BSD * frames_BSD.shape[-1] ** 0.5
        # On a logarithmic scale, or the first minutes of an hour would look alike.
        told_BS = torch.log1p(place_BS * rows.duration_B[:, None]) / math.log1p(_LONGEST_S)
        told_BS = told_BS.clamp(max=1.0)
        places = torch.cat([waves(place_BS), waves(told_BS)], dim=-1)
        tokens_BSD = self.project(scaled_BSD) + self.place(places)
        tokens_BSD = self.temporal(tokens_BSD, src_key_padding_mask=~present_BS)
        return FrameTokens(tokens_BSD, place_BS, present_BS)

    def find(self, frames: FrameTokens) -> tuple[FoundEvents, Float[Tensor, "B Q"]]:
        """What the queries found, and logits of how many events there are: 1, 2, … Q."""
        found = self.queries(frames)
        return found, self.count(found.query_BQD.amax(dim=1))

    def sentence_logits(
        self, tokens_NL: Int[Tensor, "N L"], about: SentenceMemory
    ) -> Float[Tensor, "N L V"]:
        """Of each word of given sentences, from those before it."""
        return self.decoder(
            tokens_NL,
            prefix_ND=about.prefix_ND,
            memory_NSD=about.memory_NSD,
            memory_mask_NS=about.memory_mask_NS,
        )

    def write_sentences(self, about: SentenceMemory) -> list[list[int]]:
        """Token ids of each sentence, by beam search."""
        return beam_search(
            self.decoder,
            prefix_ND=about.prefix_ND,
            memory_NSD=about.memory_NSD,
            memory_mask_NS=about.memory_mask_NS,
            beam=self._beam,
        )
