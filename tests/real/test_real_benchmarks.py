"""The public benchmark files, whole: the counts that their authors give."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from figclip.datasets.actions import PROMPT_SETS, class_in_words, read_kinetics
from figclip.datasets.catalogue import load_benchmark
from figclip.datasets.records import ActionSet, CompositionSet, RetrievalSet

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def data() -> Path:
    return Path(os.environ["FIGCLIP_REAL_DATA"]) / "data"


def retrieval(name: str, path: Path, *, split: str | None = None) -> RetrievalSet:
    loaded = load_benchmark(name, path, split=split)
    assert isinstance(loaded, RetrievalSet)
    assert not loaded.notices
    for item in loaded.items:
        (caption,) = item.captions
        assert caption.strip()
        assert item.medium.kind == "video"
    return loaded


def actions(name: str, path: Path, *, split: str | None = None) -> ActionSet:
    loaded = load_benchmark(name, path, split=split)
    assert isinstance(loaded, ActionSet)
    return loaded


def test_msrvtt(data: Path) -> None:
    loaded = retrieval("msrvtt", data / "benchmarks" / "msrvtt")
    assert len(loaded.items) == 1000
    assert len({item.captions for item in loaded.items}) == 995
    assert max(len(item.captions[0].split()) for item in loaded.items) == 30


def test_activitynet(data: Path) -> None:
    folder = data / "benchmarks" / "activitynet_captions"
    first = retrieval("activitynet", folder)
    second = retrieval("activitynet", folder, split="val_2")
    assert (len(first.items), len(second.items)) == (4917, 4885)
    assert {item.id for item in second.items} < {item.id for item in first.items}
    official = json.loads((folder / "val_1.json").read_text(encoding="utf-8"))
    for item in first.items:
        # What CLIP's tokenizer makes of the published join.
        assert item.captions[0] == " ".join(" ".join(official[item.id]["sentences"]).split())


def test_youcook2(data: Path) -> None:
    folder = data / "benchmarks" / "youcook2"
    loaded = retrieval("youcook2", folder / "yc2_val.json")
    assert len(loaded.items) == 457
    assert loaded == retrieval("youcook2", folder / "para_yc2_val.json")


def test_hmdb51(data: Path) -> None:
    folder = data / "benchmarks" / "hmdb51"
    loaded = actions("hmdb51", folder)
    assert Counter(item.split for item in loaded.items) == {"1": 1530, "2": 1530, "3": 1530}
    assert set(Counter((item.split, item.class_idx) for item in loaded.items).values()) == {30}
    listed = (folder / "class_list.txt").read_text(encoding="utf-8").split()
    assert sorted(listed) == list(loaded.classes)
    assert not loaded.notices
    assert sum(not re.fullmatch(r"[\w.-]+", item.id) for item in loaded.items) > 0


def test_hmdb51_groups_are_films(data: Path) -> None:
    # The full form of a name: film, class, body part, camera, persons, side, quality, number.
    form = r"(?P<film>.+)_{}_[a-z]_[a-z]{{2}}_np[0-9]+_[a-z]{{2}}_[a-z]{{3}}_[0-9]+\.avi"
    loaded = actions("hmdb51", data / "benchmarks" / "hmdb51")
    for item in loaded.items:
        match = re.fullmatch(form.format(loaded.classes[item.class_idx]), item.id)
        assert match
        assert match["film"] == item.group
    assert len({item.group for item in loaded.items}) == 1106


def test_ucf101(data: Path) -> None:
    loaded = actions("ucf101", data / "benchmarks" / "ucf101")
    assert Counter(item.split for item in loaded.items) == {"1": 3783, "2": 3734, "3": 3696}
    assert len(loaded.classes) == 101
    assert {item.class_idx for item in loaded.items} == set(range(101))
    for item in loaded.items:
        group = item.group.split()[1]
        assert item.medium.name.startswith(f"{loaded.classes[item.class_idx]}/v_")
        assert f"_{group}_c" in item.medium.name
    text = (data / "benchmarks" / "clip_prompts" / "ucf101_classes.txt").read_text()
    # CLIP's authors divide one name otherwise.
    assert set(loaded.class_names) - set(text.lower().splitlines()) == {"handstand pushups"}


def test_kinetics_class_lists(data: Path, tmp_path: Path) -> None:
    folder = data / "benchmarks" / "kinetics400"
    for name in ("label_map_k400.txt", "kinetics_400_labels.csv"):
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "val.txt").write_text("a.mp4 0\nb.mp4 399\n")
    loaded = read_kinetics(tmp_path, "val")
    assert len(loaded.classes) == 400
    assert [loaded.classes[item.class_idx] for item in loaded.items] == ["abseiling", "zumba"]
    assert loaded.class_names == tuple(name.lower() for name in loaded.classes)


def test_sugarcrepe(data: Path) -> None:
    loaded = load_benchmark("sugarcrepe", data / "sugarcrepe")
    assert isinstance(loaded, CompositionSet)
    assert len(loaded.items) == 7511
    assert Counter(item.subset for item in loaded.items) == {
        "add_obj": 2062,
        "add_att": 692,
        "replace_obj": 1652,
        "replace_att": 788,
        "replace_rel": 1406,
        "swap_obj": 245,
        "swap_att": 666,
    }
    assert not loaded.notices
    ids = {item.id for item in loaded.items}
    assert "swap_obj/245" in ids
    assert "swap_obj/108" not in ids
    for item in loaded.items:
        assert item.positives[0].strip()
        assert item.negatives[0].strip()
        assert re.fullmatch(r"[0-9]{12}\.jpg", item.group)
    official = json.loads((data / "sugarcrepe" / "swap_att.json").read_text(encoding="utf-8"))
    for item in loaded.items:
        if item.subset == "swap_att":
            entry = official[item.id.removeprefix("swap_att/")]
            assert item.positives == (entry["caption"],)
            assert item.negatives == (entry["negative_caption"],)


def test_labels_of_real_videos(data: Path) -> None:
    loaded = actions("actions", data / "videos" / "labels.csv")
    assert len(loaded.items) == len(loaded.classes) == 30
    assert loaded.notices == ("3 columns ignored: 'source', 'licence', 'label_from'",)
    assert all((data / "videos" / item.medium.name).is_file() for item in loaded.items)


@pytest.mark.parametrize(("name", "file"), [("kinetics", "kinetics700"), ("ucf101", "ucf101")])
def test_published_prompts(data: Path, name: str, file: str) -> None:
    text = (data / "benchmarks" / "clip_prompts" / f"{file}_templates.txt").read_text()
    assert PROMPT_SETS[name] == tuple(text.splitlines())


def test_kinetics_700_names_are_words(data: Path) -> None:
    text = (data / "benchmarks" / "clip_prompts" / "kinetics700_classes.txt").read_text()
    assert all(class_in_words(name) == name.lower() for name in text.splitlines())
