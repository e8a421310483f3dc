"""Films: events of 1 to 2 s with empty shots beside them, of combinations on one side only."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.miniworld.situations import (
    EVENT_S,
    FPS,
    Film,
    Shot,
    Situation,
    actors_of,
    is_held_out,
    sample_film,
    sample_situation,
    whole_events,
)

ONE = sample_situation(random.Random(0), held_out=None)


def films(num: int, *, held_out: bool) -> list[Film]:
    rng = random.Random("films")
    return [sample_film(rng, held_out=held_out) for _ in range(num)]


def events_of(film: Film) -> list[Situation]:
    return [shot.situation for shot in film if shot.situation is not None]


@given(seed=st.integers(0, 2**32), held_out=st.booleans())
def test_a_film_is_as_promised(seed: int, held_out: bool):
    film = sample_film(random.Random(seed), held_out=held_out)
    events = events_of(film)
    assert 2 <= len(events) <= 4
    assert all(is_held_out(event) == held_out for event in events)
    for shot in film:
        low, high = (0.5, 1.5) if shot.situation is None else (1.0, 2.0)
        assert low <= shot.duration_s <= high
        assert shot.duration_s * FPS == pytest.approx(round(shot.duration_s * FPS))
    for event, following in pairwise(events):
        deeds = [(one.verb, one.agent, one.patient) for one in (event, following)]
        assert deeds[0] != deeds[1]
    for idx, shot in enumerate(film):
        if shot.situation is None:
            beside = film[max(0, idx - 1) : idx + 2]
            assert shot.scene in {one.scene for one in beside if one.situation is not None}


@given(seed=st.integers(0, 2**32))
def test_a_film_goes_from_one_scene_to_another_at_most_once(seed: int):
    scenes = [shot.scene for shot in sample_film(random.Random(seed), held_out=False)]
    assert sum(scene != following for scene, following in pairwise(scenes)) <= 1


def test_actors_recur():
    for film in films(100, held_out=False):
        actors = {actor for event in events_of(film) for actor in actors_of(event)}
        assert len(actors) <= 3
        assert len({actor.kind for actor in actors}) == len(actors)


def test_films_are_of_many_kinds():
    some = films(400, held_out=True)
    assert set(Counter(len(events_of(film)) for film in some)) == {2, 3, 4}
    places = Counter[str]()
    for film in some:
        blank = [shot.situation is None for shot in film]
        assert not any(blank[i] and blank[i + 1] for i in range(len(blank) - 1))
        places["before"] += blank[0]
        places["after"] += blank[-1]
        places["between"] += any(blank[1:-1])
        places["none"] += not any(blank)
        places["two scenes"] += len({shot.scene for shot in film}) == 2
    assert all(10 <= places[name] < 390 for name in places) and len(places) == 5, places
    lengths = {round(FPS * sum(shot.duration_s for shot in film)) for film in some}
    assert min(lengths) < 4 * FPS and max(lengths) > 10 * FPS and len(lengths) > 15
    frames = Counter(round(FPS * s.duration_s) for film in some for s in film if s.situation)
    assert set(frames) == set(range(FPS, 2 * FPS + 1))
    frames = Counter(round(FPS * s.duration_s) for film in some for s in film if not s.situation)
    assert set(frames) == set(range(FPS // 2, 3 * FPS // 2 + 1))


def test_train_and_valid_share_no_combination():
    seen = [
        {
            (event.verb, frozenset(actor.kind for actor in actors_of(event)))
            for film in films(200, held_out=held_out)
            for event in events_of(film)
        }
        for held_out in (False, True)
    ]
    assert seen[0] and seen[1] and not seen[0] & seen[1]


def test_the_same_seed_gives_the_same_film_in_any_process():
    code = (
        "import random; from figclip.miniworld.situations import sample_film;"
        "print(sample_film(random.Random(7), held_out=False))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sample_film(random.Random(7), held_out=False))
    assert sample_film(random.Random(8), held_out=False) != sample_film(
        random.Random(7), held_out=False
    )


def test_whole_events():
    other = replace(ONE, scene="cave")
    assert whole_events([ONE, other]) == (
        Shot(situation=ONE, scene=ONE.scene, duration_s=2),
        Shot(situation=other, scene="cave", duration_s=2),
    )
    assert EVENT_S == 2


def test_a_shot_shows_its_event_where_that_is_and_not_beyond_its_end():
    elsewhere = "cave" if ONE.scene != "cave" else "park"
    for scene, duration_s in ((elsewhere, 1.0), (ONE.scene, 2.5), (ONE.scene, 0.0)):
        with pytest.raises(AssertionError):
            Shot(situation=ONE, scene=scene, duration_s=duration_s)
    Shot(situation=None, scene="park", duration_s=2.5)
