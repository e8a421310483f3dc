"""Run by an environment with the wheel: package data, and the quickstart on a very small world.

Its argument is the folder for the quickstart. `make wheel` and `test_wheel.py` run it.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import figclip
from figclip.miniworld.quickstart import WorldSize, run_quickstart

# A strength is chosen from 40 groups on, and two of three videos share a group.
SIZE = WorldSize(
    train=60, valid=2, pairs=10, stills=30, pictures=20, selection_stills=60, films=0, valid_films=0
)


def main() -> None:
    installed = Path(sys.prefix).resolve()
    assert Path(figclip.__file__).resolve().is_relative_to(installed), figclip.__file__
    assert version("figclip") == figclip.__version__
    package = files("figclip")
    for name in (
        "py.typed",
        "annotations/annotations.schema.json",
        "demo/page/demo.css",
        "demo/page/stage.html.j2",
        "reporting/page/colours.css",
        "reporting/page/report.html.j2",
        "reporting/page/report.css",
        "reporting/page/report.js",
        "miniworld/weights/mini_clip_0.safetensors",
        "miniworld/weights/mini_clip_1.safetensors",
        "miniworld/weights/mini_siglip_0.safetensors",
    ):
        assert (package / name).is_file(), f"the wheel has no {name}"
    out = Path(sys.argv[1])
    result = run_quickstart(out, seed=0, size=SIZE, on_progress=lambda *_: None)
    assert "<html" in result.report.read_text()
    print(f"figclip {figclip.__version__} from {package}: {len(result.summary['tests'])} tests")


if __name__ == "__main__":  # decoding starts processes that import this file again
    main()
