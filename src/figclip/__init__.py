"""figclip: teach any CLIP who does what to whom.

The public names are those of `__all__` here and in `figclip.metrics`; paths of inner modules may
change. Names load their modules on first use, so that `import figclip` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from figclip.adaptation.adapt import adapt as adapt
    from figclip.annotations.own_files import load_annotations as load_annotations
    from figclip.annotations.roles import short_role as short_role
    from figclip.config.parsing import apply_overrides as apply_overrides
    from figclip.config.recipes import build_captioning_recipe as build_captioning_recipe
    from figclip.config.recipes import build_recipe as build_recipe
    from figclip.config.recipes import build_situation_recipe as build_situation_recipe
    from figclip.datasets.catalogue import BENCHMARKS as BENCHMARKS
    from figclip.datasets.catalogue import load_benchmark as load_benchmark
    from figclip.datasets.dense_captions import read_caption_references as read_caption_references
    from figclip.datasets.situations import situation_truth_of as situation_truth_of
    from figclip.errors import FigclipError as FigclipError
    from figclip.evaluation.evaluate import evaluate as evaluate
    from figclip.evaluation.results import format_table as format_table
    from figclip.evaluation.sources import DataSource as DataSource
    from figclip.evaluation.sources import parse_source as parse_source
    from figclip.exporting.export import export as export
    from figclip.heads.captioning.task import describe as describe
    from figclip.heads.captioning.task import evaluate_captioning as evaluate_captioning
    from figclip.heads.captioning.task import finetune_captioning as finetune_captioning
    from figclip.heads.seeds import evaluate_seeds as evaluate_seeds
    from figclip.heads.seeds import finetune_seeds as finetune_seeds
    from figclip.heads.situations.task import evaluate_situations as evaluate_situations
    from figclip.heads.situations.task import finetune_situations as finetune_situations
    from figclip.model.embedding_settings import EmbeddingSettings as EmbeddingSettings
    from figclip.model.figclip import FiGCLIP as FiGCLIP
    from figclip.preparation.prepare import prepare as prepare
    from figclip.reporting.report import write_comparison as write_comparison
    from figclip.reporting.report import write_report as write_report
    from figclip.runtime.cpu_settings import tune_for_cpu as tune_for_cpu
    from figclip.scoring.dense_captions import (
        write_captioning_predictions as write_captioning_predictions,
    )
    from figclip.scoring.score import score_predictions as score_predictions
    from figclip.scoring.situation_files import PredictedEvent as PredictedEvent
    from figclip.scoring.situation_files import RolePrediction as RolePrediction
    from figclip.scoring.situation_files import (
        write_situation_predictions as write_situation_predictions,
    )
    from figclip.search.counterparts import write_counterparts as write_counterparts
    from figclip.search.index import Hit as Hit
    from figclip.search.index import Index as Index
    from figclip.search.indexing import index as index
    from figclip.video.store import StoreSpec as StoreSpec

__version__ = "0.1.0"

_HOMES = {
    "BENCHMARKS": "figclip.datasets.catalogue",
    "DataSource": "figclip.evaluation.sources",
    "EmbeddingSettings": "figclip.model.embedding_settings",
    "FiGCLIP": "figclip.model.figclip",
    "FigclipError": "figclip.errors",
    "Hit": "figclip.search.index",
    "Index": "figclip.search.index",
    "PredictedEvent": "figclip.scoring.situation_files",
    "RolePrediction": "figclip.scoring.situation_files",
    "StoreSpec": "figclip.video.store",
    "adapt": "figclip.adaptation.adapt",
    "apply_overrides": "figclip.config.parsing",
    "build_captioning_recipe": "figclip.config.recipes",
    "build_recipe": "figclip.config.recipes",
    "build_situation_recipe": "figclip.config.recipes",
    "describe": "figclip.heads.captioning.task",
    "evaluate": "figclip.evaluation.evaluate",
    "evaluate_captioning": "figclip.heads.captioning.task",
    "evaluate_seeds": "figclip.heads.seeds",
    "evaluate_situations": "figclip.heads.situations.task",
    "export": "figclip.exporting.export",
    "finetune_captioning": "figclip.heads.captioning.task",
    "finetune_seeds": "figclip.heads.seeds",
    "finetune_situations": "figclip.heads.situations.task",
    "format_table": "figclip.evaluation.results",
    "index": "figclip.search.indexing",
    "load_annotations": "figclip.annotations.own_files",
    "load_benchmark": "figclip.datasets.catalogue",
    "parse_source": "figclip.evaluation.sources",
    "prepare": "figclip.preparation.prepare",
    "read_caption_references": "figclip.datasets.dense_captions",
    "score_predictions": "figclip.scoring.score",
    "short_role": "figclip.annotations.roles",
    "situation_truth_of": "figclip.datasets.situations",
    "tune_for_cpu": "figclip.runtime.cpu_settings",
    "write_captioning_predictions": "figclip.scoring.dense_captions",
    "write_counterparts": "figclip.search.counterparts",
    "write_comparison": "figclip.reporting.report",
    "write_report": "figclip.reporting.report",
    "write_situation_predictions": "figclip.scoring.situation_files",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll] - the names above


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'figclip' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Public names, also those that are not loaded yet."""
    return sorted({*globals(), *__all__})
