"""Do the tests see a changed line? Mutants of the modules that decide a result, one at a time.

    python benchmarks/mutants.py OUT [MODULE …] [--limit-s 300]

Each mutant is one small change of a module: a comparison, an operator, a number, a condition turned
round, an argument or a statement left out, a loop that never turns. It survives when the module's
own tests (`TESTS`) still pass. Texts, assertions, annotations, decorators and what stands in a
`raise` are left alone. Writes OUT/MODULE.json, goes on where it stopped, and prints the survivors.

A process imports torch once and forks for every mutant; runtime checks of types are off.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import importlib
import json
import math
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

import pytest

ROOT = Path(__file__).resolve().parents[1]
TESTS = {
    "training.losses": ["tests/training/test_losses.py"],
    "training.clip_trainee": [
        "tests/training/test_clip_trainee.py", "tests/training/test_training_trace.py",
        "tests/training/test_two_processes.py",
    ],
    "training.batches": ["tests/training/test_batches.py"],
    "annotations.captions": [
        "tests/annotations/test_captions.py", "tests/annotations/test_sentences.py",
    ],
    "annotations.verb_negatives": [
        "tests/annotations/test_verb_negatives.py", "tests/annotations/test_sense_pool.py",
        "tests/annotations/test_event_edits.py", "tests/annotations/test_sense_exchange.py",
    ],
    "metrics.intervals": ["tests/metrics/test_intervals.py"],
    "metrics.strength": ["tests/metrics/test_strength.py"],
    "model.lora": ["tests/model/test_lora.py"],
    "adaptation.strength": ["tests/adaptation/test_strength.py"],
}  # fmt: skip
"""Which tests must see a change of which module."""

SWAPPED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.And: ast.Or, ast.Or: ast.And,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
TURNED = {ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt}
LEFT_ALONE = (ast.Raise, ast.Assert)
NOT_CODE = ("annotation", "returns", "decorator_list", "bases")
PRELOADED = (
    "torch", "transformers.models.clip.modeling_clip", "peft", "accelerate", "scipy.stats", "av",
    "hypothesis", "beartype", "pdb",
)  # fmt: skip
NUM_KILLERS = 6
"""So many of the tests that killed most mutants are run before all others."""

SKIPPED_TESTS = "not real and not gpu"


@dataclass(frozen=True)
class Change:
    """A small change of a node.

    Attributes:
        label: Line, what is there and what is put in its place.
        make: Makes it.
    """

    label: str
    make: Callable[[], None]


def main() -> None:
    """Run the mutants of all modules, or of those named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(TESTS))
    parser.add_argument("--limit-s", type=float, default=math.inf, help="stop after so long")
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.limit_s
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.chdir(ROOT)
    with TemporaryDirectory() as folder:
        # Processes that tests start find the changed module here, too.
        package = shutil.copytree(ROOT / "src" / "figclip", Path(folder) / "figclip")
        os.environ |= {
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
            # Plugins would complain of what is imported before them; jaxtyping's checks types.
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "OMP_NUM_THREADS": "1",
        }
        sys.path[:0] = [folder, str(ROOT)]
        sys.dont_write_bytecode = True
        for name in PRELOADED:
            importlib.import_module(name)
        for module in arguments.modules or TESTS:
            run_module(module, package, file=out / f"{module}.json", end=end)


def run_module(module: str, package: Path, *, file: Path, end: float) -> None:
    """Run the mutants of a module that the file does not hold yet, and print how many survive.

    Args:
        module: Name in `TESTS`.
        package: Copy of the package, whose module is overwritten.
        file: Of the outcomes.
        end: When to stop, on the monotonic clock.
    """
    path = package / (module.replace(".", "/") + ".py")
    source = path.read_text()
    key = hashlib.blake2b(source.encode(), digest_size=8)
    for name in TESTS[module]:
        key.update(Path(name).read_bytes())
    found = json.loads(file.read_text()) if file.exists() else {}
    if found.get("key") != key.hexdigest():
        started = time.monotonic()
        if outcome := run_tests(module, limit_s=3600):
            sys.exit(f"{module}: its tests fail without any change ({outcome})")
        tests_s = time.monotonic() - started
        found = {"key": key.hexdigest(), "tests_s": tests_s, "outcomes": {}}
    outcomes = found["outcomes"]
    killers: Counter[str] = Counter()
    for label, changed in mutants(source):
        if label not in outcomes:
            if time.monotonic() > end:
                print(f"{module}: stopped after {len(outcomes)} mutants", flush=True)
                break
            path.write_text(changed())
            outcomes[label] = _killed_by(module, killers, limit_s=60 + 5 * found["tests_s"])
            file.write_text(json.dumps(found, indent=1, ensure_ascii=False))
    path.write_text(source)
    survivors = [label for label, outcome in outcomes.items() if not outcome]
    num, total = len(outcomes) - len(survivors), len(outcomes)
    print(f"{module}: {num} of {total} killed ({num / max(1, total):.1%})", flush=True)
    for label in survivors:
        print(f"  {label}", flush=True)


def _killed_by(module: str, killers: Counter[str], *, limit_s: float) -> str:
    """Why tests fail, those first that killed most mutants; `killers` counts."""
    # Files in their order: those that take longest come last.
    most = [name for name, _ in killers.most_common(NUM_KILLERS)]
    often = sorted(most, key=lambda name: TESTS[module].index(name.partition("::")[0]))
    outcome = run_tests(module, limit_s=limit_s, only=often) if often else ""
    outcome = outcome or run_tests(module, limit_s=limit_s)
    killers.update([outcome] if "::" in outcome else [])
    return outcome


def run_tests(module: str, *, limit_s: float, only: Sequence[str] = ()) -> str:
    """The first of a module's tests that fails, or why they end; empty when they pass."""
    with NamedTemporaryFile("w+") as failed:
        child = os.fork()
        if not child:
            os.setpgid(0, 0)
            os._exit(_tests_of(only or TESTS[module], Path(failed.name)))
        deadline = time.monotonic() + limit_s
        ended, status = 0, 0
        while not ended and time.monotonic() < deadline:
            time.sleep(0.02)
            ended, status = os.waitpid(child, os.WNOHANG)
        # What it has started ends too; where it runs without end, it itself.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if not ended:
            os.waitpid(child, 0)
            return "time"
        code = os.waitstatus_to_exitcode(status)
        return (failed.read() or f"exit {code}") if code else ""


@dataclass(frozen=True)
class _FirstFailure:
    """Writes down which test fails first."""

    file: Path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest."""
        if report.failed and not self.file.stat().st_size:
            self.file.write_text(report.nodeid)


def _tests_of(tests: Sequence[str], failed: Path) -> int:
    """Exit code of pytest, in a process of its own."""
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "-m", SKIPPED_TESTS]
    return int(pytest.main([*options, *tests], plugins=[_FirstFailure(failed)]))


def mutants(source: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """Label of every mutant of a source, and the function that writes it."""
    seen: Counter[str] = Counter()
    for node_idx, node in enumerate(_walk(ast.parse(source))):
        for change_idx, change in enumerate(_changes(node)):
            seen[change.label] += 1
            again = f" ({seen[change.label]})" if seen[change.label] > 1 else ""

            def changed(node_idx: int = node_idx, change_idx: int = change_idx) -> str:
                tree = ast.parse(source)
                _changes(list(_walk(tree))[node_idx])[change_idx].make()
                return ast.unparse(ast.fix_missing_locations(tree))

            yield change.label + again, changed


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes that may change."""
    yield node
    for field, value in ast.iter_fields(node):
        is_strict = isinstance(node, ast.keyword) and node.arg == "strict"
        if field not in NOT_CODE and not is_strict:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not isinstance(child, LEFT_ALONE):
                    yield from _walk(child)


def _changes(node: ast.AST) -> list[Change]:
    """The changes of one node."""
    found: list[Change] = []

    def add(old: ast.AST, new: ast.AST, make: Callable[[], None]) -> None:
        found.append(Change(f"{_line(old, node)}: {_short(old)} → {_short(new)}", make))

    match node:
        case ast.Compare():
            for i, operator in enumerate(node.ops):
                for table in (SWAPPED, TURNED):
                    if new := table.get(type(operator)):
                        add(node, new(), lambda i=i, new=new: node.ops.__setitem__(i, new()))
        case ast.BinOp() | ast.AugAssign() | ast.BoolOp() if type(node.op) in SWAPPED:
            new = SWAPPED[type(node.op)]()
            add(node, new, lambda: setattr(node, "op", new))
        case ast.Constant(value=bool() | int() | float() as value):
            other = ast.Constant(not value if isinstance(value, bool) else value + 1)
            add(node, other, lambda: setattr(node, "value", other.value))
        case ast.If() | ast.While() | ast.IfExp() if not isinstance(node.test, ast.Compare):
            turned = ast.UnaryOp(ast.Not(), node.test)
            add(node.test, turned, lambda: setattr(node, "test", turned))
        case ast.For():
            add(node.iter, _NOTHING, lambda: setattr(node, "iter", _NOTHING))
        case ast.comprehension():
            add(node.iter, _NOTHING, lambda: setattr(node, "iter", _NOTHING))
            for one in node.ifs:
                add(one, ast.Constant(True), lambda one=one: node.ifs.remove(one))
        case ast.Call():
            # `strict` of `zip` asserts.
            for one in (one for one in node.keywords if one.arg != "strict"):
                without = ast.Name(f"no {one.arg}")
                add(node, without, lambda one=one: node.keywords.remove(one))
    for field, value in ast.iter_fields(node):
        if isinstance(value, ast.UnaryOp):
            add(value, value.operand, lambda f=field, v=value: setattr(node, f, v.operand))
        for i, child in enumerate(value if isinstance(value, list) else []):
            if isinstance(child, ast.UnaryOp):
                add(child, child.operand, lambda v=value, i=i, c=child: _put(v, i, c.operand))
            elif _is_droppable(child):
                add(child, ast.Pass(), lambda v=value, i=i: _put(v, i, ast.Pass()))
    return found


_NOTHING = ast.Tuple([], ast.Load())


def _put(members: list[ast.AST], position: int, new: ast.AST) -> None:
    """Put a node in another's place."""
    members[position] = ast.copy_location(new, members[position])


def _line(*nodes: ast.AST) -> int:
    """Line of the first that has one."""
    return next(node.lineno for node in nodes if hasattr(node, "lineno"))


def _is_droppable(statement: ast.AST) -> bool:
    """Calls, and assignments to something that is there without them."""
    match statement:
        case ast.Expr(value=ast.Constant()):
            return False  # a docstring
        case ast.Expr(value=ast.Yield() | ast.YieldFrom()):
            return False  # a generator would be none
        case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"))]):
            return False  # of a constructor
        case ast.Expr() | ast.AugAssign() | ast.Break() | ast.Continue():
            return True
        case ast.Assign(targets=[ast.Subscript() | ast.Attribute()]):
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(statement.value))
    return False


def _short(node: ast.AST) -> str:
    """A node as source, of one line."""
    if isinstance(node, ast.Pass):
        return "pass"
    if isinstance(node, ast.operator | ast.cmpop | ast.boolop):
        return type(node).__name__
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 60 else text[:57] + "…"


if __name__ == "__main__":
    main()
