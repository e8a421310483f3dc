"""Rule-based dense captions: one sentence an event, every annotated detail in it.

`In this photo, the action is walk, the walker is man with short hair, manner is slowly, scene is …`
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from figclip.data.fillers import clean_filler, filled_roles, filled_scene
from figclip.records import Event, Role


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
    """Dense caption of one event.

    Args:
        event: Roles are told in the order of the annotation. Values that say nothing are left out.
        template: One of `TEMPLATES`.

    Returns:
        One sentence without a full stop, single spaces only.

    Source:
        SRL-CLIP (arXiv 2401.07669v2) for the wording; its v1 for `figclip_v1`. Cutting the
        parentheses of role names is ours.
    """
    return ", ".join(caption_clauses(event, template=template))


def caption_clauses(event: Event, *, template: Template) -> tuple[str, ...]:
    """The parts that `caption_event` joins with a comma and a space.

    Args:
        event: As for `caption_event`.
        template: One of `TEMPLATES`.

    Returns:
        The opening with the verb, then one clause for each role that says something, in order, then
        one for the scene if it says something.
    """
    clauses = [f"In this photo, the action is {clean_filler(event.verb)}"]
    clauses += (_role_clause(role, template) for role in filled_roles(event))
    if scene := filled_scene(event):
        clauses.append(f"{template.scene_name} is {scene}")
    return tuple(clauses)


def text_hash(text: str) -> int:
    """Hash under which two texts count as equal: case-folded, runs of spaces collapsed.

    Args:
        text: A caption.

    Returns:
        A signed 64-bit integer (it fits an int64 tensor), the same in every process and run.
    """
    return _hash_64(clean_filler(text).casefold().encode())


def caption_video_hash(captions: Sequence[str]) -> int:
    """Hash of a video's text: equal for videos with equal event captions, in any order.

    The order is ignored because the text embedding of a video is the mean over its events.

    Args:
        captions: The captions of one annotation's events.

    Returns:
        A signed 64-bit integer, the same in every process and run.
    """
    hashes = sorted(text_hash(caption) for caption in captions)
    return _hash_64(b"".join(value.to_bytes(8, "little", signed=True) for value in hashes))


def trimmed_role_name(name: str) -> str:
    """A role name without the parentheses at its end, nested ones included.

    Args:
        name: `wait-er (not waiter, that's the other sense)`.

    Returns:
        `wait-er`. Names whose parentheses do not match, and names that are nothing but a
        parenthesis, are returned unchanged.
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


def _role_clause(role: Role, template: Template) -> str:
    """`the {name} is {text}`, without the article for modifiers; the bare text if unnamed."""
    name = clean_filler(role.name)
    if template.trims_role_names:
        name = trimmed_role_name(name)
    if not name:
        return role.text
    return f"{name} is {role.text}" if role.is_modifier else f"the {name} is {role.text}"


def _hash_64(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little", signed=True)
