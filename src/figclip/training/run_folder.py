"""The run folder: where its files are, its metrics log, and checkpoints that survive any kill.

A checkpoint is a folder `checkpoints/step-00000042/` with `tensors.safetensors` and `state.json`
(counters, and the hash of the tensors). It is written aside, fsynced and renamed, so it is whole
or absent.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from figclip.errors import CheckpointError
from figclip.runtime.files import fsync, write_atomically

CHECKPOINT_FORMAT = 1
_STEP_FOLDER = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint holds: tensors by name, and counters."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]


class RunFolder:
    """Paths and files of one run (docs/training.md).

    Args:
        path: The folder; nothing is made before something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.json"
        self.environment = path / "environment.json"
        self.data = path / "data.json"
        self.metrics = path / "metrics.jsonl"
        self.model = path / "model"
        self._checkpoints = path / "checkpoints"

    def steps(self) -> list[int]:
        """Steps of all checkpoints, ascending."""
        if not self._checkpoints.is_dir():
            return []
        matches = (_STEP_FOLDER.fullmatch(entry.name) for entry in self._checkpoints.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    @property
    def has_checkpoints(self) -> bool:
        """Whether there is one, of the run itself or of a head below it."""
        folders = (self._checkpoints, *self.path.glob(f"*/{self._checkpoints.name}"))
        return any(RunFolder(folder.parent).steps() for folder in folders)

    def save_checkpoint(
        self, step: int, *, tensors: Mapping[str, Tensor], state: Mapping[str, Any]
    ) -> None:
        """Write the checkpoint of a step, whole or not at all."""
        target = self._folder(step)
        aside = target.with_name(f".{target.name}.writing")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        file = aside / "tensors.safetensors"
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, file)
        content = {"format": CHECKPOINT_FORMAT, "step": step, "tensors": _file_hash(file), **state}
        (aside / "state.json").write_text(json.dumps(content, indent=2) + "\n")
        for written in (file, aside / "state.json", aside):
            fsync(written)
        shutil.rmtree(target, ignore_errors=True)
        aside.rename(target)
        fsync(self._checkpoints)

    def load_checkpoint(self, step: int) -> Checkpoint:
        """Read a checkpoint and verify its hash.

        Raises:
            CheckpointError: absent, damaged, or of another format.
        """
        folder = self._folder(step)
        fix = f"Delete {folder} to resume from the checkpoint before it."
        try:
            state = json.loads((folder / "state.json").read_text())
            if state["format"] != CHECKPOINT_FORMAT:
                raise CheckpointError(
                    f"has format {state['format']}, this version reads {CHECKPOINT_FORMAT}",
                    where=str(folder),
                    fix="Use the figclip version that wrote it, or a newer one.",
                )
            if state["tensors"] != _file_hash(folder / "tensors.safetensors"):
                raise CheckpointError("its tensors are damaged", where=str(folder), fix=fix)
            tensors = load_file(folder / "tensors.safetensors")
        except CheckpointError:
            raise
        except (OSError, KeyError, TypeError, ValueError, RecursionError, SafetensorError) as error:
            raise CheckpointError(
                f"cannot be read ({type(error).__name__}: {error})", where=str(folder), fix=fix
            ) from error
        return Checkpoint(tensors, state)

    def prune_checkpoints(self, *, keep_latest: int, keep_steps: set[int]) -> None:
        """Delete all checkpoints but the latest ones and those named."""
        for step in self.steps()[:-keep_latest]:
            if step not in keep_steps:
                shutil.rmtree(self._folder(step))

    def _folder(self, step: int) -> Path:
        """Folder of one step's checkpoint."""
        return self._checkpoints / f"step-{step:08d}"


class MetricsLog:
    """`metrics.jsonl`: one JSON object a line, each with its step.

    Args:
        path: The file.
        resume_step: Lines of later steps are cut off, as the steps will be done again; -1 starts
            anew.
    """

    def __init__(self, path: Path, *, resume_step: int) -> None:
        kept = [row for row in read_metrics(path) if row["step"] <= resume_step]
        write_atomically(path, "".join(json.dumps(row) + "\n" for row in kept))
        self._file = path.open("a")

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one line and hand it to the operating system."""
        self._file.write(json.dumps(dict(row), allow_nan=False) + "\n")
        self._file.flush()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a metrics file; a last line that a kill cut short is left out.

    Raises:
        CheckpointError: a whole line that is not an object with a step.
    """
    if not path.exists():
        return []
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            break
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _damaged_metrics(path, number) from error
        if not isinstance(row, dict) or type(row.get("step")) is not int:
            raise _damaged_metrics(path, number)
        rows.append(row)
    return rows


def _damaged_metrics(path: Path, number: int) -> CheckpointError:
    """The error for a line that is not an object with a step."""
    return CheckpointError(
        "is not a JSON object with a step", where=f"{path}:{number}", fix="Delete the line."
    )


def _file_hash(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
