"""What the process does with freed memory, and how its threads wait."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

_FAULTS = """
import resource, sys
import numpy as np
from figclip.runtime.cpu_settings import tune_for_cpu

if sys.argv[1] == "kept":
    tune_for_cpu()
for _ in range(2):
    np.ones(64 << 20, dtype=np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    np.ones(64 << 20, dtype=np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

_IMPORT = "from figclip.runtime.cpu_settings import tune_for_cpu; tune_for_cpu(); import torch"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_big_blocks_are_used_again_without_page_faults() -> None:
    faults = {
        mode: int(
            subprocess.run(
                [sys.executable, "-c", _FAULTS, mode], capture_output=True, check=True, text=True
            ).stdout
        )
        for mode in ("kept", "given back")
    }
    assert faults["kept"] < 64 < faults["given back"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="torch has another OpenMP there")
@pytest.mark.parametrize(
    ("own", "expected"),
    [({}, "5000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "passive"}, "0")],
)
def test_openmp_is_told_unless_the_user_told_it(own: dict[str, str], expected: str) -> None:
    others = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT],
        env={**others, "OMP_DISPLAY_ENV": "verbose", **own},
        capture_output=True,
        check=True,
        text=True,
    )
    assert f"GOMP_SPINCOUNT = '{expected}'" in done.stderr
