"""The Video Contextualizer: a small transformer over the frame embeddings of a video's events."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from figclip.config import MAX_POSITIONS
from figclip.errors import ModelError

VIDEO, EVENT, FRAME = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Contexts:
    """Outputs of the contextualizer, L2-normalised; rows of missing events are meaningless."""

    video_BD: Float[Tensor, "B D"]
    event_BPD: Float[Tensor, "B P D"]


@dataclass(frozen=True, slots=True)
class TokenOutputs:
    """Outputs of all tokens, not normalised: [VIDEO], then [EVENT] and frames of each event."""

    token_BSD: Float[Tensor, "B S D"]
    present_BS: Bool[Tensor, "B S"]
    num_events: int

    @property
    def video_BD(self) -> Float[Tensor, "B D"]:
        """At the [VIDEO] token."""
        return self.token_BSD[:, 0]

    @property
    def event_BPD(self) -> Float[Tensor, "B P D"]:
        """At the [EVENT_p] tokens; rows of missing events are meaningless."""
        return self.token_BSD[:, 1:].unflatten(1, (self.num_events, -1))[:, :, 0]

    @property
    def event_of_token_S(self) -> Int[Tensor, " S"]:
        """Which event each token belongs to; -1 for [VIDEO]."""
        per_event = (self.token_BSD.shape[1] - 1) // self.num_events
        events = torch.arange(self.num_events, device=self.token_BSD.device)
        return torch.cat([events.new_tensor([-1]), events.repeat_interleave(per_event)])


class VideoContextualizer(nn.Module):
    """Pre-norm transformer encoder over [VIDEO] [EVENT_1] frames of event 1 … [EVENT_P] frames.

    Each token is the frame's embedding (nothing for [VIDEO] and [EVENT]) plus learnt embeddings of
    its type, of its event's position and of its frame's position in the event.

    `dim` is the projection dim D of the CLIP, which `head_dim` must divide; `num_layers` is 6 in
    the paper. Dropout is 0 in the contextualizer, whose micro-batches must repeat. Types and
    positions begin with a standard deviation of `place_std`; 0.02 suits L2-normalised frames, and
    is drowned by larger ones.

    Source:
        FiGCLIP (arXiv 2401.07669), section 3.2. Open there and chosen here: feed-forward width
        4 D, GELU, a final norm, initial embeddings of standard deviation 0.02, and layers that are
        drawn one by one (`build_encoder` says how).
    """

    def __init__(
        self,
        dim: int,
        *,
        num_layers: int,
        head_dim: int,
        dropout: float = 0.0,
        place_std: float = 0.02,
    ) -> None:
        super().__init__()
        if dim % head_dim:
            raise ModelError(
                f"a width of {dim} does not split into heads of {head_dim}",
                where="model.contextualizer_head_dim",
                fix=f"Choose a divisor of {dim}.",
            )
        self.type_embedding = nn.Embedding(3, dim)
        self.event_embedding = nn.Embedding(MAX_POSITIONS, dim)
        self.frame_embedding = nn.Embedding(MAX_POSITIONS, dim)
        self.encoder = build_encoder(
            dim, num_layers=num_layers, num_heads=dim // head_dim, dropout=dropout
        )
        for table in (self.type_embedding, self.event_embedding, self.frame_embedding):
            nn.init.normal_(table.weight, std=place_std)

    def forward(
        self, frames_BPTD: Float[Tensor, "B P T D"], *, frame_mask_BPT: Bool[Tensor, "B P T"]
    ) -> Contexts:
        """Contextualise the L2-normalised frames of B videos; padding may hold any finite value.

        `frame_mask_BPT` is True where a frame is there. An event without frames is missing: its
        token and frames are seen by no other token.

        Raises:
            ModelError: more events or frames than there are positions.
        """
        outputs = self.encode(frames_BPTD, frame_mask_BPT=frame_mask_BPT)
        return Contexts(
            nn.functional.normalize(outputs.video_BD, dim=-1),
            nn.functional.normalize(outputs.event_BPD, dim=-1),
        )

    def pool(
        self, frames_CND: Float[Tensor, "C N D"], *, frames_per_event: int
    ) -> Float[Tensor, "C D"]:
        """One embedding for each of C clips, seen in N frames that are L2-normalised.

        As in training T frames, `frames_per_event`, are an event; the last may have fewer. A clip
        of one event is the event's output, a longer one the video's.

        Raises:
            ModelError: more events than there are positions.
        """
        C, N = frames_CND.shape[:2]
        P = -(-N // frames_per_event)
        padded = nn.functional.pad(frames_CND, (0, 0, 0, P * frames_per_event - N))
        mask_N = torch.arange(padded.shape[1], device=padded.device) < N
        contexts = self(
            padded.unflatten(1, (P, frames_per_event)),
            frame_mask_BPT=mask_N.unflatten(0, (P, frames_per_event)).expand(C, -1, -1),
        )
        return contexts.event_BPD[:, 0] if P == 1 else contexts.video_BD

    def encode(
        self, frames_BPTD: Float[Tensor, "B P T D"], *, frame_mask_BPT: Bool[Tensor, "B P T"]
    ) -> TokenOutputs:
        """As `forward`, with the outputs of all tokens as they are."""
        P, T = frames_BPTD.shape[1:3]
        if max(P, T) > MAX_POSITIONS:
            raise ModelError(
                f"{P} events of {T} frames, but the contextualizer has {MAX_POSITIONS} places",
                fix="Split the video, or use pooling=mean.",
            )
        tokens, present = self._tokens(frames_BPTD, frame_mask_BPT)
        outputs = self.encoder(tokens, src_key_padding_mask=~present)
        return TokenOutputs(outputs, present, num_events=P)

    def _tokens(
        self, frames_BPTD: Float[Tensor, "B P T D"], frame_mask_BPT: Bool[Tensor, "B P T"]
    ) -> tuple[Float[Tensor, "B S D"], Bool[Tensor, "B S"]]:
        """The token sequence of length S = 1 + P (T + 1), and where tokens are present."""
        B, P, T, D = frames_BPTD.shape
        kinds = self.type_embedding.weight
        places_PD = self.event_embedding.weight[:P]
        frames = (
            frames_BPTD.masked_fill(~frame_mask_BPT[..., None], 0.0)
            + kinds[FRAME]
            + places_PD[:, None]
            + self.frame_embedding.weight[:T]
        )
        events = (kinds[EVENT] + places_PD)[:, None].expand(B, P, 1, D)
        video = kinds[VIDEO].expand(B, 1, D)
        tokens = torch.cat([video, torch.cat([events, frames], dim=2).flatten(1, 2)], dim=1)
        event_mask_BP1 = frame_mask_BPT.any(dim=2, keepdim=True)
        present_BS = torch.cat([event_mask_BP1, frame_mask_BPT], dim=2).flatten(1)
        return tokens, torch.cat([present_BS.new_ones(B, 1), present_BS], dim=1)


def build_encoder(
    width: int, *, num_layers: int, num_heads: int, dropout: float
) -> nn.TransformerEncoder:
    """Build the encoder of this package: pre-norm, feed-forward of 4 D, GELU, a final norm.

    Each layer is drawn by itself. `nn.TransformerEncoder` alone copies one layer, so that all start
    with the same weights; its documentation warns of that. The names of the weights are its own.

    Each layer starts as `nn.TransformerEncoderLayer` does: query, key and value by Xavier uniform
    (standard deviation (2 D)^-½), the three other matrices uniform within ± fan_in^-½ (standard
    deviation (3 fan_in)^-½, where fan_in is D, or 4 D in the second of the feed-forward), biases of
    attention 0, those of the feed-forward within ± fan_in^-½, norms 1 and 0.

    Source:
        `nn.TransformerEncoderLayer` of PyTorch 2.9.
    """
    layers = [
        nn.TransformerEncoderLayer(
            d_model=width,
            nhead=num_heads,
            dim_feedforward=4 * width,
            dropout=dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        for _ in range(num_layers)
    ]
    encoder = nn.TransformerEncoder(
        layers[0], num_layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
    )
    encoder.layers = nn.ModuleList(layers)
    return encoder
