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
MAX_POSITIONAL = 3
MAX_LINE_CHARS = 100
MAX_README_LINES = 120
MARKDOWN = [
    file
    for pattern in ("*.md", "docs/*.md", "examples/**/*.md", "tests/**/*.md")
    for file in sorted(SOURCE.parent.parent.glob(pattern))
    if file.name not in ("CHANGELOG.md", "LOG.md")
]

HOUSE = {
    "errors": "what users are told",
    "records": "events, roles, videos: the words that all share",
    "runtime": "files written whole, processes, settings of the CPU",
    "config": "what can be set, and named settings",
    "metrics": "pure functions on arrays",
    "annotations": "what is said: files, captions, negatives, splits",
    "datasets": "published test sets",
    "video": "what is seen: decoding, pixels, sampling, the store",
    "model": "the CLIP, its adaptation, its folder, its embeddings",
    "preparation": "prepare",
    "training": "loop, losses, batches, run folder",
    "tasks": "zero-shot tests on one interface",
    "evaluation": "eval",
    "scoring": "score",
    "adaptation": "adapt",
    "heads": "finetune and describe",
    "reporting": "report",
    "search": "index and search",
    "exporting": "export",
    "miniworld": "quickstart",
    "demo": "demo",
    "cli": "one file a verb",
}
"""The packages, from the ground up: each imports from those above it and from itself only."""


def room_of(module: str) -> int:
    """Position of a module's package in the house."""
    return list(HOUSE).index(module.partition(".")[0])


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
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.add(inner if inner.removeprefix("figclip.") in modules() else node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    own = {name.removeprefix("figclip.") for name in names if name.startswith("figclip.")}
    return {name for name in own if name in modules() or name == "__version__"}


def circle_in(imports: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle; empty where there is none."""
    open_modules: list[str] = []
    finished: set[str] = set()

    def visit(module: str) -> list[str]:
        if module in open_modules:
            return [*open_modules[open_modules.index(module) :], module]
        if module in finished or module not in imports:
            return []
        open_modules.append(module)
        for imported in sorted(imports[module]):
            if found := visit(imported):
                return found
        finished.add(open_modules.pop())
        return []

    return next((found for module in imports if (found := visit(module))), [])


def imports_of_all() -> dict[str, set[str]]:
    """What each module imports; `from package import module` is an import of the module."""
    found = {}
    for name, tree in modules().items():
        found[name] = {one for one in own_imports(tree) if one in modules() and one != name}
    return found


def test_the_house_has_these_rooms_and_no_other():
    assert {path.stem for path in SOURCE.iterdir() if not path.stem.startswith(("_", "py"))} == {
        *HOUSE
    }


@pytest.mark.parametrize("module", list(modules()))
def test_imports_go_one_way(module: str):
    wrong = [one for one in own_imports(modules()[module]) if room_of(one) > room_of(module)]
    assert not wrong, f"{module} imports {wrong}, which come after it"


def test_no_module_imports_itself_by_way_of_others():
    assert not circle_in(imports_of_all())


def test_wrong_imports_and_circles_are_seen():
    tree = ast.parse(
        "from figclip.adaptation.adapt import adapt\ndef f():\n    from figclip.cli import app\n"
    )
    assert own_imports(tree) == {"adaptation.adapt", "cli.app"}
    assert room_of("adaptation.adapt") > room_of("training.losses")
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_one_place_prints():
    """Names and texts of files may hold control codes: `cli.terminal` spells them out."""
    places = [
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("print", "typer.echo", "click.echo", "traceback.print_exc")
    ]
    # The mini world prints nothing of files.
    assert set(places) == {"cli.terminal", "miniworld.__main__"}


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


def test_public_functions_take_few_positional_arguments_and_return_no_long_tuples():
    """Not those of `cli`: typer calls them by name. `forward` is called as torch calls it."""
    wrong: list[str] = []
    for name, tree in modules().items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            if name.startswith("cli.") or node.name == "forward":
                continue
            taken = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
            if len(taken) - (taken[:1] in (["self"], ["cls"])) > MAX_POSITIONAL:
                wrong.append(f"{name}.{node.name} takes {taken}")
            returned = node.returns
            if isinstance(returned, ast.Subscript) and ast.unparse(returned.value) == "tuple":
                held = returned.slice
                if isinstance(held, ast.Tuple) and len(held.elts) > 2:
                    wrong.append(f"{name}.{node.name} returns {ast.unparse(returned)}")
    assert not wrong


def test_protocols_can_be_checked_at_runtime():
    """`make test-slow` checks types while it runs, which takes the decorator."""
    protocols = [
        (f"{name}.{node.name}", [ast.unparse(one) for one in node.decorator_list])
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).startswith("Protocol") for base in node.bases)
    ]
    assert protocols
    assert not [name for name, decorators in protocols if "runtime_checkable" not in decorators]


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


MODELS = ("torch", "transformers", "av")


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import figclip.cli.app", MODELS),
        ("from figclip.annotations import captions, verb_negatives, vidsitu", MODELS),
        # jinja2 is there all the same: transformers loads it.
        ("import figclip.adaptation.adapt", ("matplotlib", "figclip.reporting")),
    ],
)
def test_light_modules_stay_light(statement: str, heavy: tuple[str, ...]):
    code = f"import sys\n{statement}\nprint([m for m in {heavy} if m in sys.modules])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def prose_lines(file: Path) -> list[str]:
    """Lines of Markdown outside code, tables, pictures and comments."""
    prose: list[str] = []
    is_code = False
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code and not line.lstrip().startswith(("|", "![", "<!--")):
            prose.append(line)
    return prose


@pytest.mark.parametrize("file", MARKDOWN, ids=lambda file: file.name)
def test_prose_keeps_to_its_columns(file: Path):
    # An address cannot be broken.
    long = [line for line in prose_lines(file) if len(line) > MAX_LINE_CHARS and " " in line]
    assert not long


def test_the_readme_takes_two_screens():
    lines = (SOURCE.parent.parent / "README.md").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if not line.startswith("<!--")]) <= MAX_README_LINES
