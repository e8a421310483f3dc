"""The run folder of a head: which models' features, what it can say, its weights.

config.json environment.json data.json     as of any run
head.json                                  task, model, vocabulary
base/ adapted/ contextualizer/             a head on each: checkpoints, metrics, head.safetensors
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from figclip.atomic import write_atomically
from figclip.errors import ModelError
from figclip.results import ModelColumn

HEAD_FORMAT = 1
TASKS = ("situations", "captioning")
_FIX = "Fine-tune it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadInfo:
    """The content of `head.json`.

    Attributes:
        task: `situations` or `captioning`.
        model: Hub id or folder of the model.
        base: Of a full fine-tune; None else.
        feature_dim: D.
        models: By name, the models whose features the heads were trained on.
        vocabulary: What the heads can say, in the task's own form.
        contextualizer: `weights_hash` of the contextualizer whose features they take; None
            without one, and in runs of earlier versions.
    """

    task: str
    model: str
    base: str | None
    feature_dim: int
    models: Mapping[str, ModelColumn]
    vocabulary: Mapping[str, Any]
    contextualizer: str | None = None


def model_reference(model: str | Path) -> str:
    """How a model is found again: a folder by its whole path, a hub id as it is."""
    path = Path(model)
    return str(path.resolve()) if path.exists() else str(model)


def is_head_run(path: Path) -> bool:
    """Whether a folder is a head's run."""
    return (path / "head.json").is_file()


def write_head_info(run: Path, info: HeadInfo) -> None:
    """Write `head.json`; `frozen_models.check_models` has passed."""
    write_atomically(
        run / "head.json", json.dumps({"format": HEAD_FORMAT, **asdict(info)}, indent=2) + "\n"
    )


def read_head_info(run: Path, *, task: str | None = None) -> HeadInfo:
    """Read `head.json`.

    Args:
        run: Run folder.
        task: Whose heads are wanted; None for any.

    Raises:
        ModelError: absent, damaged, of another format or of another task.
    """
    file = run / "head.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        version = content.pop("format")
        if version != HEAD_FORMAT:
            raise ModelError(
                f"has format {version!r}, this version reads {HEAD_FORMAT}",
                where=str(file),
                fix="Use the figclip version that wrote it, or a newer one.",
            )
        models = {name: ModelColumn(**one) for name, one in content.pop("models").items()}
        info = HeadInfo(models=models, **content)
        if info.task not in TASKS:
            raise ValueError(f"no task is called {info.task!r}")
        if not isinstance(info.vocabulary, dict) or not isinstance(info.feature_dim, int):
            raise TypeError("vocabulary or feature_dim is of a wrong type")
        if task not in (None, info.task):
            raise ModelError(
                f"holds heads for {info.task}, not for {task}",
                where=str(run),
                fix=f"Give a run of `figclip finetune {task}`",
            )
        return info
    except ModelError:
        raise
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ModelError(f"cannot be read ({error!r})", where=str(file), fix=_FIX) from error


def head_file(run: Path, name: str) -> Path:
    """The weights of the head on a model's features."""
    return run / name / "head.safetensors"


def head_hash(file: Path) -> str:
    """What tells one trained head from another."""
    return hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()


def write_head(file: Path, head: nn.Module) -> None:
    """Write a head's weights, whole or not at all."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in head.state_dict().items()}
    aside = file.with_name(f".{file.name}.writing")
    save_file(state, aside)
    aside.replace(file)


def load_head(file: Path, head: nn.Module) -> None:
    """Put the weights of a file into a head of the same shape.

    Raises:
        ModelError: absent, damaged, or of another shape.
    """
    if not file.exists():
        raise ModelError(
            "is not there: the training is not finished",
            where=str(file),
            fix="Go on with `figclip finetune … --resume`",
        )
    try:
        head.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelError(f"cannot be read ({error})", where=str(file), fix=_FIX) from error
