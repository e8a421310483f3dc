"""Words that turn a sentence into its opposite: verbs, directions and manners, as a table.

Verbs stand in the forms that captions use: `opens`, `opening`, `opened`, and `open` only where the
sentence begins with it; elsewhere it is as often an adjective.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

# A verb, and what may follow it after some words (`picks the cup up`); `/` parts the two sides.
_VERBS = """
enter / leave; open / close; push / pull; raise / lower; lift / drop; throw / catch; load / unload
lock / unlock; rise / fall; arrive / depart; appear / disappear; win / lose; fill / empty
tie / untie; wrap / unwrap; fold / unfold; zip / unzip; dress / undress; connect / disconnect
attach / detach; insert / remove; mount / dismount; pack / unpack; start / stop; follow / lead
buy / sell; build / destroy; cover / uncover; accelerate / brake; show / hide; grab / release
pick up / put down; sit down / stand up; put on / take off; get on / get off; turn on / turn off
switch on / switch off; get in / get out of
put in / take out of; plug in / unplug from; give to / take from; lie down / get up
"""
# To and from a place, where `to` and `from` are directions.
_MOTION = "walk run go come move drive ride travel fly crawl jump swim hurry march"

# Present, participle, past, past participle, where they are not formed by rule.
_IRREGULAR = """
leave leaves leaving left left; throw throws throwing threw thrown; win wins winning won won
catch catches catching caught caught; rise rises rising rose risen; fall falls falling fell fallen
lose loses losing lost lost; tie ties tying tied tied; untie unties untying untied untied
drop drops dropping dropped dropped; wrap wraps wrapping wrapped wrapped
unwrap unwraps unwrapping unwrapped unwrapped; zip zips zipping zipped zipped
unzip unzips unzipping unzipped unzipped; stop stops stopping stopped stopped
lead leads leading led led; buy buys buying bought bought; sell sells selling sold sold
build builds building built built; show shows showing showed shown; hide hides hiding hid hidden
grab grabs grabbing grabbed grabbed; put puts putting put put; sit sits sitting sat sat
stand stands standing stood stood; take takes taking took taken; get gets getting got got
plug plugs plugging plugged plugged; unplug unplugs unplugging unplugged unplugged
give gives giving gave given; run runs running ran run; go goes going went gone
come comes coming came come; drive drives driving drove driven; ride rides riding rode ridden
fly flies flying flew flown; swim swims swimming swam swum; lie lies lying lay lain
"""
_DIRECTIONS = """
left / right; up / down; upward / downward; upwards / downwards; upstairs / downstairs
forward / backward; forwards / backwards; into / out of; onto / off; towards / away from
inside / outside; in / out; above / below; over / under; in front of / behind
clockwise / counterclockwise
"""
_MANNERS = """
happily / angrily; slowly / quickly; quietly / loudly; gently / roughly; carefully / carelessly
calmly / nervously; cheerfully / sadly; lightly / heavily; neatly / messily; gladly / reluctantly
"""

_DETERMINER = r"(?:an?|the|his|her|its|their|this|that|another|some|two)\b"
_LAST = r"(?=\s*(?:$|[.,;!?]|(?:and|then|while)\b))"
# Where a word is what it is taken for: `in the park` is no direction, `left the room` is a verb.
_BEFORE = {
    "in": _LAST,
    "out": _LAST,
    "off": rf"(?=\s+{_DETERMINER})",
    "left": rf"(?!\s+{_DETERMINER})",
    "right": r"(?!\s+(?:away|now|next|in)\b)",
}
_PASSIVE_AFTER = re.compile(
    r"\b(?:is|are|was|were|be|been|being|gets?|got|has|have|had)\s+(?:\w+ly\s+)?$", re.I
)
_PASSIVE_BEFORE = re.compile(r"\s+(?:\w+ly\s+)?by\b", re.I)
_FORMS = ("base", "present", "ing", "past", "participle")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a sentence, and what takes its place."""

    start: int
    end: int
    text: str


Edit = tuple[Part, ...]
"""One or two parts, by start: `picks` and `up` in `picks the cup up`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """What is looked for, in which form if it is a verb, and what takes its place."""

    pattern: re.Pattern[str]
    form: str
    word: str
    particle: str


def opposites_in(sentence: str) -> list[Edit]:
    """All parts of a sentence that have an opposite, in their order; none overlap.

    Undone, an edit gives the sentence back; `toward` and `gets onto` come back as `towards` and
    `gets on`.
    """
    found: list[Edit] = []
    for rule in _rules():
        for match in rule.pattern.finditer(sentence):
            edit = _edit(match, rule)
            taken = [part for other in found for part in other]
            is_free = all(
                one.end <= other.start or other.end <= one.start for one in edit for other in taken
            )
            if is_free and rule.form in _forms_at(sentence, match):
                found.append(edit)
    return sorted(found, key=lambda edit: edit[0].start)


def _edit(match: re.Match[str], rule: _Rule) -> Edit:
    """What a rule makes of what it found."""
    word = rule.word[0].upper() + rule.word[1:] if match["word"][0].isupper() else rule.word
    parts = [Part(*match.span("word"), word)]
    if rule.particle:
        parts.append(Part(*match.span("particle"), rule.particle))
    return tuple(parts)


def _forms_at(sentence: str, match: re.Match[str]) -> set[str]:
    """Which forms of a verb can stand in a place of a sentence; words that are none always can."""
    before, after = sentence[: match.start("word")], sentence[match.end("word") :]
    is_passive = _PASSIVE_AFTER.search(before) or _PASSIVE_BEFORE.match(after)
    finite = "participle" if is_passive else "past"
    return {"", "ing", finite, "present"} if before.strip() else {"", "ing", "base"}


@cache
def _rules() -> tuple[_Rule, ...]:
    """All rules; those that know more of a sentence come first."""
    verbs = [(_verb(one), _verb(other)) for one, other in _pairs(_VERBS)]
    verbs += [((_forms(one), "to"), (_forms(one), "from")) for one in _MOTION.split()]
    verbs.sort(key=lambda pair: not pair[0][1])
    rules = [rule for one, other in verbs for rule in _verb_rules(one, other)]
    words = sorted(_pairs(_DIRECTIONS + _MANNERS), key=lambda pair: -max(map(len, pair)))
    for one, other in words:
        rules += [_rule(one, "", other, ""), _rule(other, "", one, "")]
    return tuple([*rules, _rule("toward", "", "away from", "")])


_Verb = tuple[tuple[str, ...], str]
"""A verb in its `_FORMS`, and its particle or nothing."""


def _verb_rules(one: _Verb, other: _Verb) -> list[_Rule]:
    """Rules for all forms of two verbs, both ways."""
    return [
        _rule(old, particle, new, new_particle, form=form)
        for (olds, particle), (news, new_particle) in ((one, other), (other, one))
        for form, old, new in zip(_FORMS, olds, news, strict=True)
    ]


def _rule(word: str, particle: str, new: str, new_particle: str, *, form: str = "") -> _Rule:
    """What to look for, and what takes its place."""
    if particle in ("to", "from"):
        after = rf"(?=\s+{_DETERMINER})(?!\s+the\s+(?:left|right)\b)"
    else:
        after = ""
    if particle:
        pattern = rf"(?:\s+[\w'-]+){{0,4}}?\s+(?P<particle>{particle})\b{after}"
    elif form:
        pattern = rf"(?=\s+{_DETERMINER})" if word == "left" else ""
    else:
        pattern = _BEFORE.get(word, "")
    return _Rule(
        pattern=re.compile(rf"\b(?P<word>{word})\b{pattern}", re.I),
        form=form,
        word=new,
        particle=new_particle,
    )


def _pairs(table: str) -> list[tuple[str, str]]:
    """The two sides of each pair of a table."""
    parts = [one.split(" / ") for one in re.split(r"[;\n]\s*", table.strip())]
    return [(one.strip(), other.strip()) for one, other in parts]


def _verb(text: str) -> _Verb:
    """A verb of the table in its forms."""
    verb, _, particle = text.partition(" ")
    return _forms(verb), particle


@cache
def _forms(verb: str) -> tuple[str, ...]:
    """The five forms of a verb."""
    listed = {
        line.split()[0]: tuple(line.split()) for line in re.split(r"[;\n]\s*", _IRREGULAR.strip())
    }
    if verb in listed:
        return listed[verb]
    stem = verb.removesuffix("e")
    if re.search(r"[^aeiou]y$", verb):
        return verb, f"{verb[:-1]}ies", f"{verb}ing", f"{verb[:-1]}ied", f"{verb[:-1]}ied"
    ending = "es" if re.search(r"(?:s|x|z|ch|sh)$", verb) else "s"
    return verb, verb + ending, f"{stem}ing", f"{stem}ed", f"{stem}ed"
