"""What a page opens with: clips of the mini world, whose sentences are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from figclip.annotations.splits import EVALUATED_SPLIT
from figclip.annotations.vidsitu import load_source
from figclip.datasets.files import ALL
from figclip.datasets.own_files import read_pairs
from figclip.datasets.records import Contrast
from figclip.demo.media import Medium
from figclip.miniworld.world_files import WorldFolder
from figclip.video.container import video_duration_s
from figclip.video.media_folder import VIDEO_SUFFIXES, MediaFolder

_TESTS = ("role_swap", "direction", "verb", "manner")
_PER_TEST = 2
_NUM_SEARCHED = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A clip, and sentences of which the first is true."""

    medium: Medium
    sentences: tuple[str, ...]


def find_world(model: str) -> WorldFolder | None:
    """The mini world beside a run of the quickstart."""
    world = WorldFolder(Path(model).absolute().parent / "world")
    return world if Path(model).is_dir() and world.claim.exists() else None


def examples_of(world: WorldFolder) -> tuple[Example, ...]:
    """Clips of the tests of detail, some of each."""
    found: list[Example] = []
    for number, test in enumerate(_TESTS):
        file = world.detail / f"{test}-natural.jsonl"
        pairs = read_pairs(file, ALL).items if file.exists() else ()
        firsts = list({one.group: one for one in pairs[::-1]}.values())[::-1]  # of two twins each
        start = number * _PER_TEST  # some tests are about the same clips
        found += [_example(world, one) for one in firsts[start : start + _PER_TEST]]
    return tuple(found)


def searched_videos(world: WorldFolder) -> list[Path]:
    """Some videos of several events each, of combinations that training never shows."""
    videos = MediaFolder(world.vidsitu / "videos", suffixes=VIDEO_SUFFIXES)
    records = load_source(world.vidsitu / "annotations").records
    names = [one.video for one in records if one.split == EVALUATED_SPLIT]
    return [path for name in names[:_NUM_SEARCHED] for path in videos.find(name)]


def _example(world: WorldFolder, pair: Contrast) -> Example:
    """A clip with a true and a false sentence."""
    path = world.detail / "videos" / pair.media[0].name
    medium = Medium(path=path, span_s=(0.0, video_duration_s(path)))
    return Example(medium=medium, sentences=(pair.positives[0], pair.negatives[0]))
