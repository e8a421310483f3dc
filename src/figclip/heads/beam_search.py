"""Beam search: the most probable sequences of a decoder, deterministic."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from figclip.data.vocabulary import END, PAD, UNKNOWN
from figclip.heads.text_decoder import TextDecoder


@torch.inference_mode()
def beam_search(
    decoder: TextDecoder,
    *,
    prefix_ND: Float[Tensor, "N D"],
    memory_NSD: Float[Tensor, "N S D"],
    memory_mask_NS: Bool[Tensor, "N S"],
    beam: int,
) -> list[list[int]]:
    """Write a sequence a row: the one of largest mean log-probability a token, END counted.

    Padding and the unknown word are never written. A sequence that does not end within the
    decoder's length is cut there.

    Args:
        decoder: Without dropout (`eval`).
        prefix_ND: What each sequence is about.
        memory_NSD: What it may look at.
        memory_mask_NS: True where the memory is there.
        beam: Sequences held at once, at least 1; 1 takes the most probable token each time.

    Returns:
        Token ids without END.
    """
    num_rows, device = len(prefix_ND), prefix_ND.device
    if num_rows == 0:
        return []
    logits, state = decoder.write(prefix_ND[:, None], decoder.start(memory_NSD, memory_mask_NS))
    beams = _Beams(_log_probabilities(logits[:, -1]), beam=beam)
    row_N = torch.arange(num_rows, device=device)[:, None].expand(-1, beams.width).flatten()
    state = state.rows(row_N)
    for _ in range(decoder.max_length - 1):
        if beams.done():
            break
        logits, state = decoder.write(decoder.embed(beams.last_tokens[:, None]), state)
        # The sequences of a row look at the same memory.
        state = state.continuing(beams.extend(_log_probabilities(logits[:, -1])))
    return beams.best()


class _Beams:
    """The sequences held, `width` a row; an ended one keeps its place as it is.

    Args:
        first_NV: Log-probabilities of the first token.
        beam: Sequences a row; fewer when the vocabulary is smaller.
    """

    def __init__(self, first_NV: Float[Tensor, "N V"], *, beam: int) -> None:
        self.width = min(beam, first_NV.shape[1])
        sums_NK, tokens_NK = first_NV.topk(self.width, dim=1)
        self._sums_NK = sums_NK
        self._tokens_NKL = tokens_NK[:, :, None]

    @property
    def last_tokens(self) -> Int[Tensor, " N"]:
        """Last token of every sequence."""
        return self._tokens_NKL[:, :, -1].flatten()

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

    def best(self) -> list[list[int]]:
        """The best sequence of each row."""
        written_NKL = self._tokens_NKL != PAD
        mean_NK = self._sums_NK / written_NKL.sum(dim=2)
        best_N = mean_NK.argmax(dim=1)
        rows = self._tokens_NKL[torch.arange(len(best_N)), best_N].tolist()
        return [[token for token in row if token not in (PAD, END)] for row in rows]

    def _ended(self) -> Bool[Tensor, "N K"]:
        """Which sequences have ended."""
        last_NK = self._tokens_NKL[:, :, -1]
        return (last_NK == END) | (last_NK == PAD)

    def _lengths_after(self) -> Int[Tensor, "N K"]:
        """Tokens of each sequence after the next one; an ended one has no next."""
        written_NK = (self._tokens_NKL != PAD).sum(dim=2)
        return written_NK + (~self._ended()).to(written_NK.dtype)


def _log_probabilities(logits_NV: Float[Tensor, "N V"]) -> Float[Tensor, "N V"]:
    """Of the tokens that may be written."""
    logits_NV = logits_NV.float().clone()
    logits_NV[:, [PAD, UNKNOWN]] = -torch.inf
    return logits_NV.log_softmax(dim=-1)
