"""What VidSitu's prediction files call the roles: `Arg0`, `ALoc`, `AScn`."""

from __future__ import annotations

from functools import lru_cache

from figclip.data.vidsitu import SCENE_ROLE
from figclip.records import MODIFIER_SLOT, Event

SCENE_KEY = "AScn"
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
