"""`benchmarks/gpu_check.py` comes to its end without a GPU, so that it does where there is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_check.py"


def test_it_ends_on_a_cpu(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, SCRIPT, "--tiny", "--out", tmp_path / "check"],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "check" / "gpu-check.json").read_text(encoding="utf-8"))
    assert float(rows["gradient of a step, bf16 to fp32"].removeprefix("cosine ")) > 0.99
    assert "x as fast" in rows["a step, tiny"]
    assert rows["weights, bf16 stopped and resumed"] == "0.0e+00 apart (stopped by SIGTERM)"
    assert rows["two GPUs"] == "there are not two"
