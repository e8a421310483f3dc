"""The wheel is all that a plain install needs: built, installed alone, and used from there.

Dependencies are this environment's, reached by a .pth file, so that no download is needed but the
build system's; `make wheel` installs them, too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import figclip

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the sources: setuptools leaves files beside them."""
    copy = tmp_path_factory.mktemp("sources")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", copy / "src", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", copy / "dist", copy]
    subprocess.run(command, check=True)
    (built,) = (copy / "dist").iterdir()
    return built


def test_the_wheel_holds_every_file_of_the_package(wheel: Path):
    package = ROOT / "src" / "figclip"
    files = [path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("figclip/")}
    assert held == {path.relative_to(package.parent).as_posix() for path in files}


def test_a_quickstart_runs_from_the_wheel_alone(wheel: Path, tmp_path: Path):
    folder = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    install = [python, "-I", "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True)
    # A .pth file adds the folder of our dependencies, not what its own .pth files add: figclip
    # itself, installed there as editable, stays out of reach.
    site = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    (site / "dependencies.pth").write_text(f"{Path(np.__file__).parents[1]}\n")
    environment = {key: one for key, one in os.environ.items() if key != "PYTHONPATH"}
    told = subprocess.run(
        [folder / "bin" / "figclip", "--version"],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert told.stdout == f"figclip {figclip.__version__}\n"
    script = Path(__file__).with_name("from_wheel.py")
    done = subprocess.run(
        [python, "-I", script, tmp_path / "quickstart"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"figclip {figclip.__version__} from {site / 'figclip'}" in done.stdout
