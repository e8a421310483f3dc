"""Prompts for the names of classes: published sets, or a text of one's own.

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


def find_prompts(prompts: str, *, where: str = "--prompts") -> tuple[str, ...]:
    """The prompts of a set, or the one that is given.

    Args:
        prompts: A key of `PROMPT_SETS`; or a text with `{}` where the class goes, which is its own
            only prompt.
        where: Where it was asked for, for the error.

    Raises:
        ConfigError: Neither; the message lists the sets.
    """
    if prompts in PROMPT_SETS:
        return PROMPT_SETS[prompts]
    if "{}" not in prompts:
        raise ConfigError(
            f"unknown set of prompts {prompts!r}",
            where=where,
            fix=f"Sets are {', '.join(PROMPT_SETS)}; a text of your own needs {{}} where the "
            "class goes",
        )
    return (prompts,)


def prompts_for(class_name: str, prompts: str) -> tuple[str, ...]:
    """The texts that stand for a class.

    Args:
        class_name: In words; it may hold braces.
        prompts: As for `find_prompts`.

    Raises:
        ConfigError: As `find_prompts`.
    """
    return tuple(prompt.replace("{}", class_name) for prompt in find_prompts(prompts))
