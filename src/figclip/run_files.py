"""What a run folder says of its run: config, environment, data; written before step 1."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from figclip import config as configs
from figclip.assembly import RunParts
from figclip.checkpoint import RunFolder, write_atomically
from figclip.config import RunConfig
from figclip.data.annotations import counted
from figclip.errors import CheckpointError

RUN_FORMAT = 1

FREE_SETTINGS = frozenset({"train.micro_batch", "train.keep_checkpoints", "data.loader_workers"})
"""Settings that a resumed run may change: they move memory and disk, gradients only by rounding."""


def check_run(run: RunFolder, config: Any, *, resume: bool) -> None:
    """Refuse to overwrite a run, or to resume one under another config.

    Args:
        run: The run folder.
        config: Of an adaptation or a head, with its sections and the name of its recipe.
        resume: Whether it is to go on.

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
    before = asdict(configs.from_json(read_text(run.config), kind, where=str(run.config)))
    now = asdict(config)
    changed = [
        f"{section}.{name}: {old!r} -> {now[section][name]!r}"
        for section, fields in before.items()
        if isinstance(fields, dict)
        for name, old in fields.items()
        if now[section][name] != old and f"{section}.{name}" not in FREE_SETTINGS
    ]
    if changed or before["recipe"] != now["recipe"]:
        raise CheckpointError(
            f"was started with other settings ({'; '.join(changed) or 'another recipe'})",
            where=str(run.path),
            fix="Resume with the settings it was started with, or choose another --out.",
        )


def write_run_files(
    run: RunFolder,
    config: RunConfig,
    parts: RunParts,
    data: Sequence[Path],
    *,
    kept: Sequence[str],
) -> None:
    """Write config.json, environment.json and data.json.

    Args:
        run: The run folder.
        config: Its configuration.
        parts: What it is made of.
        data: Its stores.
        kept: `halves.items_hash` of the data of each kept test.

    Raises:
        CheckpointError: the run was started on other data than the stores hold now, or with other
            kept tests.
    """
    check_data(run, parts.videos.content_hash, kept=kept)
    write_settings(run, config)
    stores = [
        {
            "store": path.name,
            "coverage": store.coverage,
            "quarantine": [asdict(entry) for entry in store.quarantine()],
        }
        for path, store in zip(data, parts.videos.stores, strict=True)
    ]
    content: dict[str, Any] = {
        "format": RUN_FORMAT,
        "hash": parts.videos.content_hash,
        "train": [record.id for record in parts.train.records],
        "val": [record.id for record in parts.val.records],
        "stores": stores,
        "kept": list(kept),
    }
    write_atomically(run.data, json.dumps(content, indent=2) + "\n")


def trained_notice(run: RunFolder, evaluated: Collection[str]) -> tuple[str, ...]:
    """Says when videos are scored that a head has seen in training; else nothing.

    Args:
        run: Run folder of heads.
        evaluated: Ids of the scored videos.

    Raises:
        CheckpointError: `data.json` is damaged.
    """
    try:
        content = json.loads(read_text(run.data))
        seen = {*content["train"], *content["val"]}
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"is damaged ({error!r})", where=str(run.data), fix="Fine-tune it again."
        ) from error
    known = len(seen.intersection(evaluated))
    return counted(
        known,
        "video",
        f"of the {len(evaluated):,} scored were trained on: the scores say little of others.",
    )


def write_settings(run: RunFolder, config: Any) -> None:
    """Write config.json and environment.json."""
    run.path.mkdir(parents=True, exist_ok=True)
    write_atomically(run.config, configs.to_json(config))
    environment = {
        "format": RUN_FORMAT,
        "command": sys.argv,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "packages": package_versions(),
    }
    write_atomically(run.environment, json.dumps(environment, indent=2) + "\n")


def write_head_run(
    run: RunFolder, config: Any, *, content_hash: str, train: Sequence[str], val: Sequence[str]
) -> None:
    """Write config.json, environment.json and data.json of heads.

    Args:
        run: The run folder.
        config: Of the heads.
        content_hash: Of the data.
        train: Ids of the videos that are trained on.
        val: Ids of those that are held back.

    Raises:
        CheckpointError: the run was started on other data.
    """
    check_data(run, content_hash)
    write_settings(run, config)
    content = {
        "format": RUN_FORMAT,
        "hash": content_hash,
        "train": list(train),
        "val": list(val),
    }
    write_atomically(run.data, json.dumps(content, indent=2) + "\n")


def _commit() -> str:
    """Commit of the source tree that this runs from; empty for an installed package."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def package_versions() -> dict[str, str]:
    """Versions of what the weights depend on."""
    names = ("figclip", "torch", "transformers", "peft", "accelerate", "numpy", "av", "pillow")
    return {name: version(name) for name in names}


def check_data(run: RunFolder, content_hash: str, *, kept: Sequence[str] = ()) -> None:
    """A resumed run must see the same videos and annotations, and be held to the same tests.

    Args:
        run: The run folder.
        content_hash: Of the data now.
        kept: As `write_run_files` takes them.

    Raises:
        CheckpointError: it was started on others, or `data.json` is damaged.
    """
    if not run.data.exists() or not run.has_checkpoints:
        return
    try:
        content = json.loads(read_text(run.data))
        before, kept_before = content["hash"], content.get("kept", [])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"is damaged ({error!r})", where=str(run.data), fix="Choose another --out."
        ) from error
    if before != content_hash:
        raise CheckpointError(
            "was started on other data: videos, annotations or pixels have changed since",
            where=str(run.path),
            fix="Give the stores as they were, or choose another --out.",
        )
    if kept_before != list(kept):
        raise CheckpointError(
            f"was started with other tests to keep ({len(kept_before)} then, {len(kept)} now)",
            where=str(run.path),
            fix="Give --keep as it was, or choose another --out.",
        )


def read_text(file: Path) -> str:
    """The text of a file of a run.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"cannot be read ({error})",
            where=str(file),
            fix="Choose another --out, or make it again.",
        ) from error
