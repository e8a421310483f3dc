"""Short texts of what annotated events show, one thing each: what CLIP already knows."""

import random
from collections.abc import Iterator, Sequence

from figclip.annotations.roles import filled_roles, filled_scene
from figclip.records import Event, VideoRecord

_DETERMINERS = frozenset(
    "a an the this that these those some his her its their our my your two three four five "
    "several many people".split()
)


def sparse_texts(records: Sequence[VideoRecord], *, limit: int, seed: int) -> tuple[str, ...]:
    """Whom and what the events name, where they take place, and both together; none twice.

    `a red cat`, `a park`, `a red cat in the park`; never what is done, and never by whom to whom.
    They are in the order of the videos; of more than `limit` so many are drawn by `seed`.
    """
    every = list(
        dict.fromkeys(
            text
            for record in records
            for annotation in record.annotations
            for event in annotation.events
            for text in _texts_of(event)
        )
    )
    if len(every) <= limit:
        return tuple(every)
    chosen = random.Random(f"sparse texts/{seed}").sample(range(len(every)), limit)
    return tuple(every[i] for i in sorted(chosen))


def _texts_of(event: Event) -> Iterator[str]:
    """The texts of one event."""
    named = [_with_article(role.text) for role in filled_roles(event) if role.slot != "ArgM"]
    yield from named
    if scene := filled_scene(event):
        yield _with_article(scene)
        article, _, rest = scene.partition(" ")
        place = rest if article.lower() in ("a", "an", "the") and rest else scene
        yield from (f"{one} in the {place}" for one in named)


def _with_article(noun: str) -> str:
    """`a red cat`; unchanged where its first word already tells which, whose or how many."""
    first = noun.split(maxsplit=1)[0].lower()
    if first in _DETERMINERS:
        return noun
    return f"{'an' if first[0] in 'aeiou' else 'a'} {noun}"
