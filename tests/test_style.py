"""House rules that a machine can hold: import layers, function length, lazy command line."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "figclip"
MAX_FUNCTION_LINES = 80

# A module may import only from modules of earlier lines, or of its own line.
LAYERS = [
    "errors atomic cpu_settings child_signals",
    "launcher",
    "records",
    "presets",
    "config",
    "recipes head_config",
    "head_recipes",
    "metrics",
    "data.benchmarks.records",
    "data.fillers data.reading",
    "data.annotation_csv",
    "data.annotations",
    "data.benchmarks data.prompts",
    "data.dense_caption_files",
    "data.webvtt",
    "data.caption_letters",
    "data.vidsitu_files",
    "data.vidsitu",
    "data.role_keys data.vocabulary",
    "data.plain_pickle data.situation_truth data.role_sequences",
    "data.situation_predictions",
    "data.captions",
    "data.sense_exchange",
    "data.sentences data.text_features",
    "data.sense_pool",
    "data.event_edits",
    "data.negatives",
    "data.filler_negatives",
    "data.counterfeits",
    "data.caption_statistics",
    "data.pixels",
    "data.media_files data.seen_media data.video_file",
    "data.image_file data.sound_track data.video",
    "data.captioned_video",
    "data.sampling data.serialisation data.source_archive",
    "data.frames",
    "data.decoding",
    "data.texts data.splits data.stored_videos data.clips",
    "data.batches",
    "checkpoint process_group",
    "model.backbone model.encoder",
    "model.lora model.contextualizer model.gradient_cache",
    "heads.attention",
    "heads.text_decoder",
    "heads",
    "model.folder",
    "model.figclip",
    "cache",
    "embedding",
    "losses optimizer",
    "loop",
    "worker_pool",
    "preparation",
    "clip_preparation",
    "adaptation",
    "tasks.base",
    "event_features",
    "tasks.vectors",
    "tasks.media",
    "tasks.pair_controls",
    "tasks.retrieval tasks.actions tasks.composition",
    "tasks.dense_events",
    "tasks.contrasts",
    "tasks.text_control",
    "tasks.dense_retrieval tasks.srl_swap tasks.role_grounding",
    "tasks.dense_validation",
    "data_sources",
    "situation_sources",
    "opened_sources",
    "seen_items",
    "results",
    "prediction_scoring",
    "role_items",
    "situation_scoring dense_caption_scoring",
    "prediction_files",
    "reporting.figures",
    "columns head_files",
    "scoring",
    "sweep halves",
    "strength",
    "evaluation",
    "assembly",
    "run_files run_plan",
    "frozen_models finetuning captioned_videos",
    "situation_training captioning_prediction",
    "situation_finetuning situation_prediction captioning_training",
    "situation_evaluation captioning_finetuning",
    "captioning_evaluation",
    "description",
    "selection",
    "reporting",
    "world",
    "quickstart",
    "cli",
]


def layer_of(module: str) -> int:
    """Position of a module, by its own name or its package's."""
    for position, names in enumerate(LAYERS):
        for name in names.split():
            if module == name or module.startswith(name + "."):
                return position
    raise AssertionError(f"{module} is in no layer: add it to LAYERS, and to CONTRIBUTING's list")


@cache
def modules() -> dict[str, ast.Module]:
    """Parsed modules by their name within the package; package files without code left out."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        if name in ("__init__", "__main__"):
            continue  # they re-export and start what is below
        found[name.removesuffix(".__init__")] = ast.parse(path.read_text())
    return found


def own_imports(tree: ast.Module) -> set[str]:
    """figclip modules that a module imports anywhere, functions included."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("figclip."):
            names.add(node.module.removeprefix("figclip."))
        elif isinstance(node, ast.ImportFrom) and node.module == "figclip":
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            names.update(
                alias.name.removeprefix("figclip.")
                for alias in node.names
                if alias.name.startswith("figclip.")
            )
    return names


@pytest.mark.parametrize("module", [m for m in modules() if m not in ("data", "model", "tasks")])
def test_imports_go_one_way(module: str):
    imported = own_imports(modules()[module])
    wrong = [name for name in imported if layer_of(name) > layer_of(module)]
    assert not wrong, f"{module} imports {wrong}, which come after it"


def test_layer_test_sees_a_wrong_import():
    tree = ast.parse("def f():\n    from figclip.selection import adapt\n")
    assert own_imports(tree) == {"selection"}
    assert layer_of("selection") > layer_of("losses")


def test_functions_are_short():
    long = [
        f"{name}.{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert not long


def test_public_names_have_docstrings():
    bare = [
        f"{name}.{node.name}"
        for name, tree in modules().items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not bare


@pytest.mark.parametrize(
    "statement",
    [
        "import figclip.cli.app",
        "import figclip.data.vidsitu, figclip.data.negatives, figclip.data.captions",
    ],
)
def test_light_modules_stay_light(statement: str):
    heavy = ("torch", "transformers", "av")
    code = f"import sys\n{statement}\nprint([m for m in {heavy} if m in sys.modules])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
