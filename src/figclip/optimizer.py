"""One optimiser for parameter groups of different methods: AdamW, and Muon for hidden matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch

Method = Literal["adamw", "muon"]
"""Muon (Jordan et al., kellerjordan.github.io/posts/muon) takes matrices only."""


class GroupedOptimizer(torch.optim.Optimizer):
    """Steps each group by its own method; groups and states are those of one optimiser.

    States are restored in place, `state[parameter] = …`, as the training loop does.

    Args:
        groups: As for torch's optimisers, each with its `method`.
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {})
        self._parts: list[torch.optim.Optimizer] = []
        for method in get_args(Method):
            # The parts hold the very same groups and states: a rate set here reaches them.
            if chosen := [group for group in self.param_groups if group["method"] == method]:
                part = _build(chosen, method)
                part.state = self.state
                self._parts.append(part)

    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Step all groups; a closure is not supported."""
        assert closure is None, "gradients are accumulated before the step"
        for part in self._parts:
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Not supported: torch's would make new groups and states, which the parts do not see."""
        raise NotImplementedError("restore states in place")


def _build(groups: list[dict[str, Any]], method: Method) -> torch.optim.Optimizer:
    """Torch's optimiser of a method, with its own defaults for what the groups leave open."""
    return torch.optim.AdamW(groups) if method == "adamw" else torch.optim.Muon(groups)
