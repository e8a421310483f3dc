"""What is free: of the machine, of the container, of this process's share."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch

from figclip.runtime import memory
from figclip.runtime.memory import free_memory_bytes

CPU = torch.device("cpu")


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 1,000 free bytes, and two folders for what the kernel says of a container."""
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)

    class Memory:
        available = 1000

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    second, first = memory._CONTROL_GROUPS.values()
    monkeypatch.setattr(
        memory, "_CONTROL_GROUPS", {tmp_path / "second": second, tmp_path / "first": first}
    )
    return tmp_path


def write(folder: Path, **files: str) -> None:
    folder.mkdir()
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n", encoding="ascii")


def test_a_machine_has_what_the_system_says(groups: Path):
    assert free_memory_bytes(CPU) == 1000


def test_a_container_has_what_its_limit_leaves_and_files_make_room(groups: Path):
    stat = "anon 300\ninactive_file 150\nactive_file 20"
    write(groups / "second", memory__max="900", memory__current="500", memory__stat=stat)
    assert free_memory_bytes(CPU) == 900 - (500 - 150)


def test_control_groups_of_the_first_version(groups: Path):
    write(
        groups / "first",
        memory__limit_in_bytes="800",
        memory__usage_in_bytes="700",
        memory__stat="total_inactive_file 100",
    )
    assert free_memory_bytes(CPU) == 200


def test_a_container_without_a_limit_leaves_the_machine(groups: Path):
    write(groups / "second", memory__max="max", memory__current="5", memory__stat="inactive_file 0")
    assert free_memory_bytes(CPU) == 1000


def test_what_a_sandbox_leaves_out_counts_as_nothing(groups: Path):
    write(groups / "second", memory__max="400", memory__current="100")
    assert free_memory_bytes(CPU) == 300


def test_a_container_over_its_limit_leaves_nothing(groups: Path):
    write(groups / "second", memory__max="4", memory__current="5", memory__stat="inactive_file 0")
    assert free_memory_bytes(CPU) == 0


def test_processes_launched_together_share(groups: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert free_memory_bytes(CPU) == 250
