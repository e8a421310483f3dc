"""What a relation is told from: the outputs of two events, and their verbs and roles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence

from figclip.annotations.roles import short_role, told_text
from figclip.datasets.situations import UNSCORED_ROLES, TrueEvent
from figclip.heads.vocabulary import NUM_SPECIAL, PAD


@dataclass(frozen=True, slots=True)
class EventWords:
    """Verbs and roles of N events as ids; roles are written as heads write them, and padded."""

    verb_N: Int[Tensor, " N"]
    role_NL: Int[Tensor, "N L"]


def pad_words(
    verbs: Sequence[int], roles: Sequence[Sequence[int]], *, device: torch.device
) -> EventWords:
    """Words of at least one event."""
    tokens = [torch.tensor(one, dtype=torch.long) for one in roles]
    role_NL = pad_sequence(tokens, batch_first=True, padding_value=PAD)
    return EventWords(torch.tensor(verbs, device=device), role_NL.to(device))


def annotated_roles(event: TrueEvent) -> dict[str, str]:
    """As `head.written_roles`, of what an annotator says."""
    roles = {short_role(name): told_text(text) for name, text in event.roles.items()}
    return {key: text for key, text in roles.items() if text and key not in UNSCORED_ROLES}


def middle_rows(counts: Sequence[int]) -> list[int]:
    """Of events list by list, so many each: the row of the middle one of each event's list.

    It is the event that relations are to: Ev3 of VidSitu's five.
    """
    starts = accumulate(counts, initial=0)
    return [
        start + count // 2
        for start, count in zip(starts, counts, strict=False)
        for _ in range(count)
    ]


def pair_width(width: int, *, num_marks: int) -> int:
    """Numbers that `read_pairs` gives of a pair, D being `width`."""
    return 6 * width + num_marks**2


def read_pairs(
    event_ND: Float[Tensor, "N D"],
    verb_ND: Float[Tensor, "N D"],
    role_NKD: Float[Tensor, "N K D"],
    *,
    middle_N: Int[Tensor, " N"],
) -> Float[Tensor, "N F"]:
    """N events, each beside the middle one, which is at this row: F = `pair_width` numbers.

    Of both the output, the verb and the mean role; and how alike each role of one is to each of
    the other, by the cosine of their words. Who is who decides much, and the same thing gets the
    same name.
    """
    num_roles_N1 = role_NKD.any(dim=2).sum(dim=1, keepdim=True).clamp(min=1)
    own_NE = torch.cat([event_ND, verb_ND, role_NKD.sum(dim=1) / num_roles_N1], dim=1)
    unit_NKD = normalize(role_NKD, dim=2)
    alike_NKK = unit_NKD @ unit_NKD[middle_N].transpose(1, 2)
    return torch.cat([own_NE, own_NE[middle_N], alike_NKK.flatten(1)], dim=1)


def pool_roles(
    word_NLD: Float[Tensor, "N L D"], role_NL: Int[Tensor, "N L"], *, num_marks: int
) -> Float[Tensor, "N K D"]:
    """The mean word of each of the K keys of roles, from embeddings of written roles; else 0."""
    key_NL = role_NL - NUM_SPECIAL
    is_key_NL = (key_NL >= 0) & (key_NL < num_marks)
    place_L = torch.arange(role_NL.shape[1], device=role_NL.device)
    last_NL = torch.where(is_key_NL, place_L, -1).cummax(dim=1).values
    key_NL = torch.where(last_NL >= 0, key_NL.gather(1, last_NL.clamp(min=0)), -1)
    keys_K1 = torch.arange(num_marks, device=role_NL.device)[:, None]
    is_word_NL = role_NL >= NUM_SPECIAL + num_marks
    own_NKL = (key_NL[:, None] == keys_K1) & is_word_NL[:, None]
    share_NKL = own_NKL / own_NKL.sum(dim=2, keepdim=True).clamp(min=1)
    return share_NKL @ word_NLD
