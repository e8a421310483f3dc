"""A folder says what it is of, and is of nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from figclip.errors import CheckpointError
from figclip.miniworld.painting import claim_folder

REFUSAL = CheckpointError("is of something else", where="here")


def test_the_first_claim_is_written_and_the_same_one_accepted(tmp_path: Path):
    file = tmp_path / "new" / "claim.json"
    claim_folder(file, {"seed": 0, "sizes": (1, 2)}, refusal=REFUSAL)
    content = file.read_text()
    claim_folder(file, {"seed": 0, "sizes": (1, 2)}, refusal=REFUSAL)
    assert file.read_text() == content


@pytest.mark.parametrize("content", ['{"seed": 1}', "{", "", "[" * 100_000])
def test_any_other_content_is_refused_and_left_alone(tmp_path: Path, content: str):
    file = tmp_path / "claim.json"
    file.write_text(content)
    with pytest.raises(CheckpointError, match="is of something else"):
        claim_folder(file, {"seed": 0}, refusal=REFUSAL)
    assert file.read_text() == content
