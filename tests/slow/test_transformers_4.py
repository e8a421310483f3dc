"""Folders that we write, read by transformers 4 in an environment of its own.

The environment is made once, in FIGCLIP_TRANSFORMERS_4 or the temporary folder, and needs a package
index. Torch is this environment's, reached by a .pth file: only transformers is under test.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from figclip.miniworld.mini_models import load_mini_model, write_mini_model
from figclip.model.figclip import FiGCLIP
from tests.model_folders import adapt_at_random
from tests.small_clip import write_small_clip

pytestmark = pytest.mark.slow

TEXTS = [
    "A man pushes a WOMAN",
    "",
    "  spaces   collapse \n here ",
    "Ünïcödé 球 🎈 it's 3,000.5",
    "the mover is red ball, " * 20,
]


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of an environment with transformers 4."""
    default = Path(tempfile.gettempdir()) / "figclip-transformers-4"
    folder = Path(os.environ.get("FIGCLIP_TRANSFORMERS_4", default))
    interpreter, done = folder / "bin" / "python", folder / "done"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        # Pillow 13 resizes some pictures otherwise than 12 does: ours is taken.
        ours = [f"{name}=={version(name)}" for name in ("numpy", "pillow")]
        packages = ["transformers>=4.50,<5", *ours, "safetensors"]
        subprocess.run([interpreter, "-m", "pip", "install", "-q", *packages], check=True)
        done.touch()
    # No dependencies of torch are installed there: the .pth file appends ours to the path, after
    # the environment's own packages. Written every time: ours may have moved since.
    torch_spec = find_spec("torch")
    assert torch_spec is not None and torch_spec.origin is not None
    packages_folder = Path(torch_spec.origin).parent.parent
    site = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    (site / "shared_torch.pth").write_text(f"{packages_folder}\n")
    return interpreter


def pictures() -> list[Image.Image]:
    generator = np.random.default_rng(0)
    shapes = [(64, 64), (90, 131), (200, 70), (10, 12)]
    return [
        Image.fromarray(generator.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in shapes
    ]


@pytest.mark.parametrize("without_tokenizer_json", [False, True])
@pytest.mark.parametrize("kind", ["plain", "adapted", "mini"])
def test_transformers_4_gives_the_same(
    python: Path, tmp_path: Path, kind: str, without_tokenizer_json: bool
):
    folder = tmp_path / "clip"
    if kind == "mini":
        write_mini_model(folder, load_mini_model(0))
    else:
        write_small_clip(folder, seed=0)
    if kind == "adapted":
        folder = adapt_at_random(folder).write(tmp_path / "adapted")
    ours = FiGCLIP.from_pretrained(folder)
    images, texts = ours.encode_image(pictures()), ours.encode_text(TEXTS)
    tokens = ours.backbone.tokenize(TEXTS)
    if without_tokenizer_json:  # then version 4 reads vocab.json and merges.txt
        (folder / "tokenizer.json").unlink()
    np.savez(tmp_path / "pictures.npz", *map(np.asarray, pictures()))
    (tmp_path / "texts.json").write_text(json.dumps(TEXTS))
    script = Path(__file__).with_name("old_transformers.py")
    arguments = [folder, tmp_path / "pictures.npz", tmp_path / "texts.json", tmp_path / "out.npz"]
    done = subprocess.run(
        [python, script, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as found:
        assert str(found["version"]).startswith("4.")
        assert found["max_length"] == 77
        np.testing.assert_array_equal(found["ids"], tokens.ids_NL.numpy())
        np.testing.assert_array_equal(found["present"], tokens.present_NL.numpy())
        np.testing.assert_allclose(found["images"], images.numpy(), atol=1e-5)
        np.testing.assert_allclose(found["texts"], texts.numpy(), atol=1e-5)
    assert torch.linalg.norm(images[0] - images[1]) > 1e-2
