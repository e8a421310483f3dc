"""What one token of the Penn Treebank looks like: rules learnt by watching the official tokenizer.

A rule is a regular expression. Its group, where it has one, is the token, and what it matches
beyond the group must follow. Of all rules the one that matches furthest wins, the first of equals;
a character that no rule takes is a token by itself.

Source: behaviour observed of the jar that `ptb.py` names; written from behaviour, not from its
sources.
"""

from __future__ import annotations

import re

from figclip.metrics.captions.ptb_words import (
    ABBREVIATIONS,
    APOSTROPHE_WORDS,
    CAPITAL_ABBREVIATIONS,
    CLITICS,
    JOINED_WORDS,
    NUMBER_ABBREVIATIONS,
    SENTENCE_STARTS,
)


def _any_of(words: list[str]) -> str:
    """Any of these words, a longer one first."""
    return "|".join(sorted(words, key=len, reverse=True))


_L = r"[^\W\d_]"  # letter
_A = r"[^\W_]"  # letter or digit
_Q = "['\u2019]"  # apostrophe
_NO_LETTER = rf"(?!{_L})"

# O'Brien, d'Artagnan; ma'am; qu'il
_NAME = (
    rf"(?:[DLOdlo]{_Q}{_A}{{2,}}|[CJNQn]{_Q}{_L}{{2,}}"
    rf"|[A-Za-z]+[AEIOUYaeiouy]{_Q}[AEIOUaeiou][A-Za-z]*"
    rf"|[oO]{_Q}[oO])"
)
_PART = rf"(?:{_NAME}|{_A}+)"
_DOTTED = rf"{_L}{_A}*(?:[.!?]{_L}{_A}*)+"
_ACRONYM = r"[A-Za-z](?:\.[A-Za-z])+\."
_SLASHED = r"[A-Za-z0-9]+(?:-[A-Za-z][A-Za-z0-9]*)*"

_WORDS = (
    # well-known, snake_case; with the full stop of an abbreviation where a clause goes on
    rf"({_PART}(?:[-_]{_PART})*)",
    rf"((?:{_DOTTED}|{_A}+(?:[-_]{_A}+)*)\.)[,;:]",
    r"([A-Za-z0-9][A-Za-z0-9.,]*(?:-[A-Za-z0-9]+)+)",
    # a.b.c, Yahoo!Mail
    rf"({_DOTTED})",
    # and/or, 5/6/2010, 1-1/2
    rf"({_SLASHED}(?:/{_SLASHED}){{1,2}}|[0-9]+-[0-9]+/[0-9]+)",
    # AT&T, C++, C#, US$
    r"([A-Z]+(?:&[A-Z]+)+)",
    r"([Cc]\+\+|[CFcf]#)",
    r"([A-Z]+\$)",
)
_ABBREVIATIONS = (
    rf"((?:[A-Za-z0-9]+-)*{_ACRONYM})",
    r"((?i:ed|ph)\.[Dd]\.)",
    rf"((?:(?i:{_any_of(ABBREVIATIONS)})|{_any_of(CAPITAL_ABBREVIATIONS)})\.)",
    rf"((?i:{_any_of(NUMBER_ABBREVIATIONS)})\.)\s?[0-9]",
    rf"([A-Za-z])\.\s+(?:{_any_of(SENTENCE_STARTS)})\s",
    r"([A-Za-z]\.)",
)
_CONTRACTIONS = (
    rf"([A-Za-z]+)[nN]{_Q}[tT]",
    rf"([nN]{_Q}[tT])",
    rf"({_Q}(?:{_any_of(CLITICS)})){_NO_LETTER}",
    rf"((?i:{_any_of(APOSTROPHE_WORDS)}))",
    rf"({_Q}[nN]{_Q}|{_Q}[nN]{_NO_LETTER})",
    rf"({_Q}[0-9]{{2}}[sS])",
    rf"({_Q}[0-9]{{2}})(?:\s)",
    # 'tis and 'twas: the first half
    rf"({_Q}[tT])(?:is|was)",
    *(rf"(?i:({first}){second}){_NO_LETTER}" for first, second in JOINED_WORDS),
    # d'Artagnan's first letter, y'all: a prefix that no word took
    rf"([dDjJlL]{_Q}|[oO][lL]{_Q})(?!(?:{_any_of(CLITICS)}){_NO_LETTER})",
    rf"([yY]{_Q}){_L}",
)
_NUMBERS = (
    r"([-+]?[0-9]*(?:[.,:]?[0-9]+)+)",
    r"([0-9]+(?:[ \u00a0]|-)[0-9]{1,4}(?:/|\\/)[0-9]{1,4})",
    r"((?:\+[0-9]{2,3}[ \u00a0])?(?:\([0-9]{2,3}\)[ \u00a0]?|[0-9]{2,4}[ \u00a0])"
    r"[0-9]{3,4}[- \u00a0]?[0-9]{3,5})",
)
_NO_PATH = r'\s"<>|(){}'
_ADDRESSES = (
    rf"(https?://[!-~]?[^{_NO_PATH}]*[^{_NO_PATH}.,!?-])",
    r"(@[A-Za-z_][A-Za-z0-9_]*|#[A-Za-z]+)",
    rf"([A-Za-z0-9][^{_NO_PATH}]*@(?:[^{_NO_PATH}.]+\.)*[^{_NO_PATH}.]+)",
)
_SIGNS = (
    r"([?!]+|\.{3,}|\.(?:\s\.){2,}|-{5,}|--+|<<|>>|__+|##+|@@+|\*\*+|\\\*)",
    r"(</?[A-Za-z][-A-Za-z0-9_:.@]*(?:\s[^<>]*)?/?>|<[!?][A-Za-z-][^<>]*>)",
    r"([<>]?[:;=][-o*']?[()@\\{|\[\]DOPdp])(?![A-Za-z0-9])",
    r"([-'<=>^~]_[-'<=>^~])",
    r"(&(?:amp|lt|gt|quot|apos|nbsp|mdash|ndash);|&#[0-9]+;)",
    r"(''|``|-[LRlr][RSCrsc][Bb]-)",
)
RULES = tuple(
    re.compile(rule)
    for rule in _CONTRACTIONS + _WORDS + _ABBREVIATIONS + _NUMBERS + _ADDRESSES + _SIGNS
)
