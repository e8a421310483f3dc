"""One half of a set selects, the other is reported."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Collection
from pathlib import Path

import pytest
from PIL import Image

from figclip.errors import DataError
from figclip.evaluation.plan import TaskSettings, Work, open_works, plan_sources
from figclip.evaluation.seen_items import (
    SELECTED,
    TRAINED,
    VALIDATED,
    groups_in,
    half_of,
    items_hash,
    media_in,
    reported_part,
    selecting_half,
    trained_items,
)
from figclip.evaluation.sources import Content, DataSource
from figclip.model.folder import SeenMedia, medium_hash
from figclip.video.sampling import PRESETS
from figclip.video.store import StoreSpec
from tests.datasets.benchmark_files import write_lines
from tests.dense_sets import write_store
from tests.kept_sets import NUM_STILLS, NUM_VIDEOS, KeptWorld, write_kept_world
from tests.small_runs import IMAGE_SIZE, make_records

SPEC = StoreSpec(size=IMAGE_SIZE)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> KeptWorld:
    return write_kept_world(tmp_path_factory.mktemp("kept") / "world")


def open_work(source: DataSource, cache: Path, *, preset: str = "figclip") -> Work:
    settings = TaskSettings(
        preset=PRESETS[preset], prompts="photo", template="default", frames_per_event=2, seed=0
    )
    planned = plan_sources([source], asked=None, settings=settings, cache=cache)
    works = open_works(
        planned, [SPEC], lambda work: work, settings=settings, cache=cache, on_progress=None
    )
    return works[0]


def reported_half(work: Work, *, selected_on: Collection[str]) -> Work:
    seen = SeenMedia(selected_on=frozenset(selected_on))
    return reported_part(work, seen, leave_out_trained=False)


def content(work: Work) -> Content:
    return work.opened[SPEC].content


def test_a_group_is_always_in_the_same_half_and_halves_are_about_even() -> None:
    halves = [half_of(f"group {i}") for i in range(2000)]
    assert halves == [half_of(f"group {i}") for i in range(2000)]
    assert 900 < halves.count("selecting") < 1100
    # Written down in the folders of models: must never change.
    assert "".join(half_of(name)[0] for name in "abcdefgh") == "srrrssss"


@pytest.mark.parametrize("kind", ["colours", "captions", "events"])
def test_both_halves_are_the_whole(world: KeptWorld, tmp_path: Path, kind: str) -> None:
    source = DataSource(name="events", path=world.store)
    work = open_work(source if kind == "events" else getattr(world, kind), tmp_path)
    halves = {
        "selecting": selecting_half(work),
        "reported": reported_half(work, selected_on={items_hash(content(work))}),
    }
    groups = {half: groups_in(content(work), half) for half in halves}
    assert groups["selecting"].isdisjoint(groups["reported"])
    total = NUM_VIDEOS if kind == "events" else NUM_STILLS
    assert len(groups["selecting"]) + len(groups["reported"]) == total
    assert min(map(len, groups.values())) > total / 4
    for half, part in halves.items():
        other = "reported" if half == "selecting" else "selecting"
        assert groups_in(content(part), half) == groups[half]
        assert groups_in(content(part), other) == set()
        left_out = part.opened[SPEC].left_out
        assert len(left_out) == len(groups[other])
        [reason] = {one.reason for one in left_out}
        assert part.opened[SPEC].notices[-1] == f"{len(left_out)} left out: {reason}."
        assert part.opened[SPEC].hash != work.opened[SPEC].hash
    assert "chose the strength" in halves["reported"].opened[SPEC].notices[-1]
    count = next(iter(halves["selecting"].data[SPEC].counts.values()))
    assert count == len(groups["selecting"])


def test_data_that_chose_nothing_are_left_whole(world: KeptWorld, tmp_path: Path) -> None:
    work = open_work(world.colours, tmp_path)
    other = items_hash(content(open_work(world.captions, tmp_path)))
    assert reported_half(work, selected_on={other}) is work
    assert reported_half(work, selected_on={"0" * 16}) is work


def test_what_chose_is_left_out_of_other_data_too(world: KeptWorld, tmp_path: Path) -> None:
    """The same stills under other names, one of them new, in another file."""
    chose = selecting_half(open_work(world.colours, tmp_path))
    stills = tmp_path / "stills"
    stills.mkdir()
    lines = []
    for number, still in enumerate(sorted(world.stills.iterdir())):
        shutil.copy(still, stills / f"renamed {number}.png")
        lines.append({"image": f"renamed {number}.png", "captions": [f"it is {number}"]})
    Image.new("RGB", (16, 16), (1, 2, 3)).save(stills / "new.png")
    lines.append({"image": "new.png", "captions": ["nobody saw it"]})
    file = tmp_path / "other.jsonl"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    work = open_work(DataSource(name="retrieval", path=file, images=stills), tmp_path)
    part = reported_half(work, selected_on=media_in(content(chose)))
    num_chose = len(groups_in(content(chose), "selecting"))
    assert part.data[SPEC].counts["images"] == NUM_STILLS + 1 - num_chose
    assert media_in(content(part)).isdisjoint(media_in(content(chose)))
    opened = part.opened[SPEC]
    assert {one.reason for one in opened.left_out} == {SELECTED}
    assert len(opened.left_out) == num_chose
    assert opened.notices[-1] == f"{num_chose} left out: {SELECTED}."
    assert opened.hash != work.opened[SPEC].hash
    fewer = set(list(media_in(content(chose)))[1:])
    assert reported_half(work, selected_on=fewer).opened[SPEC].hash != opened.hash
    with pytest.raises(DataError, match=r"other.jsonl: nothing of it is left: \d+ left out"):
        reported_half(work, selected_on=media_in(content(work)))


def test_events_of_a_video_that_chose_are_left_out(tmp_path: Path) -> None:
    records = make_records([2, 1, 3])
    store = write_store(tmp_path / "a.store", records)
    work = open_work(DataSource(name="events", path=store), tmp_path)
    videos = content(work)
    part = content(reported_half(work, selected_on=media_in(videos.subset([1]))))
    assert [one.id for one in part.records] == [videos.records[i].id for i in (0, 2)]


def test_what_is_left_out_is_said_by_its_reason_and_what_was_trained_on_told(
    tmp_path: Path,
) -> None:
    records = make_records([1] * 6)
    work = open_work(
        DataSource(name="events", path=write_store(tmp_path / "a.store", records)), tmp_path
    )
    videos = content(work)
    parts = [media_in(videos.subset([i])) for i in range(6)]
    seen = SeenMedia(
        trained_on=parts[0] | parts[1] | parts[2],
        validated_on=parts[2] | parts[3],
        selected_on=parts[3] | parts[4],
    )
    told = reported_part(work, seen, leave_out_trained=False)
    assert [one.id for one in content(told).records] == ["v0", "v1", "v5"]
    assert trained_items(content(told), seen) == ("v0", "v1")
    silent = reported_part(work, seen, leave_out_trained=True).opened[SPEC]
    assert {one.item: one.reason for one in silent.left_out} == {
        "v0": TRAINED, "v1": TRAINED, "v2": VALIDATED, "v3": SELECTED, "v4": SELECTED,
    }  # fmt: skip
    assert set(silent.notices) == {
        f"2 left out: {TRAINED}.", f"1 left out: {VALIDATED}.", f"2 left out: {SELECTED}.",
    }  # fmt: skip
    everything = dataclasses.replace(seen, trained_on=media_in(videos))
    with pytest.raises(
        DataError, match=r"nothing of it is left: 3 left out: .* trained on; 1 left"
    ):
        reported_part(work, everything, leave_out_trained=True)


def test_an_item_of_two_images_is_left_out_for_either(world: KeptWorld, tmp_path: Path) -> None:
    lines = [
        {
            "id": number,
            "image_0": f"{2 * number:03d}",
            "image_1": f"{2 * number + 1:03d}",
            "caption_0": "one",
            "caption_1": "two",
            "collapsed_tag": "Object",
        }
        for number in range(3)
    ]
    folder = tmp_path / "winoground"
    write_lines(folder / "examples.jsonl", lines)
    work = open_work(DataSource(name="winoground", path=folder, images=world.stills), tmp_path)
    stills = content(open_work(world.colours, tmp_path))
    second = {medium.name: i for medium, i in stills.clips.clip_of.items()}["003.png"]
    seen = SeenMedia(trained_on=frozenset([medium_hash(stills.clips.key_of[second])]))
    assert trained_items(content(work), seen) == ("1",)
    part = reported_part(work, seen, leave_out_trained=True)
    assert [one.id for one in content(part).benchmark.items] == ["0", "2"]


def test_a_part_of_an_image_is_the_image(world: KeptWorld, tmp_path: Path) -> None:
    work = open_work(world.colours, tmp_path)
    media = content(work)
    keys = tuple(f"{key}#1,2,3,4" for key in media.clips.key_of)
    parts = dataclasses.replace(media, clips=dataclasses.replace(media.clips, key_of=keys))
    assert media_in(parts) == media_in(media)


def test_the_hash_is_of_items_and_files_not_of_pixels(world: KeptWorld, tmp_path: Path) -> None:
    found = items_hash(content(open_work(world.colours, tmp_path)))
    assert items_hash(content(open_work(world.colours, tmp_path, preset="velociti"))) == found
    relabelled = tmp_path / "colours.csv"
    text = world.colours.path.read_text()
    relabelled.write_text(text.replace("000.png,red", "000.png,blue"))
    changed = DataSource(name="actions", path=relabelled, images=world.stills)
    assert items_hash(content(open_work(changed, tmp_path))) != found
    # The same names and labels of other pictures: another seed of a drawn set.
    other = write_kept_world(tmp_path / "other").stills
    (other / "000.png").write_bytes((other / "003.png").read_bytes())
    redrawn = DataSource(name="actions", path=world.colours.path, images=other)
    assert items_hash(content(open_work(redrawn, tmp_path))) != found


def test_the_hash_of_events_ignores_the_pipeline(tmp_path: Path) -> None:
    records = make_records([2, 1])
    stores = [
        write_store(tmp_path / f"{pipeline}.store", records, pipeline=pipeline)
        for pipeline in ("pil", "swscale")
    ]
    hashes = {
        items_hash(content(open_work(DataSource(name="events", path=store), tmp_path)))
        for store in stores
    }
    assert len(hashes) == 1
