"""Hard negatives that put another filler into one role: `the walker is dog` for `… is man`.

Optional in training, and drawn for the SRL-swap test. Ours, not the papers'. Each negative depends
on the event, the pool, the seed and the event's key only.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from figclip.annotations.roles import clean_filler, says_nothing
from figclip.annotations.verb_negatives import event_seed, normalised, replace_filler
from figclip.records import Event, VideoRecord

SCENE_SLOT = "scene"
_NUM_REDRAWS = 16


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """Where fillers are exchangeable: the same slot under the same role name, or the scene."""

    slot: str
    name: str


@dataclass(frozen=True, slots=True)
class PlaceFillers:
    """The cleaned fillers of one place, in alphabetical order.

    `cumulative`: Occurrences of each text and all before it, as `random.choices` wants them.
    """

    texts: tuple[str, ...]
    cumulative: tuple[int, ...]


FillerPool = Mapping[Place, PlaceFillers]
"""All fillers of a set of videos by place; the order of the videos does not matter."""


def build_filler_pool(records: Iterable[VideoRecord]) -> FillerPool:
    """Collect the fillers of all events of all annotations.

    Texts that say nothing are not in the pool.
    """
    counts: defaultdict[Place, Counter[str]] = defaultdict(Counter)
    for record in records:
        for place, text in _fillers_of_video(record):
            counts[place][text] += 1
    pool: dict[Place, PlaceFillers] = {}
    for place, found in sorted(counts.items()):
        texts = tuple(sorted(found))
        pool[place] = PlaceFillers(texts, tuple(accumulate(found[text] for text in texts)))
    return pool


def filler_negatives(
    event: Event,
    *,
    video: VideoRecord,
    pool: FillerPool,
    num_negatives: int,
    seed: int,
    key: str,
    where: Callable[[Place], bool] | None = None,
) -> tuple[Event | None, ...]:
    """Draw events that differ from the true one in one filler, none twice.

    The place is drawn evenly among those that have another filler to offer, the filler in
    proportion to its frequency in this place. Left out, because they may be true: every filler of
    the video, and those that say more or less than the true one with its words (`man`, `old man
    with short hair` for `man with short hair`).

    `key` names the event (`records.event_key`) and is unique in the run; `where` says which places
    may be filled anew; None: all.

    None among the `num_negatives` events marks a masked column; these come last.
    """
    rng = random.Random(event_seed(seed, f"filler/{key}"))
    told = _told_words(video)
    offers = {
        position: _Offer(pool[place], told, _words(text))
        for position, place, text in _filled_places(event)
        if place in pool and (where is None or where(place))
    }
    negatives: list[Event | None] = []
    while offers and len(negatives) < num_negatives:
        position = rng.choice(list(offers))
        text = offers[position].draw(rng)
        if text is None:
            del offers[position]
        else:
            negatives.append(replace_filler(event, position, text))
    return (*negatives, *[None] * (num_negatives - len(negatives)))


class _Offer:
    """What one place of an event can be filled with instead, each text once."""

    def __init__(
        self, fillers: PlaceFillers, told: frozenset[frozenset[str]], true_words: frozenset[str]
    ) -> None:
        self._fillers = fillers
        self._told = told
        self._true_words = true_words
        self._drawn: set[str] = set()

    def draw(self, rng: random.Random) -> str | None:
        """Another text by frequency; None when there is none left."""
        texts, cumulative = self._fillers.texts, self._fillers.cumulative
        # Redrawing what is not allowed gives the same distribution as listing what is allowed. In
        # pools of thousands of texts listing is slow (1 ms an event on VidSitu valid, 2026), so it
        # is only done where nearly everything is forbidden.
        for text in rng.choices(texts, cum_weights=cumulative, k=_NUM_REDRAWS):
            if self._allows(text):
                self._drawn.add(text)
                return text
        allowed = [position for position, text in enumerate(texts) if self._allows(text)]
        if not allowed:
            return None
        before = (0, *cumulative)
        weights = [cumulative[position] - before[position] for position in allowed]
        (position,) = rng.choices(allowed, weights=weights)
        self._drawn.add(texts[position])
        return texts[position]

    def _allows(self, text: str) -> bool:
        words = _words(text)
        return (
            text not in self._drawn
            and words not in self._told
            and not (words <= self._true_words or self._true_words <= words)
        )


def _filled_places(event: Event) -> Iterator[tuple[int, Place, str]]:
    """Position, as `replace_filler` counts, place and cleaned text of what says something."""
    for position, role in enumerate(event.roles):
        if not says_nothing(role.text):
            place = Place(slot=role.slot, name=normalised(role.name))
            yield position, place, clean_filler(role.text)
    if not says_nothing(event.scene):
        yield len(event.roles), Place(slot=SCENE_SLOT, name=""), clean_filler(event.scene)


def _fillers_of_video(video: VideoRecord) -> Iterator[tuple[Place, str]]:
    for annotation in video.annotations:
        for event in annotation.events:
            for _, place, text in _filled_places(event):
                yield place, text


@lru_cache(maxsize=16)
def _told_words(video: VideoRecord) -> frozenset[frozenset[str]]:
    """All that a video says; asked for every place of every event of it."""
    return frozenset(_words(text) for _, text in _fillers_of_video(video))


@lru_cache(maxsize=65536)
def _words(text: str) -> frozenset[str]:
    """The text as a bag of words: order and repetition do not make another filler."""
    return frozenset(normalised(text).split())
