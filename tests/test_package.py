"""What pyproject.toml says of the package is so: version, dependencies, bounds."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import figclip

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def plain(name: str) -> str:
    """A distribution's name without the differences that package indexes ignore."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_packages() -> set[str]:
    """Top-level modules of others that figclip imports anywhere."""
    found = set()
    for path in (ROOT / "src" / "figclip").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"figclip"}


def test_dependencies_and_extras_are_what_is_imported():
    extras = PROJECT["optional-dependencies"]
    of_users = [one for name in extras if name not in ("dev", "slow") for one in extras[name]]
    declared, optional = (
        {plain(re.split(r"[<>=[]", one)[0]) for one in requirements}
        for requirements in (PROJECT["dependencies"], of_users)
    )
    of_module = packages_distributions()
    imported = {plain(of_module.get(module, [module])[0]) for module in imported_packages()}
    assert declared <= imported
    assert imported <= declared | optional


def test_every_requirement_has_a_lower_bound_that_make_test_lowest_reads():
    extras = PROJECT["optional-dependencies"]
    lines = [f'  "{one}",' for one in (*PROJECT["dependencies"], *extras["dev"])]
    assert all(re.fullmatch(r'  "[A-Za-z0-9_-]+>=[0-9.]+",', line) for line in lines)
    assert set(lines) <= set((ROOT / "pyproject.toml").read_text().splitlines())


def test_there_is_one_version():
    assert "version" in PROJECT["dynamic"]
    cited = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M)
    assert cited == [figclip.__version__]
    command = [sys.executable, "-m", "figclip", "--version"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stdout == f"figclip {figclip.__version__}\n"
