"""Sends what a run measures to an experiment tracker, beside `metrics.jsonl`."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from accelerate import Accelerator
from accelerate.tracking import filter_trackers, get_available_trackers

from figclip.errors import ConfigError
from figclip.runtime.files import make_folder

Tracker = Literal["tensorboard", "trackio", "wandb"]
PROJECT = "figclip"
FOLDER = "tracking"
"""Within the run folder, where a tracker keeps files of its own."""


def require_tracker(tracker: Tracker | None) -> None:
    """Refuse one that is not installed, by a `ConfigError`: accelerate would only leave it out."""
    if tracker is not None and tracker not in map(str, get_available_trackers()):
        raise ConfigError(
            f"{tracker} is not installed",
            where=f"--track {tracker}",
            fix=f"Install it: pip install {tracker}",
        )


@contextmanager
def tracked(
    accelerator: Accelerator, tracker: Tracker | None, *, out: Path, config: Mapping[str, Any]
) -> Generator[None]:
    """What `accelerator.log` is told within goes to a tracker, if there is one.

    The main process sends it. The project is `figclip`, the run has the name of its folder; a
    resumed run is another one. What comes in parts in `config` is told by dotted names.

    Raises:
        ConfigError: the tracker does not start: it is not logged in, for example.
        OutputError: its folder cannot be made.
    """
    if tracker is None:
        yield
        return
    folder, name = out / FOLDER, out.resolve().name
    options = {"wandb": {"name": name, "dir": str(folder)}, "trackio": {"name": name}}
    accelerator.project_configuration.set_directories(str(folder))
    accelerator.log_with = filter_trackers([tracker], str(folder))
    make_folder(folder)
    try:
        accelerator.init_trackers(PROJECT, config=_flat(config), init_kwargs=options)
    except Exception as error:
        raise ConfigError(
            f"does not start ({error})",
            where=f"--track {tracker}",
            fix="Log in there, or set it to work offline (WANDB_MODE=offline)",
        ) from error
    try:
        yield
    finally:
        # Not `end_training`: it ends the process group, too, which goes on.
        for started in accelerator.trackers:
            started.finish()


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str | int | float | bool]:
    """Settings by dotted names."""
    flat: dict[str, str | int | float | bool] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value if isinstance(value, (int, float)) else str(value)
    return flat
