"""transformers.js in Node loads an export and sees what figclip sees."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from figclip.exporting.agreement import MAX_DIFFERENCE, MIN_COSINES, TEXTS
from figclip.exporting.export import export
from figclip.model.figclip import FiGCLIP
from tests.model_folders import adapt_at_random
from tests.small_clip import write_small_clip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed"),
]

SCRIPT = Path(__file__).parent / "transformers_js.mjs"
# Without scripts: that of onnxruntime-node fetches CUDA.
INSTALL = "npm install --ignore-scripts --no-audit --no-fund @huggingface/transformers@4.3.2"


def test_node_agrees(tmp_path: Path):
    write_small_clip(tmp_path / "clip", seed=0)
    model = adapt_at_random(tmp_path / "clip").write(tmp_path / "model")
    done = export(model, to="transformers.js", out=tmp_path / "exported")
    subprocess.run(INSTALL.split(), cwd=tmp_path, check=True, capture_output=True)
    shutil.copy(SCRIPT, tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    request = {"texts": TEXTS, "size": 64, "pixels": pixels.ravel().tolist()}
    (tmp_path / "request.json").write_text(json.dumps(request))
    command = ["node", SCRIPT.name, str(done.folder), "request.json"]
    told = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    found = {
        dtype: normalize(torch.tensor(rows)) for dtype, rows in json.loads(told.stdout).items()
    }
    ours = FiGCLIP.from_pretrained(model)
    expected = torch.cat([ours.encode_text(TEXTS), ours.encode_image([Image.fromarray(pixels)])])
    torch.testing.assert_close(found["fp32"], expected, atol=MAX_DIFFERENCE, rtol=0)
    assert (found["fp16"] * expected).sum(dim=1).min() >= MIN_COSINES["fp16"]
    assert (found["q8"] * expected).sum(dim=1).min() >= MIN_COSINES["int8"]
