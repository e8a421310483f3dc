"""Turn an annotated event into one sentence by rule, with every detail that was annotated.

Two kinds of template: the papers' fixed one, which adaptation trains on, and plain sentences as a
person might write them.

    In this photo, the action is walk, the walker is man with short hair, scene is …
    man in green jacket speaks to dog slowly in a kitchen
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from figclip.annotations.roles import clean_filler, filled_roles, filled_scene, told_text
from figclip.records import MODIFIER_SLOT, Event, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The wording of dense captions.

    Attributes:
        name: Key in `TEMPLATES`, written into configurations.
        scene_name: What stands before `is {scene}`.
        trims_role_names: Trailing parentheses of role names are cut
            (`thing climbed (clomb?)` becomes `thing climbed`).
    """

    name: str
    scene_name: str
    trims_role_names: bool


TEMPLATES: dict[str, Template] = {
    template.name: template
    for template in (
        Template(name="default", scene_name="scene", trims_role_names=True),
        Template(name="srl_clip", scene_name="scene", trims_role_names=False),
        Template(name="figclip_v1", scene_name="and scene of the event", trims_role_names=False),
    )
}


def caption_event(event: Event, *, template: Template) -> str:
    """Dense caption of one event, without a full stop, single spaces only.

    Roles are told in the order of the annotation; values that say nothing are left out.

    Source:
        SRL-CLIP (arXiv 2401.07669v2) for the wording; its v1 for `figclip_v1`. Cutting the
        parentheses of role names is ours.
    """
    return ", ".join(caption_clauses(event, template=template))


def caption_clauses(event: Event, *, template: Template) -> tuple[str, ...]:
    """The parts that `caption_event` joins with a comma and a space.

    The opening with the verb, then one clause for each role that says something, in order, then one
    for the scene if it says something.
    """
    trims = template.trims_role_names
    clauses = [_verb_clause(event.verb)]
    clauses += [
        _opening(role.name, is_modifier=role.slot == MODIFIER_SLOT, trims=trims) + text
        for role in event.roles
        if (text := told_text(role.text))
    ]
    if scene := filled_scene(event):
        clauses.append(f"{template.scene_name} is {scene}")
    return tuple(clauses)


class CaptionFrame:
    """A verb, and the openings that it gives to its numbered roles by slot, in a template."""

    def __init__(self, verb: str, role_names: Mapping[str, str], *, template: Template) -> None:
        trims = template.trims_role_names
        self.clause = _verb_clause(verb)
        self.openings = {
            slot: _opening(name, is_modifier=False, trims=trims)
            for slot, name in role_names.items()
        }


class CaptionParts:
    """What captions of an event under any verb are made of: `caption_event` of a changed event.

    Of an event, all but the verb and the names of the numbered roles is written the same each time.
    """

    def __init__(self, event: Event, *, template: Template) -> None:
        trims = template.trims_role_names
        # Slot and text of a numbered role; a modifier's whole clause, which needs no slot.
        self._roles: list[tuple[str | None, str]] = [
            (None, _opening(role.name, is_modifier=True, trims=trims) + text)
            if role.slot == MODIFIER_SLOT
            else (role.slot, text)
            for role in event.roles
            if (text := told_text(role.text))
        ]
        scene = filled_scene(event)
        self._scene = [f"{template.scene_name} is {scene}"] if scene else []

    def caption(self, frame: CaptionFrame) -> str:
        """The caption under a verb; numbered roles in slots that the verb lacks are left out."""
        openings = frame.openings
        clauses = [
            text if slot is None else openings[slot] + text
            for slot, text in self._roles
            if slot is None or slot in openings
        ]
        return ", ".join([frame.clause, *clauses, *self._scene])


def text_hash(text: str) -> int:
    """Hash under which two texts count as equal: case-folded, runs of spaces collapsed.

    A signed 64-bit integer (it fits an int64 tensor), the same in every process and run.
    """
    return _hash_64(clean_filler(text).casefold().encode())


def caption_video_hash(captions: Sequence[str]) -> int:
    """Hash, as `text_hash`, of a video's text: equal for equal event captions, in any order.

    The order is ignored because the text embedding of a video is the mean over its events.
    """
    return video_hash_of([text_hash(caption) for caption in captions])


def video_hash_of(hashes: Sequence[int]) -> int:
    """`caption_video_hash` of captions by their `text_hash`."""
    return _hash_64(b"".join(value.to_bytes(8, "little", signed=True) for value in sorted(hashes)))


@lru_cache(maxsize=8192)
def trimmed_role_name(name: str) -> str:
    """A role name without the parentheses at its end, nested ones included.

    `wait-er (not waiter, that's the other sense)` gives `wait-er`. Names whose parentheses do not
    match, and names that are nothing but a parenthesis, are returned unchanged.
    """
    rest = name.rstrip()
    while rest.endswith(")") and (start := _opening_parenthesis(rest)) is not None:
        rest = rest[:start].rstrip()
    return rest or name


def _opening_parenthesis(name: str) -> int | None:
    """Position of the parenthesis that the last character of `name` closes."""
    depth = 0
    for position in reversed(range(len(name))):
        depth += (name[position] == ")") - (name[position] == "(")
        if depth == 0:
            return position
    return None


@lru_cache(maxsize=8192)
def _verb_clause(verb: str) -> str:
    """The clause that a caption begins with."""
    return f"In this photo, the action is {clean_filler(verb)}"


@lru_cache(maxsize=8192)
def _opening(name: str, *, is_modifier: bool, trims: bool) -> str:
    """What stands before a role's text: `the {name} is `, no article for modifiers, or nothing."""
    name = clean_filler(name)
    if trims:
        name = trimmed_role_name(name)
    if not name:
        return ""
    return f"{name} is " if is_modifier else f"the {name} is "


def _hash_64(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little", signed=True)


_SOMEONE = "someone"
_PLACE_NAMES = frozenset({"location", "scene"})
_MODIFIERS_FIRST = ("direction", "manner")

# Words that say where, where to or how by themselves: a text that begins with one needs no other.
_OPENERS = frozenset(
    """about above abroad across after against ahead along alongside amid among around as aside at
    atop away back backward backwards before behind below beneath beside besides between beyond by
    close deep down downstairs downward downwards during facing far for forward forwards from here
    home in indoor indoors inside into inward leaning left midair near nearby next off offshore on
    onto opposite out outdoor outdoors outside outward outwards over overhead past right round
    sideways straight there through throughout to together toward towards under underground
    underneath underwater until up upon upstairs upward upwards using via while with within
    without""".split()
)

# What PropBank's role descriptions call the parts of an event that English marks by a preposition.
_PREPOSITION_OF = {
    "hearer": "to",
    "listener": "to",
    "recipient": "to",
    "destination": "to",
    "end point": "to",
    "instrument": "with",
    "partner": "with",
    "target": "at",
    "source": "from",
    "start point": "from",
    "benefactive": "for",
    "surface": "on",
    "location": "in",
    "place": "in",
}
_DIRECT_SLOTS = ("Arg0", "Arg1")
_NAMED_PART = re.compile(rf"({'|'.join(_PREPOSITION_OF)})\b")
# Descriptions that say it themselves: `thing looked at or for or on`, `removed from`.
_SAID_PREPOSITION = re.compile(r"\w(?:ed|en|wn)[ -](at|by|for|from|in|into|on|over|to|with)\b")

_IRREGULAR = {"be": "is", "have": "has"}
_FIRST_WORD = re.compile(r"\w*")
_SIBILANT = re.compile(r"(?:s|x|z|ch|sh|[^aeiou]o)$")
_CONSONANT_Y = re.compile(r"[^aeiou]y$")
_PARTICLES = frozenset("away back by down in off on out over through up".split())


def plain_sentence(event: Event) -> str:
    """One plain English sentence of an event.

    In order: the subject, the verb in the third person, the other numbered roles, direction,
    manner, the other modifiers, the scene. What says nothing is left out. The subject is the first
    numbered role that says something, whichever its slot: what lacks an Arg0 in real annotations is
    nearly always such as `man in black falls`; an event without any gets `someone`.

    A numbered role gets the preposition that its description says (`thing looked at`: at) or names
    (from Arg2 on: `hearer`: to; `instrument`: with), a place `in`; texts that begin with a
    preposition or such a word (`outside`) stand as they are. Nothing else is guessed: no article,
    no plural (`two men walks`), no change of case.

    The verb of the event is in the base form, as annotations have it.

    Returns:
        A sentence without a full stop, single spaces only; never empty.
    """
    roles = filled_roles(event)
    numbered = [role for role in roles if not role.is_modifier]
    modifiers = sorted((role for role in roles if role.is_modifier), key=_modifier_rank)
    parts = [numbered[0].text if numbered else _SOMEONE, _verb_phrase(event.verb, numbered[1:])]
    parts += (_with_preposition(role.text, _preposition(role)) for role in modifiers)
    if scene := filled_scene(event):
        parts.append(_with_preposition(scene, "in"))
    return " ".join(part for part in parts if part)


def concept_phrases(event: Event) -> tuple[str, ...]:
    """The phrases that an event is made of, each once: what is done, then each role and the scene.

    What is done is the verb with its numbered roles but the first, as in `plain_sentence`: `chases
    small red cat`. Roles and scene are their texts; what says nothing is left out.

    Source:
        C2LIP (arXiv 2603.25722) takes the noun phrases of a caption. Here the annotation has them,
        and phrases of verbs are ours.
    """
    roles = filled_roles(event)
    numbered = [role for role in roles if not role.is_modifier]
    phrases = [_verb_phrase(event.verb, numbered[1:]), *(role.text for role in roles)]
    return tuple(dict.fromkeys(one for one in (*phrases, filled_scene(event)) if one))


def _verb_phrase(verb: str, objects: Iterable[Role]) -> str:
    """The verb in the third person and what it is done to, with prepositions."""
    parts = [third_person(clean_filler(verb))]
    parts += (_with_preposition(role.text, _preposition(role)) for role in objects)
    return " ".join(part for part in parts if part)


def third_person(verb: str) -> str:
    """The third person singular of a verb: `carries` of `carry`.

    Of several words the first is inflected (`looks up`); of one with hyphens the last part, unless
    that is a particle (`double-checks`, `picks-up`).
    """
    word, space, rest = verb.partition(" ")
    parts = word.split("-")
    inflected = 0 if parts[-1].casefold() in _PARTICLES else len(parts) - 1
    parts[inflected] = _third_person_of_word(parts[inflected])
    return "-".join(parts) + space + rest


def _third_person_of_word(word: str) -> str:
    """`walks`, `pushes`, `carries`, `goes`; what does not end in a letter stays."""
    lowered = word.casefold()
    if lowered in _IRREGULAR:
        return _IRREGULAR[lowered]
    if not word or not word[-1].isalpha():
        return word
    if _CONSONANT_Y.search(lowered):
        return f"{word[:-1]}ies"
    return f"{word}es" if _SIBILANT.search(lowered) else f"{word}s"


def _preposition(role: Role) -> str:
    """What English puts before the role; empty for objects, and for what is not known."""
    name = trimmed_role_name(role.name).casefold()
    if role.is_modifier:
        return "in" if name in _PLACE_NAMES else ""
    if role.slot not in _DIRECT_SLOTS and (part := _NAMED_PART.match(name)):
        return _PREPOSITION_OF[part[1]]
    said = _SAID_PREPOSITION.search(name)
    return said[1] if said else ""


def _with_preposition(text: str, preposition: str) -> str:
    """The text after a preposition, unless it begins with one."""
    if not preposition:
        return text
    first = _FIRST_WORD.match(text.casefold())
    return text if first and first[0] in _OPENERS else f"{preposition} {text}"


def _modifier_rank(role: Role) -> int:
    """Direction, then manner, then the others as annotated."""
    name = trimmed_role_name(role.name).casefold()
    return _MODIFIERS_FIRST.index(name) if name in _MODIFIERS_FIRST else len(_MODIFIERS_FIRST)
