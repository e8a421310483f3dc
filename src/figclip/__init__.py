"""figclip: teach any CLIP who does what to whom.

Public functions load their modules on first use, so that `import figclip` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from figclip.captioning_finetuning import finetune_captioning as finetune_captioning
    from figclip.description import describe as describe
    from figclip.evaluation import evaluate as evaluate
    from figclip.model.figclip import FiGCLIP as FiGCLIP
    from figclip.prediction_files import score_predictions as score_predictions
    from figclip.preparation import prepare as prepare
    from figclip.recipes import build_recipe as build_recipe
    from figclip.selection import adapt as adapt
    from figclip.situation_finetuning import finetune_situations as finetune_situations

__version__ = "0.1.0"

_HOMES = {
    "FiGCLIP": "figclip.model.figclip",
    "prepare": "figclip.preparation",
    "build_recipe": "figclip.recipes",
    "adapt": "figclip.selection",
    "evaluate": "figclip.evaluation",
    "finetune_situations": "figclip.situation_finetuning",
    "finetune_captioning": "figclip.captioning_finetuning",
    "describe": "figclip.description",
    "score_predictions": "figclip.prediction_files",
}

__all__ = [
    "FiGCLIP",
    "adapt",
    "build_recipe",
    "describe",
    "evaluate",
    "finetune_captioning",
    "finetune_situations",
    "prepare",
    "score_predictions",
]


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'figclip' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
