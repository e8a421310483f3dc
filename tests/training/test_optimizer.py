"""Groups of two methods under one optimiser: each steps as torch's own would."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from figclip.training.loop import GroupedOptimizer


def weights() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(size, generator=generator)) for size in ((4, 6), (3,))]


def take_steps(parameters: list[nn.Parameter], *optimizers: torch.optim.Optimizer) -> None:
    generator = torch.Generator().manual_seed(1)
    for step in range(4):
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = 0.1 / (step + 1)
            optimizer.step()


def test_steps_as_both_would_alone():
    ours, theirs = weights(), weights()
    groups = [
        {"params": ours[:1], "lr": 0.1, "weight_decay": 0.2, "method": "muon"},
        {"params": ours[1:], "lr": 0.1, "weight_decay": 0.0, "method": "adamw"},
    ]
    take_steps(ours, GroupedOptimizer(groups))
    take_steps(
        theirs,
        torch.optim.Muon(theirs[:1], lr=0.1, weight_decay=0.2),
        torch.optim.AdamW(theirs[1:], lr=0.1, weight_decay=0.0),
    )
    for our, their, before in zip(ours, theirs, weights(), strict=True):
        assert torch.equal(our, their)
        assert not torch.equal(our, before)


def test_state_is_in_one_place():
    parameters = weights()
    groups = [
        {"params": parameters[:1], "lr": 0.1, "weight_decay": 0.2, "method": "muon"},
        {"params": parameters[1:], "lr": 0.1, "weight_decay": 0.0, "method": "adamw"},
    ]
    optimizer = GroupedOptimizer(groups)
    take_steps(parameters, optimizer)
    assert set(optimizer.state[parameters[0]]) == {"momentum_buffer"}
    assert set(optimizer.state[parameters[1]]) == {"step", "exp_avg", "exp_avg_sq"}


def test_muon_refuses_vectors():
    parameters = weights()
    group = {"params": parameters[1:], "lr": 0.1, "weight_decay": 0.0, "method": "muon"}
    with pytest.raises(ValueError, match="2D"):
        GroupedOptimizer([group])


def test_loading_states_torch_s_way_is_refused():
    group = {"params": weights()[1:], "lr": 0.1, "weight_decay": 0.0, "method": "adamw"}
    optimizer = GroupedOptimizer([group])
    with pytest.raises(NotImplementedError, match="in place"):
        optimizer.load_state_dict(optimizer.state_dict())
