"""Which role texts say nothing, the cleaned view of the others, and VidSitu's short role names.

Records keep every text verbatim; this module is the only place where a text is cleaned.
"""

import re
from functools import lru_cache

from figclip.records import MODIFIER_SLOT, Event, Role

# The text as a whole must be one of these (case, outer punctuation and spaces aside): "unknown"
# says nothing, "unknown man" names a man.
_NOTHING_FORMS = (
    # The annotator could not tell. "unkown" is a misspelling of the real files.
    "unknown|unkown|unclear|undefined|undetermined|undisclosed|unspecified",
    "not (?:known|clear|defined|disclosed|shown|specified)",
    "(?:not able|unable|impossible) to (?:determine|ascertain)",
    # The role does not apply. Bare "no" is missing on purpose: people say it, and shake it.
    "(?:not |non-?)applicable|n/a|na|n\\.a",
    # Nothing fills the role. "nowhere" is to a place what "no one" is to a person.
    "none|nothing|no one|no-one|noone|nobody|nowhere",
)
_FORM = f"(?:{'|'.join(_NOTHING_FORMS)})"
# Several in a row still say nothing: "undefined/unclear", "not applicable / or not disclosed".
# Anything else after the joint is a filler: "unclear / possibly the man".
_JOINT = r"(?: ?[/,;] ?(?:or |and )?| (?:or|and|and/or) )"
_SAYS_NOTHING = re.compile(rf"[\W_]*{_FORM}(?:{_JOINT}{_FORM})*[\W_]*")

# A remark of the annotator in place of a filler: "<none>", "<unable to determine …>". One pair of
# brackets around everything, so "<b>man</b>" is a filler.
_REMARK = re.compile(r"<[^<>]*>")


def clean_filler(text: str) -> str:
    """The text with its runs of white space collapsed and its ends trimmed; every word verbatim.

    Quotation marks stay: where real fillers carry them they mark speech or writing (`"MOTEL"`),
    and the only quoted nothing, `"-"`, is caught by `says_nothing`.
    """
    return " ".join(text.split())


def says_nothing(text: str) -> bool:
    """True when a role's text stands for "no filler", in any way that the real files write it.

    The rules, each on the whole text:

    - no letter and no digit: empty, `-`, `"-"`, `...`, `_`;
    - wholly in one pair of angle brackets, as the real files write remarks: `<none>`;
    - `unknown`, `unclear`, `not disclosed`, `not applicable`, `N/A`, `none`, `nothing`, `no one`
      and their like in any case and with any punctuation around, alone or joined to each other by
      `/`, `,`, `;`, `or`, `and`.

    Whatever says more is a filler: `unknown man`, `nothing but a towel`, `none of them`, `m&ms`.
    """
    return not told_text(text)


@lru_cache(maxsize=65536)
def told_text(text: str) -> str:
    """The cleaned text; empty when it says nothing."""
    cleaned = clean_filler(text)
    if not any(map(str.isalnum, cleaned)):
        return ""
    if _REMARK.fullmatch(cleaned) or _SAYS_NOTHING.fullmatch(cleaned.casefold()):
        return ""
    return cleaned


def filled_roles(event: Event) -> tuple[Role, ...]:
    """The roles whose text says something, texts cleaned, in the order of the annotation."""
    # Most texts are clean already, and a role that is made anew costs more than all else here.
    return tuple(
        [
            role if text == role.text else Role(name=role.name, text=text, slot=role.slot)
            for role in event.roles
            if (text := told_text(role.text))
        ]
    )


def filled_slots(event: Event) -> frozenset[str]:
    """The numbered slots (`Arg0` …) whose text says something; modifiers are not among them."""
    return frozenset(
        role.slot for role in event.roles if not role.is_modifier and not says_nothing(role.text)
    )


def filled_scene(event: Event) -> str:
    """The cleaned scene, empty when it is missing or says nothing."""
    return told_text(event.scene)


SCENE_ROLE, SCENE_KEY = "Scene of the Event", "AScn"
_MODIFIERS = {
    "direction": "ADir",
    "purpose": "APrp",
    "manner": "AMnr",
    "location": "ALoc",
    "goal": "AGol",
}


@lru_cache(maxsize=8192)
def short_role(name: str) -> str:
    """Name of a role in prediction files: `Arg1 (vehicle or path)` gives `Arg1`.

    What VidSitu has no name for keeps its own: `ArgM (instrument)` gives `instrument`, and is
    scored under it.
    """
    if name == SCENE_ROLE:
        return SCENE_KEY
    slot, _, rest = name.partition(" ")
    if slot != MODIFIER_SLOT:
        return slot
    # The first of these words that the name holds, as VidSitu's evaluator looks for them.
    found = next((short for word, short in _MODIFIERS.items() if word in rest), None)
    return found or rest.strip().removeprefix("(").removesuffix(")")


def roles_by_key(event: Event) -> dict[str, str]:
    """Texts of roles and scene by short name, verbatim, in the order of the annotation."""
    roles = {short_role(f"{role.slot} ({role.name})"): role.text for role in event.roles}
    return {**roles, SCENE_KEY: event.scene} if event.scene else roles


def told_roles(event: Event) -> dict[str, str]:
    """Cleaned texts by key of the roles that say something."""
    roles = {key: told_text(text) for key, text in roles_by_key(event).items()}
    return {key: text for key, text in roles.items() if text}
