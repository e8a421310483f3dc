import pytest

from figclip.annotations.captions import TEMPLATES
from figclip.annotations.texts import CaptionStatistics, caption_statistics
from figclip.records import Annotation, AnnotationSet, Event, Role, VideoRecord


def event(verb: str, *texts: str, scene: str = "") -> Event:
    roles = (Role(name="thing", text=text, slot=f"Arg{i}") for i, text in enumerate(texts))
    return Event(start_s=0.0, end_s=2.0, verb=verb, roles=tuple(roles), scene=scene)


def video(name: str, *annotations: Annotation) -> VideoRecord:
    return VideoRecord(id=name, video=name, split="train", group="", annotations=annotations)


def num_words(text: str) -> int:
    """Stands in for a tokenizer: a token a word, start and end."""
    return len(text.split()) + 2


def measure(*records: VideoRecord, max_tokens: int, num_negatives: int = 1) -> CaptionStatistics:
    return caption_statistics(
        AnnotationSet(name="events", source="test", records=records),
        template=TEMPLATES["default"],
        policy="matched",
        num_negatives=num_negatives,
        seed=0,
        count_tokens=num_words,
        max_tokens=max_tokens,
    )


# "In this photo, the action is walk" has 7 words, "the thing is man" 4, "scene is barn" 3.
TWO_VIDEOS = (
    video(
        "a",
        Annotation(events=(event("walk", "man", "-", scene="barn"), event("run", "man"))),
        Annotation(events=(event("sit"),), captions=("a plain sentence",)),
    ),
    video("b", Annotation(events=(event("nap", "man", "dog with a hat", scene="barn"),))),
)


def test_tokens_and_fillers_by_hand():
    result = measure(*TWO_VIDEOS, max_tokens=77)
    assert [row.key for row in result.rows] == ["a#0/0", "a#0/1", "a#1/0", "b#0/0"]
    assert [row.num_tokens for row in result.rows] == [16, 13, 9, 23]
    assert [row.num_fillers for row in result.rows] == [2, 1, 0, 3]
    assert result.rows[0].caption == (
        "In this photo, the action is walk, the thing is man, scene is barn"
    )
    assert (result.median_tokens, result.most_tokens) == (14.5, 23)
    assert (result.cut, result.coverage) == ((), 1.0)


@pytest.mark.parametrize(
    ("max_tokens", "carried"),
    [
        (23, [2, 1, 0, 3]),
        # One token short of the end: the scene of the last caption is not carried in full.
        (22, [2, 1, 0, 2]),
        (20, [2, 1, 0, 2]),
        (19, [2, 1, 0, 1]),
        (16, [2, 1, 0, 1]),
        (15, [1, 1, 0, 1]),
        (12, [0, 0, 0, 0]),
        (3, [0, 0, 0, 0]),
    ],
)
def test_what_the_cut_leaves(max_tokens, carried):
    result = measure(*TWO_VIDEOS, max_tokens=max_tokens)
    assert [row.num_carried_fillers for row in result.rows] == carried
    assert result.coverage == pytest.approx(sum(carried) / 6)


def test_cut_lists_the_captions_beyond_the_limit():
    result = measure(*TWO_VIDEOS, max_tokens=15)
    assert [row.key for row in result.cut] == ["a#0/0", "b#0/0"]


def test_masked_columns_by_hand():
    # Slots: walk and run fill Arg0, sit none, nap Arg0 and Arg1. Video a uses walk, run and sit, so
    # only nap is left for each of its events; none of the others covers nap's slots but walk, which
    # names a second role.
    result = measure(*TWO_VIDEOS, max_tokens=77, num_negatives=2)
    assert [row.negatives.count(None) for row in result.rows] == [1, 1, 1, 1]
    assert result.masked_share == 0.5
    assert result.rows[1].negatives[0] == "In this photo, the action is nap, the thing is man"
    assert result.rows[3].negatives[0] == (
        "In this photo, the action is walk, the thing is man, the thing is dog with a hat, "
        "scene is barn"
    )


def test_nothing_to_measure():
    sentences = video("a", Annotation(captions=("a plain sentence",)))
    for result in (measure(max_tokens=77), measure(sentences, max_tokens=77)):
        assert (result.rows, result.median_tokens, result.most_tokens) == ((), 0.0, 0)
        assert (result.coverage, result.masked_share) == (1.0, 0.0)
