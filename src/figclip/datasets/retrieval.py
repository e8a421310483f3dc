"""Reads the retrieval benchmarks: MSR-VTT, and paragraphs of ActivityNet Captions and YouCook2."""

from pathlib import Path

from figclip.annotations.reading import Place, check_filled, check_path, is_object
from figclip.datasets.files import (
    Fields,
    UniqueIds,
    find_file,
    raise_unless_items,
    read_json_members,
    read_table,
)
from figclip.datasets.records import CaptionedMedium, Medium, RetrievalSet

MSRVTT_FILE = "MSRVTT_JSFUSION_test.csv"
ACTIVITYNET_SUBFOLDERS = ("", "captions")
YOUCOOK2_FILES = ("yc2_val.json", "para_yc2_val.json")


def read_msrvtt(path: Path, split: str) -> RetrievalSet:
    """MSR-VTT's 1k-A test: 1,000 videos of one sentence each.

    `path` is `MSRVTT_JSFUSION_test.csv` (columns `video_id` and `sentence`; `key` and `vid_key` are
    not used), or its folder.
    """
    file = Place(str(find_file(path, MSRVTT_FILE)))
    table = read_table(file, required=("video_id", "sentence"))
    ids = UniqueIds()
    items: list[CaptionedMedium] = []
    for place, row in table.rows:
        fields = Fields(row, place)
        item = _video(fields.path("video_id"), fields.caption("sentence"))
        ids.check(item.id, place=place)
        items.append(item)
    return _checked(file, split=split, items=items)


def read_activitynet(path: Path, split: str) -> RetrievalSet:
    """ActivityNet Captions: the sentences of a video joined to a paragraph.

    CLIP4Clip@508ffa3 dataloader_activitynet_retrieval.py:121 joins them by spaces; runs of white
    space, which CLIP's tokenizer does not see, are single spaces here. Videos are named as in the
    file, `v_<YouTube id>`.

    `path` is the folder of `val_1.json` and `val_2.json`, two annotations of the same videos, or
    the one that is wanted.
    """
    file = Place(str(find_file(path, f"{split}.json", subfolders=ACTIVITYNET_SUBFOLDERS)))
    return _checked(file, split=split, items=_read_paragraphs(file, separator=" "))


def read_youcook2(path: Path, split: str) -> RetrievalSet:
    """YouCook2, whole videos: the sentences of a video joined to a paragraph.

    The common test on YouCook2 retrieves clips of videos instead; its numbers are not comparable.
    The sentences end without a full stop, so they are joined by one, which gives what the
    paragraph file holds. Videos are named as in the file, `v_<YouTube id>`.

    `path` is `yc2_val.json` or `para_yc2_val.json`, or their folder.
    """
    file = Place(str(find_file(path, *YOUCOOK2_FILES)))
    return _checked(file, split=split, items=_read_paragraphs(file, separator=". "))


def _read_paragraphs(file: Place, *, separator: str) -> list[CaptionedMedium]:
    """One paragraph per video, from text or from `{"sentences": […]}`."""
    items: list[CaptionedMedium] = []
    for member in read_json_members(file):
        place, value = member.place, member.value
        name = check_path(member.key, "", place=place)
        if isinstance(value, str):
            sentences = (check_filled(value, "", place=place),)
        elif is_object(value):
            sentences = Fields(value, place).captions("sentences")
        else:
            place.refuse("", value, wanted="an object or text", fix='Write {"sentences": […]}')
            continue
        items.append(_video(name, " ".join(separator.join(sentences).split())))
    return items


def _video(name: str, caption: str) -> CaptionedMedium:
    return CaptionedMedium(id=name, medium=youtube_video(name), captions=(caption,), group=name)


def youtube_video(name: str) -> Medium:
    """A video named `v_<YouTube id>`, whose file often goes by the id alone."""
    also = (name.removeprefix("v_"),) if name.startswith("v_") else ()
    return Medium(kind="video", name=name, also=also)


def _checked(file: Place, *, split: str, items: list[CaptionedMedium]) -> RetrievalSet:
    """The set, when nothing was wrong."""
    raise_unless_items(file, items, lacking="videos")
    return RetrievalSet(split=split, items=tuple(items))
