"""figclip: teach any CLIP who does what to whom.

Public functions load their modules on first use, so that `import figclip` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from figclip.adaptation.adapt import adapt as adapt
    from figclip.evaluation.evaluate import evaluate as evaluate
    from figclip.heads.captioning.evaluate import describe as describe
    from figclip.heads.captioning.finetune import finetune_captioning as finetune_captioning
    from figclip.heads.situations.finetune import finetune_situations as finetune_situations
    from figclip.model.figclip import FiGCLIP as FiGCLIP
    from figclip.preparation.prepare import prepare as prepare
    from figclip.recipes import build_recipe as build_recipe
    from figclip.scoring.score import score_predictions as score_predictions

__version__ = "0.1.0"

_HOMES = {
    "FiGCLIP": "figclip.model.figclip",
    "prepare": "figclip.preparation.prepare",
    "build_recipe": "figclip.recipes",
    "adapt": "figclip.adaptation.adapt",
    "evaluate": "figclip.evaluation.evaluate",
    "finetune_situations": "figclip.heads.situations.finetune",
    "finetune_captioning": "figclip.heads.captioning.finetune",
    "describe": "figclip.heads.captioning.evaluate",
    "score_predictions": "figclip.scoring.score",
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
