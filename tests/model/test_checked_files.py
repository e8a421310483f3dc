"""Hashes of a model folder: a changed file is refused by name, folders without hashes load."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from safetensors import safe_open

from figclip.errors import ModelError
from figclip.model.backbone import load_backbone, load_tokenizer
from figclip.model.checked_files import _hash_once, check_files, hash_files
from figclip.model.figclip import FiGCLIP
from figclip.model.folder import read_info, write_adapted
from tests.model_folders import adapt_at_random
from tests.small_runs import write_tiny_clip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    adapted = adapt_at_random(write_tiny_clip(tmp_path / "base"))
    write_adapted(
        tmp_path / "model",
        adapted.backbone,
        adapter=adapted.adapter,
        contextualizer=adapted.contextualizer,
        info=adapted.info,
        card="# a card\n",
    )
    return tmp_path / "model"


def change(file: Path) -> None:
    """Flips a bit in the middle; the time stays that of another second."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, (1, 1))


def test_a_changed_file_is_refused_by_name(folder: Path):
    hashes = json.loads((folder / "figclip.json").read_text())["files"]
    names = {"model.safetensors", "contextualizer.safetensors", "adapter/adapter_model.safetensors"}
    assert {*names, "config.json", "tokenizer.json", "trained_on.txt"} <= hashes.keys()
    for name in hashes:
        file = folder / name
        content, stat = file.read_bytes(), file.stat()
        change(file)
        uses = (FiGCLIP.from_pretrained, read_info, lambda path: load_backbone(str(path)))
        for use in (*uses, lambda path: load_tokenizer(str(path))):
            with pytest.raises(
                ModelError, match=r"is not as it was written.*on purpose"
            ) as refused:
                use(folder)
            assert refused.value.where == str(file)
        file.write_bytes(content)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    check_files(folder)


def test_the_card_may_be_edited(folder: Path):
    assert "README.md" not in hash_files(folder)
    assert (folder / "README.md").read_text() == "# a card\n"
    (folder / "README.md").write_text("# mine\n")
    assert FiGCLIP.from_pretrained(folder).info is not None


def test_a_changed_figclip_json_is_refused(folder: Path):
    file = folder / "figclip.json"
    text = file.read_text()
    assert '"alpha": 1.0' in text
    file.write_text(text.replace('"alpha": 1.0', '"alpha": 1.5'))
    with pytest.raises(ModelError, match="not what was written"):
        FiGCLIP.from_pretrained(folder)


def test_each_file_is_read_once(folder: Path):
    check_files(folder)
    before = _hash_once.cache_info().misses
    FiGCLIP.from_pretrained(folder)
    assert _hash_once.cache_info().misses == before
    os.utime(folder / "model.safetensors", (1, 1))
    check_files(folder)
    assert _hash_once.cache_info().misses == before + 1


def test_folders_without_hashes_and_with_changes_on_purpose_load(folder: Path):
    file = folder / "figclip.json"
    content = json.loads(file.read_text())
    change(folder / "contextualizer.safetensors")
    for name in ("files", "check"):
        del content[name]
    file.write_text(json.dumps(content))
    assert FiGCLIP.from_pretrained(folder).info is not None


def test_what_is_gone_is_told_by_whoever_needs_it(folder: Path):
    (folder / "adapter" / "adapter_model.safetensors").unlink()
    assert FiGCLIP.from_pretrained(folder).alpha == 1
    with pytest.raises(ModelError, match="adapter_model"):
        FiGCLIP.from_pretrained(folder, alpha=0.5)


def test_the_same_model_is_written_in_the_same_bytes(folder: Path):
    """safetensors writes several entries of metadata in an order of chance."""
    for file in folder.rglob("*.safetensors"):
        with safe_open(file, framework="pt") as opened:
            assert len(opened.metadata() or {}) <= 1, file
    assert hash_files(folder) == json.loads((folder / "figclip.json").read_text())["files"]
