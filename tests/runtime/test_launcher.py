"""Which of several processes speaks."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from figclip.errors import ConfigError
from figclip.runtime.launcher import (
    is_first_to_stop,
    is_lost_connection,
    is_main_process,
    require_one_process,
)


def be(monkeypatch: pytest.MonkeyPatch, *, rank: int, num: int) -> None:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", str(num))


def test_one_process_always_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert is_main_process() and is_first_to_stop() and is_first_to_stop()
    require_one_process("eval")


@pytest.mark.parametrize("module", [None, SimpleNamespace(), torch.distributed])
def test_before_they_work_together_the_main_process_speaks(
    monkeypatch: pytest.MonkeyPatch, module: object
) -> None:
    monkeypatch.setitem(sys.modules, "torch.distributed", module)
    for rank in range(2):
        be(monkeypatch, rank=rank, num=2)
        assert is_first_to_stop() == is_main_process() == (rank == 0)


def test_then_the_first_one_that_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    store = torch.distributed.HashStore()
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed.distributed_c10d, "_get_default_store", lambda: store)
    be(monkeypatch, rank=1, num=3)
    assert is_first_to_stop()
    be(monkeypatch, rank=0, num=3)
    assert not is_first_to_stop()


def test_one_that_finds_the_count_gone_is_not_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise torch.distributed.DistNetworkError("connection reset")

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed.distributed_c10d, "_get_default_store", gone)
    be(monkeypatch, rank=1, num=2)
    assert not is_first_to_stop()


def test_a_connection_is_lost_in_torchs_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, rank=1, num=2)
    with pytest.raises(ValueError, match="process group") as torchs:
        torch.distributed.barrier()
    with pytest.raises(ValueError, match="int") as ours:
        int("x")
    assert is_lost_connection(torchs.value) and not is_lost_connection(ours.value)
    be(monkeypatch, rank=0, num=1)
    assert not is_lost_connection(torchs.value)


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, rank=1, num=4)
    with pytest.raises(ConfigError, match="`figclip eval` runs in one process, and 4 were started"):
        require_one_process("eval")
