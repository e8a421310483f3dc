"""A head's file: damage is noticed, heads of earlier versions load."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from figclip.errors import ModelError
from figclip.heads.run import load_head, write_head
from figclip.model.backbone import weights_hash


def test_a_flipped_bit_of_a_head_is_noticed(tmp_path: Path):
    file, head = tmp_path / "head.safetensors", nn.Linear(3, 2)
    write_head(file, head)
    content, expected = file.read_bytes(), weights_hash(head)
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1
        file.write_bytes(damaged)
        found = nn.Linear(3, 2)
        try:
            load_head(file, found)
        except ModelError as error:
            assert error.where == str(file)
        else:  # the name of the hash in the header, or white space
            assert weights_hash(found) == expected and position < len(content) - 32
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelError, match="not those that were written"):
        load_head(file, nn.Linear(3, 2))


def test_a_head_without_a_hash_loads(tmp_path: Path):
    file, head = tmp_path / "head.safetensors", nn.Linear(3, 2)
    save_file(head.state_dict(), file)
    found = nn.Linear(3, 2)
    load_head(file, found)
    assert torch.equal(found.weight, head.weight)
