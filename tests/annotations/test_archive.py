"""The annotation files that a store keeps."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import pytest

from figclip.annotations import archive
from figclip.annotations.archive import open_source, pack_source
from figclip.annotations.own_files import load_annotations
from figclip.annotations.vidsitu import load_source
from figclip.datasets.situations import load_situation_truth
from figclip.errors import AnnotationError, StoreError
from figclip.runtime.reading import read_bytes
from tests.situation_files import official, write_official

LINE = {"video": "a.mp4", "events": [{"start_s": 0, "end_s": 1, "verb": "walk"}]}
STORE = Path("somewhere/frames.store")


def test_official_files_are_read_from_the_archive_as_from_the_folder(tmp_path: Path):
    folder = write_official(tmp_path / "official")
    (folder / "notes.txt").write_text("not of VidSitu")
    nested = folder / "vseg_ann_files"
    nested.mkdir()
    (folder / "vsann_valid_lb.json").rename(nested / "vsann_valid_lb.json")
    kept = open_source(pack_source(folder), where=STORE)
    assert kept.name == "official" and kept.is_dir()
    assert sorted(one.name for one in kept.iterdir()) == [
        "vinfo_valid_lb.json", "vseg_ann_files", "vseg_split_valid_lb.json"
    ]  # fmt: skip
    # Equal to the last letter: videos, verbs, roles, relations, order and the hash of the bytes.
    assert load_situation_truth(kept, "valid") == load_situation_truth(folder, "valid")
    assert load_source(kept).records == load_source(folder).records


def test_what_is_wrong_with_a_kept_file_is_named_by_the_store(tmp_path: Path):
    content = official()
    del content["vinfo_valid_lb.json"]
    content["vsann_valid_lb.json"][0]["Ev1"]["VerbID"] = 3
    kept = open_source(pack_source(write_official(tmp_path, content)), where=STORE)
    with pytest.raises(AnnotationError, match=r"holds no vinfo_valid_lb\.json") as caught:
        load_situation_truth(kept, "valid")
    assert f"{STORE}/{tmp_path.name}/vsann_valid_lb.json[0]" in str(caught.value)


@pytest.mark.parametrize("name", ["mine.jsonl", "a b.JSONL"])
def test_own_annotations_are_one_file(tmp_path: Path, name: str):
    file = tmp_path / name
    file.write_text(json.dumps(LINE) + "\n")
    kept = open_source(pack_source(file), where=STORE)
    assert kept.is_file() and kept.name == name
    assert load_source(kept).records == load_annotations(file).records


def test_equal_files_give_equal_bytes(tmp_path: Path):
    one, two = (write_official(tmp_path / name / "official") for name in "ab")
    os.utime(two / "vsann_valid_lb.json", (0, 0))
    assert pack_source(one) == pack_source(two)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = write_official(tmp_path / "official")

    def refuse(path: Path) -> bytes:
        if path.name == "vinfo_valid_lb.json":
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(archive, "read_bytes", refuse)
    with pytest.raises(AnnotationError, match=r"vinfo_valid_lb\.json: cannot be read \(Permission"):
        pack_source(folder)


def two_roots() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/x.json", "1")
        archive.writestr("b/x.json", "2")
    return packed.getvalue()


def flipped(packed: bytes) -> bytes:
    """Another byte of the first file's content."""
    place = packed.index(b".jsonl") + 20
    return packed[:place] + bytes([packed[place] ^ 0xFF]) + packed[place + 1 :]


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda p: p[:-30], flipped, lambda _: two_roots()]
)
def test_a_damaged_archive_is_named(tmp_path: Path, damage):
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps(LINE) + "\n")
    with pytest.raises(StoreError, match=r"frames\.store: its annotation files are damaged"):
        open_source(damage(pack_source(file)), where=STORE)
