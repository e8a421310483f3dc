"""The dense captioning head: the events of a whole video, a sentence each, from frozen features.

Queries look for the events: each holds a span, and every layer moves it.

Shape letters of dense captioning: B videos, S frames, Q queries, L layers, H attention heads. Spans
are middle and length, both as a share of the video.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn

from figclip.config import EventQueries as QueryConfig
from figclip.config import TransformerConfig
from figclip.heads.captioning.temporal import FrameEncoder
from figclip.heads.text_decoder import TextDecoder, TextMemory, join_heads, split_heads

WAVES = 16
"""Frequencies by which a number is told to a network."""

_FIRST_LENGTHS = (0.1, 0.25, 0.5)
_SMALLEST = 1e-4


@dataclass(frozen=True, slots=True)
class FrameTokens:
    """Encoded frames of B videos; padding is meaningless.

    The place of a frame is its time as a share of its video, in [0, 1]. Each video has at least
    one.
    """

    token_BSD: Float[Tensor, "B S D"]
    place_BS: Float[Tensor, "B S"]
    present_BS: Bool[Tensor, "B S"]


@dataclass(frozen=True, slots=True)
class FoundEvents:
    """What the queries hold after each layer; the last layer's is the answer.

    Spans are middle and length; confidence is the logit of having found an event.
    """

    span_LBQ2: Float[Tensor, "L B Q 2"]
    confidence_LBQ: Float[Tensor, "L B Q"]
    query_LBQD: Float[Tensor, "L B Q D"]


def waves(x: Float[Tensor, "*N"]) -> Float[Tensor, "*N W"]:
    """Sine and cosine of a number in [0, 1] at `WAVES` frequencies, half a wave to 90 waves."""
    steps = torch.arange(WAVES, device=x.device, dtype=x.dtype)
    angles = x[..., None] * math.pi * 2 ** (steps / 2)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def edges(span_N2: Float[Tensor, "*N 2"]) -> Float[Tensor, "*N 2"]:
    """Start and end from middle and length."""
    middle, half = span_N2[..., 0], span_N2[..., 1] / 2
    return torch.stack([middle - half, middle + half], dim=-1)


class EventQueries(nn.Module):
    """A transformer decoder whose queries are spans.

    Source:
        Set prediction: Carion et al., DETR, ECCV 2020. Queries that are moved from layer to layer:
        Liu et al., DAB-DETR, ICLR 2022. Attention that leans on the query's own span, so that
        training takes epochs instead of days: Gao et al., SMCA, ICCV 2021. Here in one dimension,
        where no sampling operator is needed.
    """

    def __init__(
        self, width: int, *, num_queries: int, num_layers: int, num_heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.query_embedding = nn.Embedding(num_queries, width)
        self.first_span_embedding = nn.Parameter(_first_spans(num_queries))
        self.place_of_frame = nn.Linear(2 * WAVES, width)
        self.place_of_query = nn.Linear(4 * WAVES, width)
        self.layers = nn.ModuleList(
            _QueryLayer(width, num_heads=num_heads, dropout=dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(width)
        step = nn.Linear(width, 2)
        self.move = nn.Sequential(nn.Linear(width, width), nn.GELU(), step)
        self.confidence = nn.Linear(width, 1)
        nn.init.zeros_(step.weight)
        nn.init.zeros_(step.bias)

    def forward(self, frames: FrameTokens) -> FoundEvents:
        """Look for events."""
        batch = len(frames.token_BSD)
        query_BQD = self.query_embedding.weight.expand(batch, -1, -1)
        logit_BQ2 = self.first_span_embedding.expand(batch, -1, -1)
        frame_place_BSD = self.place_of_frame(waves(frames.place_BS))
        spans: list[Tensor] = []
        confidences: list[Tensor] = []
        queries: list[Tensor] = []
        for layer in self.layers:
            span_BQ2 = logit_BQ2.sigmoid()
            query_place_BQD = self.place_of_query(waves(span_BQ2).flatten(-2))
            query_BQD = layer(query_BQD, query_place_BQD, span_BQ2, frames, frame_place_BSD)
            normed_BQD = self.norm(query_BQD)
            moved_BQ2 = logit_BQ2 + self.move(normed_BQD)
            spans.append(moved_BQ2.sigmoid())
            # The next layer answers for its own move only: the spans before it are given.
            logit_BQ2 = moved_BQ2.detach()
            confidences.append(self.confidence(normed_BQD)[..., 0])
            queries.append(normed_BQD)
        return FoundEvents(torch.stack(spans), torch.stack(confidences), torch.stack(queries))


def _first_spans(num_queries: int) -> Float[Tensor, "Q 2"]:
    """Logits of spans of several lengths, their middles spread over the video."""
    middle_Q = (torch.arange(num_queries) + 0.5) / num_queries
    lengths = torch.tensor(_FIRST_LENGTHS)
    length_Q = lengths[torch.arange(num_queries) % len(lengths)]
    return torch.stack([middle_Q, length_Q], dim=-1).logit()


class _QueryLayer(nn.Module):
    """Attention among the queries, to the frames in and around each one's span, feed-forward."""

    def __init__(self, width: int, *, num_heads: int, dropout: float) -> None:
        super().__init__()
        self._num_heads = num_heads
        self.norm_self, self.norm_frames, self.norm_mlp = (nn.LayerNorm(width) for _ in range(3))
        self.self_qk = nn.Linear(width, 2 * width)
        self.self_v = nn.Linear(width, width)
        self.self_out = nn.Linear(width, width)
        self.frame_q = nn.Linear(width, width)
        self.frame_k = nn.Linear(width, width)
        self.frame_v = nn.Linear(width, width)
        self.frame_out = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)
        # Where a head looks: from the span's start over its middle to its end, how far around it.
        self.offset_H = nn.Parameter(torch.linspace(-0.5, 0.5, num_heads))
        self.reach_H = nn.Parameter(torch.full((num_heads,), 0.25).log())

    def forward(
        self,
        query_BQD: Tensor,
        place_BQD: Tensor,
        span_BQ2: Tensor,
        frames: FrameTokens,
        frame_place_BSD: Tensor,
    ) -> Tensor:
        """The queries after this layer."""
        normed = self.norm_self(query_BQD)
        query, key = map(self._heads, self.self_qk(normed + place_BQD).chunk(2, dim=-1))
        attended = F.scaled_dot_product_attention(query, key, self._heads(self.self_v(normed)))
        query_BQD = query_BQD + self.dropout(self.self_out(join_heads(attended)))
        attended = F.scaled_dot_product_attention(
            self._heads(self.frame_q(self.norm_frames(query_BQD) + place_BQD)),
            self._heads(self.frame_k(frames.token_BSD + frame_place_BSD)),
            self._heads(self.frame_v(frames.token_BSD)),
            attn_mask=self._leaning(span_BQ2, frames),
        )
        query_BQD = query_BQD + self.dropout(self.frame_out(join_heads(attended)))
        return query_BQD + self.dropout(self.mlp(self.norm_mlp(query_BQD)))

    def _leaning(
        self, span_BQ2: Float[Tensor, "B Q 2"], frames: FrameTokens
    ) -> Float[Tensor, "B H Q S"]:
        """Added to the logits of attention: less the farther a frame is from where a head looks."""
        middle_BQ, length_BQ = span_BQ2.unbind(-1)
        look_BHQ = middle_BQ[:, None] + self.offset_H[:, None] * length_BQ[:, None]
        frame_length_B = 1 / frames.present_BS.sum(dim=1)
        reach_BHQ = self.reach_H.exp()[:, None] * length_BQ[:, None]
        reach_BHQ = reach_BHQ + frame_length_B[:, None, None]
        distance_BHQS = (frames.place_BS[:, None, None] - look_BHQ[..., None]) / reach_BHQ[
            ..., None
        ]
        absent_BS = ~frames.present_BS
        return (-0.5 * distance_BHQS**2).masked_fill(absent_BS[:, None, None], -torch.inf)

    def _heads(self, rows_BND: Tensor) -> Tensor:
        return split_heads(rows_BND, self._num_heads)


def generalised_iou(
    first_N2: Float[Tensor, "*N 2"], second_M2: Float[Tensor, "*M 2"]
) -> Float[Tensor, "*K"]:
    """IoU of spans less the share of their hull that neither covers, in (-1, 1]; shapes broadcast.

    Spans are start and end.

    Source:
        Rezatofighi et al., Generalized Intersection over Union, CVPR 2019, in one dimension.
    """
    low = torch.maximum(first_N2[..., 0], second_M2[..., 0])
    high = torch.minimum(first_N2[..., 1], second_M2[..., 1])
    overlap = (high - low).clamp(min=0)
    lengths = [(one[..., 1] - one[..., 0]).clamp(min=0) for one in (first_N2, second_M2)]
    union = (lengths[0] + lengths[1] - overlap).clamp(min=_SMALLEST)
    hull = torch.maximum(first_N2[..., 1], second_M2[..., 1]) - torch.minimum(
        first_N2[..., 0], second_M2[..., 0]
    )
    hull = hull.clamp(min=_SMALLEST)
    return overlap / union - (hull - union) / hull


@dataclass(frozen=True, slots=True)
class FrameRows:
    """L2-normalised features of B whole videos, padded; places are as in `FrameTokens`."""

    frames_BSD: Float32[Tensor, "B S D"]
    place_BS: Float32[Tensor, "B S"]
    duration_B: Float32[Tensor, " B"]
    present_BS: Bool[Tensor, "B S"]


_LONGEST_S = 4096.0
"""Up to here the network tells times apart; later ones look alike to it."""


def sentence_memory(
    frames: FrameTokens,
    query_BQD: Float[Tensor, "B Q D"],
    *,
    video_N: Int[Tensor, " N"],
    query_N: Int[Tensor, " N"],
    edge_N2: Float[Tensor, "N 2"],
) -> TextMemory:
    """What the sentences of N events are written from: the query, and the frames of the span.

    Spans are shares of the video; where no frame lies within, the one nearest to the middle is
    taken.
    """
    place_NS, present_NS = frames.place_BS[video_N], frames.present_BS[video_N]
    start_N1, end_N1 = edge_N2[:, :1], edge_N2[:, 1:]
    distance_NS = (place_NS - (start_N1 + end_N1) / 2).abs()
    distance_NS = distance_NS.masked_fill(~present_NS, torch.inf)
    nearest_NS = distance_NS == distance_NS.amin(dim=1, keepdim=True)
    within_NS = (place_NS >= start_N1) & (place_NS <= end_N1) & present_NS
    query_ND = query_BQD[video_N, query_N]
    return TextMemory(query_ND, frames.token_BSD[video_N], within_NS | nearest_NS)


class CaptioningHead(nn.Module):
    """A temporal transformer over the frames of a video, queries for its events, a text decoder.

    The number of frames is not bounded. Each sentence is written from the frames of its span, and
    from the query that found it. `rerank` is what sentences weigh in the choice of events.

    Source:
        Wang et al., End-to-End Dense Video Captioning with Parallel Decoding (PDVC), ICCV 2021: set
        prediction, an event counter, sentences from queries, focal and generalised IoU losses. Ours
        has full attention at one scale, where theirs samples deformably at four.
    """

    def __init__(
        self,
        feature_dim: int,
        *,
        num_tokens: int,
        size: TransformerConfig,
        queries: QueryConfig,
        rerank: float = 0.0,
    ) -> None:
        super().__init__()
        width = size.width
        self.beam = size.beam
        self.rerank = rerank
        self.project = nn.Linear(feature_dim, width)
        self.place = nn.Linear(4 * WAVES, width)
        self.temporal = FrameEncoder(
            width, num_layers=size.encoder_layers, num_heads=size.heads, dropout=size.dropout
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
        tokens_BSD = self.temporal(tokens_BSD, present_BS=present_BS)
        return FrameTokens(tokens_BSD, place_BS, present_BS)

    def find(self, frames: FrameTokens) -> tuple[FoundEvents, Float[Tensor, "B Q"]]:
        """What the queries found, and logits of how many events there are: 1, 2, … Q."""
        found = self.queries(frames)
        return found, self.count(found.query_LBQD[-1].amax(dim=1))
