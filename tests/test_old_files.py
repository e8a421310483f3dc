"""Files that the version before the house was rebuilt wrote (commit 7c0fd0d) are still read.

`fixtures/before_the_house.tar.xz` holds a tiny CLIP, a frame store, a run with its model, results
and the checkpoint before its last step, and heads; made with one thread by that commit's `adapt`,
`evaluate`, `finetune_situations` and `evaluate_situations`. `@HERE@` stands for the folder.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from figclip import FiGCLIP, adapt
from figclip.config.parsing import apply_overrides
from figclip.config.recipes import build_recipe
from figclip.evaluation.sources import DataSource
from figclip.heads.situations.task import evaluate_situations
from figclip.reporting.report import write_report
from figclip.runtime.checked_json import load_checked
from figclip.video.store import FrameStore, StoreSpec

ARCHIVE = Path(__file__).parent / "fixtures" / "before_the_house.tar.xz"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    for file in tmp_path.rglob("*.json*"):
        text = file.read_text()
        if "@HERE@" in text:
            file.write_text(text.replace("@HERE@", str(tmp_path)))
    return tmp_path


def test_a_store(old: Path):
    with FrameStore.open(old / "frames.store", require=StoreSpec(size=32)) as store:
        assert len(store.records()) == 5 and not store.quarantine()


def test_a_model(old: Path):
    expected = load_checked((old / "texts.json").read_text())
    found = FiGCLIP.from_pretrained(old / "run").encode_text(expected["texts"])
    torch.testing.assert_close(found, torch.tensor(expected["embeddings"]), atol=1e-6, rtol=0)


def test_a_run_goes_on_to_the_weights_that_it_had(old: Path):
    expected = load_file(old / "run/model/model.safetensors")
    shutil.rmtree(old / "run/model")
    settings = [
        f"model.base={old}/base",
        "train.epochs=3",
        "train.keep_checkpoints=5",
        "text.verb_negatives=1",
    ]
    config = apply_overrides(build_recipe("tiny"), settings)
    adapt(config, data=[old / "frames.store"], out=old / "run", resume=True, cpu=True)
    found = load_file(old / "run/model/model.safetensors")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=0, msg=name)


def test_heads_score_what_they_scored(old: Path):
    before = load_checked((old / "heads/eval/situations-vidsitu.json").read_text())
    data = DataSource(name="vidsitu", path=old / "frames.store")
    evaluate_situations(old / "heads", data=data, out=old / "again")
    after = load_checked((old / "again/situations-vidsitu.json").read_text())
    assert after["metrics"] == before["metrics"]


def test_a_page_about_a_run_and_its_heads(old: Path):
    page = write_report(old / "run", heads=[old / "heads"]).read_text()
    assert "situations" in page
