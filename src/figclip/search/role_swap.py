"""Exchange who acts and who is acted on in a plain English sentence.

A small parser, for determiner and noun (`a small man in red`), not for English: where it is not
sure, it refuses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[\w'-]+|[^\w\s]")
_SINGULAR = frozenset("a an another one each every".split())
_PLURAL = frozenset("two three four five six several many".split())
_DETERMINERS = _SINGULAR | _PLURAL | set("the his her its their my your our some".split())
_ALONE = frozenset("someone somebody".split())
_COLOURS = frozenset(
    "red orange yellow green blue purple white black brown grey gray pink dark light".split()
)
_BE_AND_HAVE = frozenset(
    "is are was were be been being am gets get got has have had does do did can will".split()
)
# What may stand before someone who acts or is acted on, besides a verb.
_OF_ROLES = frozenset("by to at after from behind towards toward past over for".split())
_PARTICLES = frozenset("up down away out".split())
_OTHER_BOUNDARIES = frozenset(
    "in on off near with of into onto under above below through across along around against "
    "inside outside beside next between among while before but then who that which where "
    "we you he she they it i there here together not as than because so back upon without "
    "this that these those".split()
)
_NO_NOUNS = frozenset("and or fast hard again home today left right ahead".split())
_JOINS = frozenset("and or , with beside next near together".split())

_PEOPLE = frozenset(
    "man woman boy girl child kid baby toddler person adult player dancer teacher student worker "
    "driver rider runner skater skier surfer swimmer climber boxer wrestler fighter referee coach "
    "doctor nurse patient waiter waitress chef cook customer clerk cashier officer policeman "
    "policewoman soldier fireman firefighter guard thief actor actress singer drummer guitarist "
    "musician father mother dad mom son daughter brother sister husband wife grandfather "
    "grandmother friend lady gentleman guy teenager goalkeeper striker pitcher batter bride groom "
    "pedestrian cyclist passenger visitor farmer hunter someone somebody".split()
)
_PEOPLE_TOGETHER = {"men": "man", "women": "woman", "children": "child", "people": "person",
                    "babies": "baby", "ladies": "lady", "wives": "wife"}  # fmt: skip
_MOVERS = frozenset(
    "cat dog rabbit bear bird frog robot puppy kitten horse cow sheep goat pig chicken duck goose "
    "lion tiger elephant monkey fox wolf deer mouse rat squirrel fish shark snake turtle animal "
    "car truck bus van train tram bike bicycle motorcycle motorbike scooter tractor boat ship "
    "plane helicopter drone vehicle taxi ambulance".split()
)
_LIKE_ADVERBS = frozenset("friendly ugly lonely elderly silly curly lovely family".split())
_LIKE_VERBS = frozenset(
    "building ceiling painting railing clothing wedding evening morning seed bus glass dress "
    "grass bass class cross".split()
)
_PASTS = frozenset(
    "hit bit threw gave took held caught sold bought taught told led fed fought shot beat saw met "
    "kept left lost made put cut rode drove drew ran sat stood swam went came fell wore wrote "
    "thrown given taken bitten beaten ridden seen shown shook shaken flew dragged hurt knew".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why no roles can be exchanged."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _NounPhrase:
    """`a small man in red` at a place of a sentence; `before` is the word before it."""

    start: int
    end: int
    determiner: str
    head: str
    before: str

    @property
    def is_plural(self) -> bool:
        is_listed = self.determiner in _PLURAL or self.head in _PEOPLE_TOGETHER
        return is_listed or bool(re.search(r"[^su]s$", self.head) and self.head not in _LIKE_VERBS)

    @property
    def kind(self) -> str:
        """The head in the singular, where the lists above have it."""
        if self.head in _PEOPLE | _MOVERS:
            return self.head
        return _PEOPLE_TOGETHER.get(self.head, self.head.removesuffix("s"))


def swap_roles(sentence: str) -> str | Refusal:
    """The sentence with two phrases exchanged: two people, else two who can move, else two things.

    `a man hands a cup to a woman`: `a woman hands a cup to a man`.
    """
    phrases = [one for one in _noun_phrases(sentence) if one.before not in _OTHER_BOUNDARIES]
    pair = _who_and_whom(phrases)
    if isinstance(pair, Refusal):
        return pair
    first, second = pair
    texts = [sentence[one.start : one.end] for one in pair]
    between = sentence[first.end : second.start]
    if {word.lower() for word in _WORD.findall(between)} <= _JOINS:
        return Refusal(why=f"{texts[0]!r} and {texts[1]!r} do the same")
    if first.is_plural != second.is_plural:
        return Refusal(why=f"{texts[0]!r} and {texts[1]!r} take different forms of the verb")
    names = {re.sub(r"^\w+ ", "", one).casefold() for one in texts}
    if len(names) == 1 or names <= _ALONE:
        return Refusal(why=f"both are called {texts[1]!r}")
    if first.start == 0 and texts[0][0].isupper():
        texts = [texts[0][0].lower() + texts[0][1:], texts[1][0].upper() + texts[1][1:]]
    return sentence[: first.start] + texts[1] + between + texts[0] + sentence[second.end :]


def _who_and_whom(phrases: Sequence[_NounPhrase]) -> tuple[_NounPhrase, _NounPhrase] | Refusal:
    """The two phrases to exchange."""
    people = [one for one in phrases if one.kind in _PEOPLE]
    movers = [one for one in phrases if one.kind in _PEOPLE or one.kind in _MOVERS]
    things = [one for one in phrases if one.before in ("", "by") or one.before not in _OF_ROLES]
    for group in (people, movers, things):
        if len(group) > 2:
            return Refusal(why="more than two could change places")
        if len(group) == 2 and (group is not things or not movers):
            return group[0], group[1]
    return Refusal(why="no two people or things that act and are acted on")


def _noun_phrases(sentence: str) -> list[_NounPhrase]:
    """All phrases of a determiner and a noun."""
    tokens = list(_WORD.finditer(sentence))
    words = [one[0].lower() for one in tokens]
    found: list[_NounPhrase] = []
    has_verb = False
    place = 0
    while place < len(words):
        word, stop = words[place], place + 1
        if word in _DETERMINERS:
            while stop < len(words) and not _ends_phrase(words[stop]):
                stop += 1
            is_whole = stop < len(words) and words[stop] in _BE_AND_HAVE
            if stop - place > 2 and not is_whole and _is_verb(words[stop - 1], has_verb=has_verb):
                stop -= 1
        elif word not in _ALONE:
            has_verb |= not _ends_phrase(word) and _is_verb(word, has_verb=has_verb)
            place += 1
            continue
        head = words[stop - 1]
        if words[stop : stop + 1] in (["in"], ["wearing"]):
            colours_end = stop + 1
            while colours_end < len(words) and words[colours_end] in _COLOURS:
                colours_end += 1
            stop = colours_end if colours_end > stop + 1 else stop
        if head not in _DETERMINERS:
            found.append(
                _NounPhrase(
                    start=tokens[place].start(),
                    end=tokens[stop - 1].end(),
                    determiner=word,
                    head=head,
                    before=words[place - 1] if place else "",
                )
            )
        place = stop
    return found if has_verb else []


def _ends_phrase(word: str) -> bool:
    """Whether a word cannot stand between a determiner and its noun, nor be the noun."""
    is_adverb = word.endswith(("ly", "ward", "wards", "stairs")) and word not in _LIKE_ADVERBS
    function_words = _BE_AND_HAVE | _OF_ROLES | _PARTICLES | _OTHER_BOUNDARIES | _NO_NOUNS
    return is_adverb or not word[0].isalnum() or word in function_words | _DETERMINERS | _ALONE


def _is_verb(word: str, *, has_verb: bool) -> bool:
    """Whether a word looks like a verb; a second `-s` is taken for a plural."""
    if word in _PASTS:
        return True
    if (
        word in _LIKE_VERBS
        or word in _PEOPLE_TOGETHER
        or word.removesuffix("s") in _MOVERS | _PEOPLE
    ):
        return False
    ending = re.search(r"[aeiouy].*(?:ing|ed)$", word)
    return bool(ending) or (not has_verb and bool(re.search(r"[^su]s$", word)))
