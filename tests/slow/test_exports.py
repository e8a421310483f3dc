"""Every export, loaded by the real library, of a small CLIP and of ViT-B/32 at full size."""

from __future__ import annotations

import json
import re
import runpy
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import normalize

from figclip.errors import ConfigError
from figclip.exporting.agreement import TEXTS, _pictures
from figclip.exporting.export import TARGETS, export
from figclip.model.backbone import load_backbone
from figclip.model.figclip import FiGCLIP
from tests.full_size_clips import write_vit_b_32
from tests.model_folders import adapt_at_random
from tests.small_clip import write_small_clip
from tests.small_families import SMALL_FAMILIES, SmallFamily
from tests.videos import draw_video

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "exporting.md"
BLOCKS = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapted small CLIP, whose vocabulary and activation are not those libraries expect."""
    folder = tmp_path_factory.mktemp("small")
    write_small_clip(folder / "clip", seed=0)
    return adapt_at_random(folder / "clip").write(folder / "model")


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """0.6 GB, for as long as it is needed."""
    folder = tmp_path_factory.mktemp("full")
    yield write_vit_b_32(folder / "clip")
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def documented(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that docs/exporting.md names."""
    folder = tmp_path_factory.mktemp("documented")
    for name in TARGETS:
        export(small, to=name, out=folder / "exported" / name)
    draw_video(folder / "clip.mp4", stamps=range(45))
    Image.new("RGB", (90, 70), (200, 30, 40)).save(folder / "picture.png")
    return folder


@pytest.mark.parametrize("family", SMALL_FAMILIES, ids=lambda one: one.name)
@pytest.mark.parametrize("name", TARGETS)
def test_families_agree_or_are_refused(family: SmallFamily, tmp_path: Path, name: str):
    family.write(tmp_path / "base", 0, 24)
    adapted = adapt_at_random(tmp_path / "base", layers=0)
    model = adapted.write(tmp_path / "model")
    families = TARGETS[name].families
    if families is not None and adapted.backbone.family.name not in families:
        with pytest.raises(ConfigError, match="cannot hold a"):
            export(model, to=name, out=tmp_path / name)
        assert not (tmp_path / name).exists()
    else:
        done = export(model, to=name, out=tmp_path / name)
        assert done.agreements[0].precision == "fp32" and done.agreements[0].holds


# The folder for transformers.js is that for ONNX.
@pytest.mark.parametrize("name", [one for one in TARGETS if one != "transformers.js"])
def test_full_size_agrees(full_size: Path, tmp_path: Path, name: str):
    done = export(full_size, to=name, out=tmp_path / name)
    assert done.agreements[0].precision == "fp32"
    assert done.agreements[0].max_difference <= 1e-5


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_open_clip_knows_the_activation(tmp_path: Path, activation: str):
    write_small_clip(tmp_path / "clip", seed=1, activation=activation)
    done = export(tmp_path / "clip", to="open_clip", out=tmp_path / "out")
    assert done.agreements[0].max_difference <= 1e-5
    again = FiGCLIP.from_pretrained(f"open_clip:{tmp_path / 'out'}")
    expected = FiGCLIP.from_pretrained(tmp_path / "clip")
    assert torch.equal(again.encode_text(TEXTS), expected.encode_text(TEXTS))


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-32-quickgelu"])
def test_a_base_of_open_clip_with_openais_vocabulary(tmp_path: Path, name: str):
    import open_clip

    torch.manual_seed(0)
    theirs, _, preprocess = open_clip.create_model_and_transforms(name)
    save_file(theirs.state_dict(), tmp_path / "open_clip_model.safetensors")
    content: dict[str, Any] = {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": {}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
    ours = FiGCLIP.from_pretrained(f"open_clip:{tmp_path}")
    tokenizer = open_clip.get_tokenizer(name)
    ids = tokenizer(list(TEXTS))
    found = load_backbone(f"open_clip:{tmp_path}").tokenize(TEXTS)
    for row, expected in zip(found.ids_NL, ids, strict=True):
        length = int(expected.argmax()) + 1
        assert torch.equal(row[:length], expected[:length])
    pictures, _ = _pictures(224)
    theirs.eval()
    with torch.inference_mode():
        images = theirs.encode_image(torch.stack([preprocess(one) for one in pictures]))
        texts = theirs.encode_text(ids)
    for embedded, expected in (
        (ours.encode_image(pictures), images),
        (ours.encode_text(TEXTS), texts),
    ):
        torch.testing.assert_close(embedded, normalize(expected, dim=-1), atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore")  # mteb calls itself by old names
@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_lines_of_the_document_run(
    block: str, documented: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(documented)
    file = documented / "block.py"
    file.write_text(block)
    runpy.run_path(str(file), run_name="__main__")
