"""Sets of prompts for the names of classes.

A class is embedded once a prompt; how the embeddings are pooled is the caller's business.
"""

from __future__ import annotations

from figclip.errors import ConfigError

_MEDIA = ("photo", "video", "example", "demonstration")
_PERSONS = ("a person", "the person")
_DOING = ("", " using", " doing", " during", " performing", " practicing")

PROMPT_SETS: dict[str, tuple[str, ...]] = {
    # What ViFi-CLIP@e2d1948 vificlip.py:69 does for a CLIP that is not fine-tuned.
    "bare": ("{}",),
    "photo": ("a photo of a {}.",),
    # openai/CLIP@d05afc4 data/prompts.md, "Kinetics700" and "UCF101": the same strings in the same
    # order, "a example" included.
    "kinetics": tuple(
        f"a {medium} of {person}{{}}."
        for medium in _MEDIA
        for person in ("", *(f"{_PERSONS[0]}{doing} " for doing in _DOING))
    ),
    "ucf101": tuple(
        f"a {medium} of {person}{doing} {{}}."
        for doing in _DOING
        for person in _PERSONS
        for medium in _MEDIA
    ),
    "srl": ("In this photo, the action is {}",),
}


def prompts_for(class_name: str, prompt_set: str) -> tuple[str, ...]:
    """The texts that stand for a class.

    Args:
        class_name: In words; it may hold braces.
        prompt_set: A key of `PROMPT_SETS`.

    Raises:
        ConfigError: No such set; the message lists them.
    """
    if prompt_set not in PROMPT_SETS:
        raise ConfigError(
            f"unknown set of prompts {prompt_set!r}",
            where="--prompts",
            fix=f"Sets are {', '.join(PROMPT_SETS)}",
        )
    return tuple(prompt.replace("{}", class_name) for prompt in PROMPT_SETS[prompt_set])
