from __future__ import annotations

from figclip.annotations.counterfactuals import (
    coarse_features,
    feature_difference,
    fine_features,
    verb_word_features,
    word_features,
)
from figclip.records import Event, Role

BITE = Event(
    start_s=0.0,
    end_s=2.0,
    verb="bite",
    gloss="chew",
    sense="bite.01",
    roles=(
        Role(slot="Arg0", name="biter", text="Old dog"),
        Role(slot="Arg1", name="bitten (thing)", text="-"),
        Role(slot="ArgM", name="manner", text="hard"),
    ),
    scene="barn",
)
COARSE = {
    "sense=bite/chew/bite.01": 1.0,
    "role=biter": 1.0,
    "role=manner": 1.0,
    "role=scene": 1.0,
    # In this photo, the action is bite, the biter is Old dog, manner is hard, scene is barn
    "words": 18 / 20,
}
FINE = COARSE | {"bite/chew&slots=Arg0": 1.0, "bite/chew&mod=manner": 1.0, "bite/chew&scene": 1.0}


def test_features_by_hand() -> None:
    assert coarse_features(BITE) == COARSE
    assert fine_features(BITE) == FINE
    pairs = ["bite&old", "bite&dog", "bite&hard", "bite&barn"]
    assert verb_word_features(BITE) == COARSE | dict.fromkeys(pairs, 1.0)
    words = [f"word={word}" for word in ("bite", "old", "dog", "hard", "barn")]
    in_roles = ["action is bite", "biter is old", "biter is dog", "manner is hard", "scene is barn"]
    assert word_features(BITE) == FINE | dict.fromkeys([*words, *in_roles], 1.0)


def test_difference_leaves_out_what_is_equal() -> None:
    first, second = {"a": 1.0, "b": 1.0, "n": 0.5}, {"b": 1.0, "c": 1.0, "n": 0.75}
    assert feature_difference(first, second) == {"a": 1.0, "c": -1.0, "n": -0.25}
    assert feature_difference(first, first) == {}
