"""A small autoregressive transformer that writes tokens about a memory, and its beam search.

The search is deterministic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from figclip.heads.vocabulary import END, PAD, UNKNOWN


def split_heads(rows_NLD: Float[Tensor, "N L D"], num_heads: int) -> Float[Tensor, "N H L E"]:
    """The H heads of each row, of width E = D / H."""
    return rows_NLD.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def join_heads(heads_NHLE: Float[Tensor, "N H L E"]) -> Float[Tensor, "N L D"]:
    """The rows of such heads."""
    return heads_NHLE.transpose(1, 2).flatten(2)


@dataclass(frozen=True, slots=True)
class TextMemory:
    """What N sequences are written from.

    The prefix is what each is about: an event and its verb, or the query that found the event. It
    may look at tokens of its video where the mask is True, at least one.
    """

    prefix_ND: Float[Tensor, "N D"]
    memory_NSD: Float[Tensor, "N S D"]
    memory_mask_NS: Bool[Tensor, "N S"]

    def rows(self, index_M: Int[Tensor, " M"]) -> TextMemory:
        """What these sequences are written from."""
        return TextMemory(
            self.prefix_ND[index_M], self.memory_NSD[index_M], self.memory_mask_NS[index_M]
        )


@dataclass(frozen=True, slots=True)
class DecoderState:
    """What a decoder has read and written so far, a row a sequence.

    Keys and values are of each layer: of the memory, and of the `length` positions that are
    written, the prefix included.
    """

    length: int
    written: tuple[tuple[Tensor, Tensor] | None, ...]
    memory: tuple[tuple[Tensor, Tensor], ...]
    memory_mask_NS: Bool[Tensor, "N S"]

    def rows(self, index_M: Int[Tensor, " M"]) -> DecoderState:
        """The state of these sequences, which may repeat."""
        return replace(
            self.continuing(index_M),
            memory=tuple((k[index_M], v[index_M]) for k, v in self.memory),
            memory_mask_NS=self.memory_mask_NS[index_M],
        )

    def continuing(self, index_N: Int[Tensor, " N"]) -> DecoderState:
        """Each sequence goes on from what another with the same memory has written."""
        written = [None if kv is None else (kv[0][index_N], kv[1][index_N]) for kv in self.written]
        return replace(self, written=tuple(written))


class TextDecoder(nn.Module):
    """Pre-norm transformer decoder; position 0 reads a prefix vector instead of a token."""

    def __init__(
        self,
        num_tokens: int,
        *,
        width: int,
        num_layers: int,
        num_heads: int,
        dropout: float,
        max_length: int,
    ) -> None:
        super().__init__()
        self.max_length = max_length
        self.token_embedding = nn.Embedding(num_tokens, width)
        self.position_embedding = nn.Embedding(max_length + 1, width)
        self.layers = nn.ModuleList(
            _DecoderLayer(width, num_heads=num_heads, dropout=dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self._output_scale = 1 / math.sqrt(width)
        for table in (self.token_embedding, self.position_embedding):
            nn.init.normal_(table.weight, std=0.02)
        nn.init.normal_(self.token_embedding.weight, std=1.0)

    def start(self, about: TextMemory) -> DecoderState:
        """A state in which nothing is written yet."""
        memory = tuple(_layer(layer).read_memory(about.memory_NSD) for layer in self.layers)
        return DecoderState(0, (None,) * len(self.layers), memory, about.memory_mask_NS)

    def write(
        self, inputs_NLD: Float[Tensor, "N L D"], state: DecoderState
    ) -> tuple[Float[Tensor, "N L V"], DecoderState]:
        """Logits of the token that follows each of some further inputs, and the new state.

        Inputs are the prefix vector, or tokens (`embed`) that follow those of `state`.
        """
        length = state.length + inputs_NLD.shape[1]
        places = torch.arange(state.length, length, device=inputs_NLD.device)
        hidden = self.dropout(inputs_NLD + self.position_embedding(places))
        written: list[tuple[Tensor, Tensor] | None] = []
        for layer, before, memory in zip(self.layers, state.written, state.memory, strict=True):
            hidden, now = _layer(layer)(hidden, before, memory, state.memory_mask_NS)
            written.append(now)
        logits = self.norm(hidden) @ self.token_embedding.weight.T * self._output_scale
        return logits, DecoderState(length, tuple(written), state.memory, state.memory_mask_NS)

    def embed(self, tokens_NL: Int[Tensor, "N L"]) -> Float[Tensor, "N L D"]:
        """Embeddings of tokens, to be written."""
        return self.token_embedding(tokens_NL) * self._output_scale

    def forward(self, tokens_NL: Int[Tensor, "N L"], about: TextMemory) -> Float[Tensor, "N L V"]:
        """Logits of each token of given sequences, from the prefix and the tokens before it."""
        inputs = torch.cat([about.prefix_ND[:, None], self.embed(tokens_NL[:, :-1])], dim=1)
        return self.write(inputs, self.start(about))[0]


def _layer(module: nn.Module) -> _DecoderLayer:
    """`nn.ModuleList` does not tell the type of its members."""
    assert isinstance(module, _DecoderLayer)
    return module


class _DecoderLayer(nn.Module):
    """Attention to what is written, to the memory, and a feed-forward network."""

    def __init__(self, width: int, *, num_heads: int, dropout: float) -> None:
        super().__init__()
        self._num_heads = num_heads
        self.norm_self, self.norm_memory, self.norm_mlp = (nn.LayerNorm(width) for _ in range(3))
        self.self_qkv = nn.Linear(width, 3 * width)
        self.self_out = nn.Linear(width, width)
        self.memory_q = nn.Linear(width, width)
        self.memory_kv = nn.Linear(width, 2 * width)
        self.memory_out = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def read_memory(self, memory_NSD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the memory, [N, heads, S, D / heads]."""
        keys, values = self.memory_kv(memory_NSD).chunk(2, dim=-1)
        return self._heads(keys), self._heads(values)

    def forward(
        self,
        hidden_NLD: Tensor,
        before: tuple[Tensor, Tensor] | None,
        memory: tuple[Tensor, Tensor],
        memory_mask_NS: Tensor,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Outputs at these positions, and keys and values of all positions so far."""
        query, key, value = map(
            self._heads, self.self_qkv(self.norm_self(hidden_NLD)).chunk(3, dim=-1)
        )
        if before is not None:
            key, value = torch.cat([before[0], key], dim=2), torch.cat([before[1], value], dim=2)
        new, all_places = query.shape[2], key.shape[2]
        causal = torch.ones(new, all_places, dtype=torch.bool, device=key.device)
        causal = causal.tril(all_places - new)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=causal)
        hidden_NLD = hidden_NLD + self.dropout(self.self_out(join_heads(attended)))
        query = self._heads(self.memory_q(self.norm_memory(hidden_NLD)))
        attended = F.scaled_dot_product_attention(
            query, *memory, attn_mask=memory_mask_NS[:, None, None]
        )
        hidden_NLD = hidden_NLD + self.dropout(self.memory_out(join_heads(attended)))
        hidden_NLD = hidden_NLD + self.dropout(self.mlp(self.norm_mlp(hidden_NLD)))
        return hidden_NLD, (key, value)

    def _heads(self, rows_NLD: Tensor) -> Tensor:
        return split_heads(rows_NLD, self._num_heads)


@dataclass(frozen=True, slots=True)
class PartOrder:
    """The parts that each of N sequences must have: a mark and at least one word each, in order.

    `mark_NR` are the marks, of which R - 1 are the most that a sequence has, then END. `is_mark_V`
    is True of all marks that there are.
    """

    mark_NR: Int[Tensor, "N R"]
    is_mark_V: Bool[Tensor, " V"]

    def rows(self, index_M: Int[Tensor, " M"]) -> PartOrder:
        """The parts of these sequences, which may repeat."""
        return replace(self, mark_NR=self.mark_NR[index_M])

    def only_next(
        self, log_NV: Float[Tensor, "N V"], written_NL: Int[Tensor, "N L"]
    ) -> Float[Tensor, "N V"]:
        """Log-probabilities where a part is followed by the next one, or by END.

        A part ends as probably as any mark or END is written: which comes next is no choice.
        """
        ends_V = self.is_mark_V.clone()
        ends_V[END] = True
        num_begun_N = self.is_mark_V[written_NL].sum(dim=1)
        next_N1 = self.mark_NR.gather(1, num_begun_N[:, None])
        ending_N1 = log_NV[:, ends_V].logsumexp(dim=1, keepdim=True)
        if written_NL.shape[1] == 0:
            words_NV = torch.full_like(log_NV, -torch.inf)  # of no part
        else:
            words_NV = log_NV.masked_fill(ends_V, -torch.inf)
            has_no_word_N1 = self.is_mark_V[written_NL[:, -1:]]
            ending_N1 = ending_N1.masked_fill(has_no_word_N1, -torch.inf)
        return words_NV.scatter(1, next_N1, ending_N1)


@dataclass(frozen=True, slots=True)
class Written:
    """A sequence without END, and the mean log-probability of its tokens, that of END included."""

    tokens: tuple[int, ...]
    mean_log_probability: float


@torch.inference_mode()
def beam_search(
    decoder: TextDecoder, about: TextMemory, *, beam: int, parts: PartOrder | None = None
) -> list[Written]:
    """Write a sequence a row: the one of largest mean log-probability a token, END counted.

    Padding and the unknown word are never written. A sequence that does not end within the
    decoder's length is cut there. The decoder has no dropout (`eval`), and `beam` sequences are
    held at once: 1 takes the most probable token each time. With `parts` every sequence has those.
    """
    num_rows, device = len(about.prefix_ND), about.prefix_ND.device
    if num_rows == 0:
        return []
    logits, state = decoder.write(about.prefix_ND[:, None], decoder.start(about))
    nothing_N0 = torch.empty(num_rows, 0, dtype=torch.long, device=device)
    beams = _Beams(_log_probabilities(logits[:, -1], nothing_N0, parts), beam=beam)
    row_N = torch.arange(num_rows, device=device)[:, None].expand(-1, beams.width).flatten()
    state, parts = state.rows(row_N), None if parts is None else parts.rows(row_N)
    for _ in range(decoder.max_length - 1):
        if beams.done():
            break
        written_NL = beams.written_NL
        logits, state = decoder.write(decoder.embed(written_NL[:, -1:]), state)
        log_NV = _log_probabilities(logits[:, -1], written_NL, parts)
        # The sequences of a row look at the same memory.
        state = state.continuing(beams.extend(log_NV))
    return beams.best()


class _Beams:
    """The sequences held, `width` a row; an ended one keeps its place as it is."""

    def __init__(self, first_NV: Float[Tensor, "N V"], *, beam: int) -> None:
        self.width = min(beam, first_NV.shape[1])
        sums_NK, tokens_NK = first_NV.topk(self.width, dim=1)
        self._sums_NK = sums_NK
        self._tokens_NKL = tokens_NK[:, :, None]

    @property
    def written_NL(self) -> Int[Tensor, "N L"]:
        """Tokens of every sequence so far."""
        return self._tokens_NKL.flatten(0, 1)

    def done(self) -> bool:
        """Whether all sequences have ended."""
        return bool(self._ended().all())

    def extend(self, log_NV: Float[Tensor, "N V"]) -> Int[Tensor, " N"]:
        """Go on by one token; returns which of the sequences each one continues."""
        num_rows, width = self._sums_NK.shape
        num_tokens = log_NV.shape[1]
        ended_NK = self._ended()
        log_NKV = log_NV.view(num_rows, width, num_tokens)
        # An ended sequence goes on in one way, at no cost.
        log_NKV = log_NKV.masked_fill(ended_NK[..., None], -torch.inf)
        log_NKV[..., PAD] = torch.where(ended_NK, 0.0, -torch.inf)
        sums_NC = (self._sums_NK[..., None] + log_NKV).flatten(1)
        mean_NC = sums_NC / self._lengths_after()[..., None].expand(log_NKV.shape).flatten(1)
        chosen_NK = mean_NC.topk(width, dim=1).indices
        parent_NK = chosen_NK // num_tokens
        self._sums_NK = sums_NC.gather(1, chosen_NK)
        kept = self._tokens_NKL.gather(
            1, parent_NK[..., None].expand(-1, -1, self._tokens_NKL.shape[2])
        )
        self._tokens_NKL = torch.cat([kept, (chosen_NK % num_tokens)[..., None]], dim=2)
        offset_N1 = torch.arange(num_rows, device=parent_NK.device)[:, None] * width
        return (offset_N1 + parent_NK).flatten()

    def best(self) -> list[Written]:
        """The best sequence of each row."""
        written_NKL = self._tokens_NKL != PAD
        best_N = (self._sums_NK / written_NKL.sum(dim=2)).max(dim=1)
        rows = self._tokens_NKL[torch.arange(len(best_N.indices)), best_N.indices].tolist()
        return [
            Written(tuple(token for token in row if token not in (PAD, END)), mean)
            for row, mean in zip(rows, best_N.values.tolist(), strict=True)
        ]

    def _ended(self) -> Bool[Tensor, "N K"]:
        last_NK = self._tokens_NKL[:, :, -1]
        return (last_NK == END) | (last_NK == PAD)

    def _lengths_after(self) -> Int[Tensor, "N K"]:
        """Tokens of each sequence after the next one; an ended one has no next."""
        written_NK = (self._tokens_NKL != PAD).sum(dim=2)
        return written_NK + (~self._ended()).to(written_NK.dtype)


def _log_probabilities(
    logits_NV: Float[Tensor, "N V"], written_NL: Int[Tensor, "N L"], parts: PartOrder | None
) -> Float[Tensor, "N V"]:
    """Of the token that follows what is written."""
    logits_NV = logits_NV.float().clone()
    logits_NV[:, [PAD, UNKNOWN]] = -torch.inf
    log_NV = logits_NV.log_softmax(dim=-1)
    return log_NV if parts is None else parts.only_next(log_NV, written_NL)
