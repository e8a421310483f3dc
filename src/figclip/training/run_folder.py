"""The run folder: where its files are, its metrics log, and checkpoints that survive any kill.

A checkpoint is a folder `checkpoints/step-00000042/` with `tensors.safetensors` and `state.json`
(counters, the hash of the tensors, and its own). It is written aside, fsynced and renamed, so it is
whole or absent.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from figclip.config import parsing
from figclip.errors import CheckpointError
from figclip.runtime.checked_json import dump_checked, load_checked, read_checked
from figclip.runtime.device import half_precision
from figclip.runtime.files import (
    make_folder,
    named_failures,
    staged_folder,
    write_atomically,
    write_json,
)
from figclip.runtime.reading import DAMAGES, read_utf8
from figclip.runtime.versions import package_versions

CHECKPOINT_FORMAT = 1
_STEP_FOLDER = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint holds: tensors by name, and counters."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]


class RunFolder:
    """Paths and files of one run (docs/training.md); nothing is made before it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.json"
        self.environment = path / "environment.json"
        self.data = path / "data.json"
        self.metrics = path / "metrics.jsonl"
        self.texts = path / "texts.safetensors"
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
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        with staged_folder(self._folder(step)) as folder:
            file = folder / "tensors.safetensors"
            save_file(contiguous, file)
            content = {"format": CHECKPOINT_FORMAT, "step": step, "tensors": _file_hash(file)}
            write_json(folder / "state.json", {**content, **state})

    def load_checkpoint(self, step: int) -> Checkpoint:
        """Read a checkpoint and verify its hashes; a `CheckpointError` if it cannot be used."""
        folder = self._folder(step)
        fix = f"Delete {folder} to resume from the checkpoint before it."
        try:
            state = read_checked(folder / "state.json")
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
        except (SafetensorError, *DAMAGES) as error:
            raise CheckpointError(
                f"cannot be read ({type(error).__name__}: {error})", where=str(folder), fix=fix
            ) from error
        return Checkpoint(tensors, state)

    def prune_checkpoints(self, *, keep_latest: int, keep_steps: set[int]) -> None:
        """Delete all checkpoints but the latest ones and those named."""
        old = [self._folder(step) for step in self.steps()[:-keep_latest] if step not in keep_steps]
        with named_failures(self._checkpoints):
            for folder in old:
                # Whole or absent also while it is deleted.
                folder.rename(folder.with_name(f".{folder.name}.old"))
            for folder in self._checkpoints.glob(".step-*.old"):
                shutil.rmtree(folder)

    def _folder(self, step: int) -> Path:
        """Folder of one step's checkpoint."""
        return self._checkpoints / f"step-{step:08d}"


class MetricsLog:
    """`metrics.jsonl`: one JSON object a line, each with its step and its check.

    Lines of steps after `resume_step` are cut off, as the steps will be done again; -1 starts anew.
    """

    def __init__(self, path: Path, *, resume_step: int) -> None:
        kept = [row for row in read_metrics(path) if row["step"] <= resume_step]
        write_atomically(path, "".join(dump_checked(row) + "\n" for row in kept))
        self._path = path
        # Unbuffered: what could not be written must not be tried again on closing.
        self._file = path.open("ab", buffering=0)

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one line and hand it to the operating system; an `OutputError` if that fails."""
        line = (dump_checked(row) + "\n").encode()
        with named_failures(self._path):
            while line:  # a disk that is nearly full takes a part
                line = line[self._file.write(line) :]

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a metrics file; a last line that a kill cut short is left out.

    Raises:
        CheckpointError: a whole line that is not an object with a step, or is damaged.
    """
    if not path.exists():
        return []
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not line.endswith(b"\n") and _is_cut(line):
            break
        try:
            row = load_checked(line.decode())
            if type(row["step"]) is not int:
                raise TypeError("a step is a whole number")
        except DAMAGES as error:
            raise CheckpointError(
                f"is not a JSON object with a step, or damaged ({error})",
                where=f"{path}:{number}",
                fix="Delete the line.",
            ) from error
        rows.append(row)
    return rows


def _file_hash(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _is_cut(line: bytes) -> bool:
    """Whether a line without an end is what a kill leaves, not a whole one whose end is damaged."""
    try:
        _, end = json.JSONDecoder().raw_decode(line.decode("latin-1"))
    except (ValueError, RecursionError):
        return True
    return end == len(line)


_CPU = torch.device("cpu")


def _differ(name: str, before: Any, now: Any, *, device: torch.device) -> bool:
    """Whether a setting is another one; `auto` is the precision that the device has."""
    if name == "train.precision":
        return half_precision(before, device) != half_precision(now, device)
    return before != now


RUN_FORMAT = 1
ENVIRONMENT_FORMAT = 2

FREE_SETTINGS = frozenset(
    {
        "train.micro_batch",
        "train.activations_gib",
        "train.keep_checkpoints",
        "data.loader_workers",
    }
)
"""Settings that a resumed run may change: they move memory and disk, gradients only by rounding."""


def check_run(run: RunFolder, config: Any, *, resume: bool, device: torch.device = _CPU) -> None:
    """Refuse to overwrite a run, to resume one under another config, or a folder out of reach.

    `device` is where it goes on.

    Raises:
        CheckpointError: the folder holds a run that must not be touched this way.
    """
    if not run.config.exists():
        if resume:
            raise CheckpointError(
                "holds no run to resume",
                where=str(run.path),
                fix="Leave --resume out to start one.",
            )
        return
    if not run.has_checkpoints and not resume:
        return  # it never came to a checkpoint: nothing is lost by starting again
    if not resume:
        raise CheckpointError(
            "already holds a run",
            where=str(run.path),
            fix="Go on with it by --resume, or choose another --out.",
        )
    kind = type(config)
    before = asdict(parsing.from_json(read_text(run.config), kind, where=str(run.config)))
    now = asdict(config)
    changed = [
        f"{section}.{name}: {old!r} -> {now[section][name]!r}"
        for section, fields in before.items()
        if isinstance(fields, dict)
        for name, old in fields.items()
        if f"{section}.{name}" not in FREE_SETTINGS
        and _differ(f"{section}.{name}", old, now[section][name], device=device)
    ]
    if changed or before["recipe"] != now["recipe"]:
        raise CheckpointError(
            f"was started with other settings ({'; '.join(changed) or 'another recipe'})",
            where=str(run.path),
            fix="Resume with the settings it was started with, or choose another --out.",
        )


def write_settings(
    run: RunFolder, config: Any, *, device: torch.device, num_processes: int
) -> None:
    """Write config.json, and add this session to environment.json, which must not be damaged."""
    # What never came to a checkpoint is started again, and leaves no session behind.
    before = _sessions_before(run) if run.has_checkpoints else ()
    folders = (run.path, *(one for one in run.path.glob("*") if one.is_dir()))  # of heads
    card = f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
    session = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "step": sum(max(RunFolder(one).steps(), default=0) for one in folders),
        "command": sys.argv,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": f"{device}{card}",
        "processes": num_processes,
        "threads": torch.get_num_threads(),
        "packages": package_versions(),
    }
    make_folder(run.path)
    write_atomically(run.config, parsing.to_json(config))
    content = {"format": ENVIRONMENT_FORMAT, "sessions": [*before, session]}
    write_json(run.environment, content)


def sessions_of(environment: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The sessions of a run, the first one first, from the content of environment.json.

    One of format 1 knows its last session only, and of that neither the time, the step, the device
    nor the number of processes.

    Raises:
        KeyError, TypeError, ValueError: it is damaged.
    """
    if environment["format"] == 1:
        sessions: Any = [{key: one for key, one in environment.items() if key != "format"}]
    else:
        sessions = environment["sessions"]
    if not isinstance(sessions, list) or not sessions:
        raise ValueError("it holds no sessions")
    return [dict(one) for one in sessions]


def _sessions_before(run: RunFolder) -> list[dict[str, Any]]:
    """The sessions that a run had so far."""
    if not run.environment.exists():
        return []
    try:
        content = load_checked(read_text(run.environment))
        if content["format"] <= ENVIRONMENT_FORMAT:
            return sessions_of(content)
    except DAMAGES as error:
        raise CheckpointError(
            f"is damaged ({error!r})",
            where=str(run.environment),
            fix="Delete it to go on without its history.",
        ) from error
    raise CheckpointError(
        f"has format {content['format']}, this version reads up to {ENVIRONMENT_FORMAT}",
        where=str(run.environment),
        fix="Use the figclip version that wrote it, or a newer one.",
    )


def _commit() -> str:
    """Commit of the source tree that this runs from; empty for an installed package."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def check_data(run: RunFolder, content_hash: str) -> None:
    """A resumed run must see the same videos and annotations; else a `CheckpointError`."""
    content = data_before(run)
    if content is not None and content["hash"] != content_hash:
        raise CheckpointError(
            "was started on other data: videos, annotations or pixels have changed since",
            where=str(run.path),
            fix="Give the stores as they were, or choose another --out.",
        )


def data_before(run: RunFolder) -> dict[str, Any] | None:
    """`data.json` of a run that has checkpoints; None when there is nothing to go on with."""
    if not run.data.exists() or not run.has_checkpoints:
        return None
    try:
        content: dict[str, Any] = {"kept": [], **load_checked(read_text(run.data))}
        if not isinstance(content["hash"], str) or not isinstance(content["kept"], list):
            raise TypeError("hash or kept is of a wrong type")
        return content
    except DAMAGES as error:
        raise CheckpointError(
            f"is damaged ({error!r})", where=str(run.data), fix="Choose another --out."
        ) from error


def read_text(file: Path) -> str:
    """The text of a file of a run; a `CheckpointError` if it cannot be read."""
    try:
        return read_utf8(file)
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"cannot be read ({error})",
            where=str(file),
            fix="Choose another --out, or make it again.",
        ) from error
