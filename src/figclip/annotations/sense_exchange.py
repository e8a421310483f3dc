"""Pair verb senses for negatives, so that each sense is as often false as it is true.

A verb decides what its roles are called and which modifiers it takes: in VidSitu every sense has
its own list. A negative that keeps an event's modifiers under another sense can therefore be told
from a true caption by that combination alone (`run` without a goal, `rise` instead of `fall`). So
senses are exchanged only among events of the same shape, and in numbers that balance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from figclip.annotations.captions import trimmed_role_name
from figclip.annotations.roles import filled_roles, filled_scene
from figclip.records import Event

_NUM_ROUNDS = 100
"""On VidSitu valid the shares then fill 72.8 % of the places, which is the most that can be
(linear programme: 72.8 %, 2026-11-28)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventShape:
    """What a caption shows of an event besides its words.

    Attributes:
        slots: Numbered slots that say something.
        modifiers: Names of the modifiers that do.
        has_scene: Whether the scene does.
    """

    slots: frozenset[str]
    modifiers: frozenset[str]
    has_scene: bool


def event_shape(event: Event) -> EventShape:
    """The shape of an event."""
    roles = filled_roles(event)
    return EventShape(
        slots=frozenset(role.slot for role in roles if not role.is_modifier),
        modifiers=frozenset(trimmed_role_name(role.name) for role in roles if role.is_modifier),
        has_scene=bool(filled_scene(event)),
    )


@dataclass(frozen=True, slots=True)
class SenseExchange:
    """The exchange among the senses of the events of one shape.

    Attributes:
        senses: Position of each in the pool, ascending. S of them.
        share_SS: Row: the true sense; column: the share of its negatives that get this sense. What
            a row lacks to 1 has no negative.
        count_S: Events of each sense.
    """

    senses: tuple[int, ...]
    share_SS: Float64[np.ndarray, "S S"]
    count_S: Float64[np.ndarray, " S"]

    def shares_for(self, sense: int) -> dict[int, float]:
        """Share of each sense among the negatives of a true one, sense by position in the pool.

        A sense that no event of the pool has in this shape gets the others as often as they occur.
        """
        if sense in self.senses:
            row_S = self.share_SS[self.senses.index(sense)]
        else:
            row_S = self.count_S / self.count_S.sum()
        return {other: float(share) for other, share in zip(self.senses, row_S, strict=True)}


def balance_senses(counts: Mapping[int, int], excluded: Sequence[frozenset[int]]) -> SenseExchange:
    """Exchange the senses of one shape.

    Every event gives its place to at most one sense (times K), and every sense takes at most as
    many places as it has events; under these bounds as many places are filled as can be, as evenly
    as can be. A sense with more events than all that may replace it (`talk`) leaves places empty.

    Args:
        counts: Number of events of each sense, by position in the pool.
        excluded: Senses that may not stand in for each, in the order of `counts`; itself too.

    Source:
        Iterative proportional fitting (Sinkhorn and Knopp 1967), with rows that may fall short.
    """
    senses = tuple(counts)
    count_S = np.array([counts[sense] for sense in senses], np.float64)
    may_SS: Bool[np.ndarray, "S S"] = np.array(
        [[other not in row for other in senses] for row in excluded], bool
    ).reshape(len(senses), len(senses))
    places_SS = may_SS * count_S[:, None] * count_S
    for _ in range(_NUM_ROUNDS):
        places_SS = places_SS * _factors(count_S, places_SS.sum(axis=0))
        # Rows only shrink, so that no column passes its bound again.
        places_SS = places_SS * np.minimum(1, _factors(count_S, places_SS.sum(axis=1)))[:, None]
    return SenseExchange(senses, places_SS / count_S[:, None], count_S)


def _factors(
    wanted_S: Float64[np.ndarray, " S"], found_S: Float64[np.ndarray, " S"]
) -> Float64[np.ndarray, " S"]:
    """What to multiply by; 1 where there is nothing to multiply."""
    return np.divide(wanted_S, found_S, out=np.ones_like(wanted_S), where=found_S > 0)
