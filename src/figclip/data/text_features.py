"""What can be read off an event's caption without seeing the video, as named features.

For regressions that ask how far the text alone tells a true caption from a counterfeit.
"""

from __future__ import annotations

from collections.abc import Mapping

from figclip.data.captions import TEMPLATES, caption_event, trimmed_role_name
from figclip.data.fillers import clean_filler, filled_roles, filled_scene
from figclip.records import Event

Features = Mapping[str, float]


def coarse_features(event: Event) -> dict[str, float]:
    """Sense, role names and number of words."""
    caption = caption_event(event, template=TEMPLATES["default"])
    names = [f"role={trimmed_role_name(role.name)}" for role in filled_roles(event)]
    names.append(f"sense={event.verb}/{event.gloss}/{event.sense}")
    if filled_scene(event):
        names.append("role=scene")
    # Scaled to about the size of a one-hot feature, else the regulariser treats it unlike them.
    return dict.fromkeys(names, 1.0) | {"words": len(caption.split()) / 20}


def fine_features(event: Event) -> dict[str, float]:
    """The coarse ones, and every pair of the sense with a modifier, the scene and the slots."""
    features = coarse_features(event)
    roles = filled_roles(event)
    slots = "+".join(role.slot for role in roles if not role.is_modifier)
    parts = [f"slots={slots}", *(f"mod={role.name}" for role in roles if role.is_modifier)]
    parts += ["scene"] if filled_scene(event) else []
    return features | {f"{event.verb}/{event.gloss}&{part}": 1.0 for part in parts}


def bigram_features(event: Event) -> dict[str, float]:
    """The fine ones, and every two neighbouring words of the caption."""
    caption = caption_event(event, template=TEMPLATES["default"]).casefold().replace(",", " ,")
    words = caption.split()
    pairs = {f"{a} {b}": 1.0 for a, b in zip(words, words[1:], strict=False)}
    return fine_features(event) | pairs


def verb_word_features(event: Event) -> dict[str, float]:
    """The coarse ones, and every pair of the verb with a word of the fillers."""
    texts = [role.text for role in filled_roles(event)] + [filled_scene(event)]
    words = {word.casefold() for text in texts for word in text.split()}
    return coarse_features(event) | {f"{event.verb}&{word}": 1.0 for word in words}


def word_features(event: Event) -> dict[str, float]:
    """The fine ones, every word, and every pair of a word with the role that it stands in."""
    texts = [(trimmed_role_name(role.name), role.text) for role in filled_roles(event)]
    texts += [("action", clean_filler(event.verb)), ("scene", filled_scene(event))]
    told = [(name, word) for name, text in texts for word in text.casefold().split()]
    words = {f"word={word}": 1.0 for _, word in told}
    return fine_features(event) | words | {f"{name} is {word}": 1.0 for name, word in told}


def feature_difference(first: Features, second: Features) -> dict[str, float]:
    """First minus second, without what is equal."""
    return {
        name: difference
        for name in first.keys() | second.keys()
        if (difference := first.get(name, 0.0) - second.get(name, 0.0))
    }
