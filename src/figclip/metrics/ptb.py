"""The official captions' tokenizer in Python: pycocoevalcap's PTBTokenizer without Java.

A rule is a regular expression. Its group, where it has one, is the token, and what it matches
beyond the group must follow. Of all rules the one that matches furthest wins, the first of equals;
a character that no rule takes is a token by itself. Words that the official tokenizer treats apart
are listed by name.

Equal for all 154,963 sentences of ActivityNet's and YouCook2's validation annotations and of
VidSitu's arguments (2026-11). Of strings thrown together from odd words and signs, such as `(x')`,
about one in a thousand differs.

Source: behaviour observed of pycocoevalcap 1.2's `PTBTokenizer` (the Stanford CoreNLP 3.4.1 jar
with `-preserveLines -lowerCase`, then removal of a list of punctuation tokens). Rules and words
come from running the jar (every string of one to five letters and 45 thousand words: alone, before
a full stop, before `. 5`, `.x` and `. The`, and with an apostrophe at every place); its sources
were not read.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

# Keep their full stop wherever they stand: `mr.`, `jan.`. A letter right behind it makes one word
# with a title (`mr.x`), but not with the others (`inc. x`).
TITLES = """
    adj adm adv alex assoc asst atty attys ave brig capt cf cie cmdr col comdr cpl dept det dr drs
    elec ens ft gen gov govs hon insp invt jos lieut lt maj messrs mfg mlle mme mr mrs ms msgr mt
    mtg natl pfc ph pres prof profs pvt rep reps rev sen sens sfc sgt spc st ste supt supts treas vs
    wm
""".split()
OTHER_ABBREVIATIONS = """
    al ala apr ariz assn aug az bhd bldg blvd bros calif co colo conn corp cos ct dak dec esq est
    etc ext feb fla fri ga inc ind intl jan jr jul jun kan kans ky ltd mar md mich minn mo mon mont
    neb nev nov oct okla penn plc ppte pptes ppty pptys pte ptes pty ptys rd rt sep sept seq sq sr
    sys tel tenn thu thurs tue tues univ va vt wed wis wisc wyo
""".split()

# As the others, but only with a capital, for they are words as well: `Miss.`, `Wash.`.
CAPITAL_ABBREVIATIONS = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash".split()

# Keep their full stop before a number: `no. 5`, `figs. 5`.
NUMBER_ABBREVIATIONS = "art ca fig figs no nos op pp prop".split()

# A letter and a full stop before one of these ends a sentence: `grade F. The`.
SENTENCE_STARTS = """
    A About According Additionally After An As At But Earlier He Her Here However If In It Last
    Many More Now Once One Other Our She Since So Some Such That The Their Then There These They
    This We What When While Yet You
""".split()

# Written as one word, two words of the Treebank.
JOINED_WORDS = [word.split("|") for word in "can|not gim|me gon|na got|ta lem|me wan|na".split()]

# What follows a word after an apostrophe and is a word of its own: `she'll`.
CLITICS = "d ll m re s ve".split()

# Words that begin with an apostrophe or hold one that no rule explains; the last two only `'`.
APOSTROPHE_WORDS = "'em 'til 'till 'cause c'est n'er".split()
STRAIGHT_APOSTROPHE_WORDS = "c'mon e'er".split()


def _any_of(words: Sequence[str]) -> str:
    """Any of these words, a longer one first."""
    return "|".join(sorted(words, key=len, reverse=True))


NO_BREAK_SPACE = "\u00a0"
SOFT_HYPHEN = "\u00ad"

# Contents of character classes, learnt by asking for each character. Exact up to U+02FF and from
# U+2000 to U+2BFF; elsewhere blocks of letters as a whole.
_LETTERS = (
    r"A-Za-z\xaa\xb5\xba\xc0-\xd6\xd8-\xf6\xf8-\u037d\u0384-\u0386\u0388-\u0481\u0483-\u0487"
    r"\u048a-\u0588\u0591-\u05bd\u05bf-\u05f2\u0610-\u061a\u0620-\u0669\u066b-\u06d3"
    r"\u06d5-\u06ff\u070f-\u0963\u0966-\u1fbc\u1fbe-\u1fff\u2071\u207f\u2090-\u209c\u2102\u2107"
    r"\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2139\u213c-\u213f"
    r"\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2dff\u3005\u3006\u3031-\u3035\u303b\u303c"
    r"\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u318e\u31a0-\u31ff\u3400-\u9fcc"
    r"\ua000-\ud7fb\uf900-\ufd3d\ufd50-\ufdfb\ufe70-\ufefc\uff10-\uff19\uff21-\uff3a"
    r"\uff41-\uff5a\uff66-\uffdc"
)
_KNOWN_SIGNS = (
    r"!-/:-@\[-`{-~\x80\xa1-\xa9\xab\xac\xae-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7\u037e\u0387\u0589"
    r"\u060c\u061b\u061e\u061f\u066a\u06d4\u0964\u0965\u2010\u2011\u2013-\u2023\u2026"
    r"\u2030-\u203b\u203e-\u2042\u2044\u2070\u2074-\u207e\u2080-\u208e\u20a0\u20a4\u20ac\u2100"
    r"\u2101\u2103-\u2106\u2108\u2109\u2114\u2116-\u2118\u211e-\u2123\u2125\u2127\u2129\u212e"
    r"\u213a\u213b\u2140-\u2144\u214a-\u214d\u214f\u2153-\u215e\u2190-\u2bff\u3001\u3002\u3012"
    r"\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\uffe0\uffe1\uffe5\uffe6"
)
# What no token holds.
GAP = re.compile(f"[^{_LETTERS}{_KNOWN_SIGNS}0-9{NO_BREAK_SPACE}]")

_L = f"[{_LETTERS}]"
_A = f"[{_LETTERS}0-9]"
_Q = "['\u2019]"  # apostrophe
_HYPHEN = r"[-_\u2010\u2011]"
_NO_LETTER = rf"(?!{_L})"
_ANY_CLITIC = rf"(?i:{_any_of(CLITICS)}){_NO_LETTER}"

# O'Brien, d'Artagnan, o'o
_NAME = rf"(?:[DLOdlo]{_Q}{_A}{{2,}}|[CJNQn]{_Q}{_L}{{2,}}|[oO]{_Q}[oO])"
_PART = rf"(?:{_NAME}|{_A}+)"
_DOTTED = rf"{_L}{_A}*(?:[.!?]{_L}{_A}*)+"
_ACRONYM = r"[A-Za-z](?:\.[A-Za-z])+\."
_SLASHED = r"[A-Za-z0-9]+(?:-[A-Za-z][A-Za-z0-9]*)*"

_WORDS = (
    # well-known, snake_case
    rf"({_PART}(?:{_HYPHEN}{_PART})*)",
    # ma'am, qu'il, McO'Brien
    rf"(?!{_L}*{_Q}{_ANY_CLITIC})({_L}+[AEIOUYaeiouy]{_Q}[A-Zaeiou][A-Za-z]*)",
    # with the full stop of an abbreviation where a clause goes on
    rf"((?:{_DOTTED}|{_A}+(?:{_HYPHEN}{_A}+)*)\.)[,;:]",
    # 1,000-year, U.S.-made. Unbounded, such a rule takes quadratic time in a long run of commas
    r"([A-Za-z0-9][A-Za-z0-9.,]{0,200}(?:-[A-Za-z0-9]+)+)",
    # a.b.c, Yahoo!Mail
    rf"({_DOTTED})",
    # and/or, 5/6/2010, 1-1/2
    rf"({_SLASHED}(?:/{_SLASHED}){{1,2}}|[0-9]+-[0-9]+/[0-9]+)",
    # AT&T, C++, C#, US$
    r"([A-Z]+(?:&[A-Z]+)+)",
    r"([Cc]\+\+|[CFcf]#)",
    r"([A-Z]+\$)",
)
# <br/>, <b>, <a href="page">, </b>, <!-- note -->
_TAG = "[A-Za-z][-A-Za-z0-9_:.@]*"
_ATTRIBUTE = r"[A-Za-z][-A-Za-z0-9_:.]*(?:=(?:\"[^\"\n]*\"|'[^'\n]*'))?"
_MARKUP = rf"<{_TAG}(?: +{_ATTRIBUTE})* */?>|</{_TAG} *>|<[!?][A-Za-z-][^<>\n]*>"
_NEXT_SENTENCE = rf"(?:{_any_of(SENTENCE_STARTS)}|M[rs]\.|M[RS]\.|{_MARKUP})\s"
_ABBREVIATIONS = (
    rf"((?:(?i:{_any_of(OTHER_ABBREVIATIONS)})|{_any_of(CAPITAL_ABBREVIATIONS)})\.){_A}?",
    rf"((?i:ed|ph)\.[Dd]\.){_A}?",
    rf"((?:[A-Za-z0-9]+-)*{_ACRONYM})",
    rf"((?i:{_any_of(TITLES)})\.)",
    rf"((?i:{_any_of(NUMBER_ABBREVIATIONS)})\.)\s?[0-9]",
    rf"([A-Za-z])\.\s+{_NEXT_SENTENCE}",
    r"([A-Za-z]\.)",
)
_CONTRACTIONS = (
    rf"([A-Za-z]+)[nN]{_Q}[tT]",
    rf"([nN]{_Q}[tT])",
    rf"({_Q}{_ANY_CLITIC})",
    rf"((?i:{_any_of(APOSTROPHE_WORDS)}))".replace("'", _Q),
    rf"((?i:{_any_of(STRAIGHT_APOSTROPHE_WORDS)}))",
    rf"({_Q}[nN]{_Q}|{_Q}[nN]{_NO_LETTER})",
    rf"({_Q}[0-9]{{2}}[sS])",
    rf"({_Q}[0-9]{{2}})\s",
    # 'tis and 'twas: the first half
    r"('[tT])(?i:is|was)",
    *(rf"(?i:({first}){second}){_NO_LETTER}" for first, second in JOINED_WORDS),
    # d'Artagnan's first letter, y'all: a prefix that no word took
    rf"([dDjJlL]{_Q}|[oO][lL]{_Q})(?!{_ANY_CLITIC})",
    rf"([yY]{_Q}){_L}",
)
_NUMBERS = (
    r"([-+]?[0-9]*(?:[.,:]?[0-9]+)+)",
    r"([0-9]+(?:[ \u00a0]|-)[0-9]{1,4}(?:/|\\/)[0-9]{1,4})",
    r"((?:\+[0-9]{2,3}[ \u00a0])?(?:\([0-9]{2,3}\)[ \u00a0]?|[0-9]{2,4}[ \u00a0])"
    r"[0-9]{3,4}[- \u00a0]?[0-9]{3,5})",
)
_NO_PATH = r'\s"<>|(){}'
# www.site.de, site.com, before a path
_SITE = (
    rf"(?:(?i:www)\.(?:{_A}[^\s.{_NO_PATH}]*\.)+[A-Za-z]{{2,4}}"
    r"|[a-z]+(?:\.[a-z]+)*\.(?i:com|net|org|edu))"
)
_ADDRESSES = (
    rf"((?:http|HTTP)s?://[^{_NO_PATH}]+[^{_NO_PATH}.,!?-])",
    r"(@[A-Za-z_][A-Za-z0-9_]*|#[A-Za-z]+)",
    rf"({_SITE}/[^\s\"<>|()]+[^\s\"<>|().,!?-])",
    rf"(<?[A-Za-z0-9][^{_NO_PATH}]{{0,200}}@(?:[^{_NO_PATH}.]+\.)*[^{_NO_PATH}.]+>?)",
)
_SIGNS = (
    r"([?!]+|\.{3,}|\.(?: \.){2,}|-{5,}|--+|<<|>>|__+|##+|@@+|\*\*+|\\\*)",
    rf"({_MARKUP})",
    r"([<>]?[:;=][-o*']?[()@\\{|\[\]DOPdp])(?![A-Za-z0-9])",
    r"([-'<=>^~x]_[-'<=>^~x])",
    r"(&(?:amp|lt|gt|quot|apos|nbsp|mdash|ndash);|&#[0-9]+;)",
    r"(''|``|-[LRlr][RSCrsc][Bb]-)",
)
RULES = tuple(
    re.compile(rule)
    for rule in _CONTRACTIONS + _ABBREVIATIONS + _WORDS + _NUMBERS + _ADDRESSES + _SIGNS
)


# Punctuation, and what the jar writes as punctuation before it is removed.
_REMOVED = frozenset(
    "'' ' `` ` ? ! , : - -- --- ---- ; \" \xab \xbb \u2010 \u2011 \u2013 \u2014 \u2015"
    " \u2018 \u2019 \u201b \u201c \u201d \u2026 \u2039 \u203a".split()
)
_WRITTEN = {
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-",
    "&amp;": "&", "&lt;": "<", "&gt;": ">",
    "\x80": "$", "\xa4": "$", "\u20a0": "$", "\u20ac": "$", "\xa3": "#", "\xa2": "cents",
    "\xbc": "1/4", "\xbd": "1/2", "\xbe": "3/4", "\u2153": "1/3", "\u2154": "2/3",
}  # fmt: skip

_CLITIC = re.compile(rf"\u2019(?:{'|'.join(CLITICS)})|n\u2019t")
# A word is the same wherever it stands: with these kept, captions take a quarter of the time.
_PLAIN = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*[.,!?;:]?")
_MAX_PLAIN = 40


def tokenize(sentences: Sequence[str]) -> list[str]:
    """Tokens of the Penn Treebank, lower-case, without punctuation, one space between two.

    The next sentence decides in rare cases, officially too: a full stop belongs to the letter in
    `grade F.` unless `The` or the like comes next. One by one, sentences do not depend on others.

    A line break within a sentence is a space. Letters of any script make words; what is neither a
    letter nor a known sign, as emoji, is left out.

    Returns:
        One line per sentence; a token may hold a no-break space (`1 3/4`), no other space.
    """
    lines = [_known(sentence) for sentence in sentences]
    text = "\n".join([*lines, ""])
    found: list[str] = []
    start = 0
    for line in lines:
        end = start + len(line)
        tokens = [_plain_tokens(chunk) for chunk in line.split()]
        found.append(
            _tokens(text, start, end) if None in tokens else " ".join(filter(None, tokens))
        )
        start = end + 1
    return found


def _known(sentence: str) -> str:
    """The sentence on one line, with a space in place of what no token may hold."""
    if sentence.isascii() and sentence.isprintable():
        return sentence
    return GAP.sub(" ", sentence.replace(SOFT_HYPHEN, ""))


@lru_cache(maxsize=2**16)
def _plain_tokens(chunk: str) -> str | None:
    """Tokens of what stands between two spaces, or None if they may depend on what follows."""
    if len(chunk) > _MAX_PLAIN or not _PLAIN.fullmatch(chunk):
        return None
    found = {_tokens(chunk + behind, 0, len(chunk)) for behind in ("\n", "\n5\n", " The ")}
    return found.pop() if len(found) == 1 else None


def _tokens(text: str, place: int, end: int) -> str:
    """Tokens of `text[place:end]`, within a line; what stands behind decides with it."""
    tokens: list[str] = []
    while place < end:
        if text[place].isspace():
            place += 1
            continue
        token_end, far = place + 1, place
        for rule in RULES:
            match = rule.match(text, place)
            if match and match.end() > far:
                token_end, far = match.end(1), match.end()
        token = text[place:token_end]
        place = token_end
        if token not in _REMOVED and token.strip("."):
            tokens.append(_written(token))
    return " ".join(tokens)


def _written(token: str) -> str:
    if token in _WRITTEN:
        return _WRITTEN[token]
    token = token.replace(" ", NO_BREAK_SPACE).lower()
    if _CLITIC.fullmatch(token):
        return token.replace("\u2019", "'")
    return token.replace("(", "-lrb-").replace(")", "-rrb-")
