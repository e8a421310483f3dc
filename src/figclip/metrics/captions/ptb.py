"""The official captions' tokenizer, in Python: PTBTokenizer of pycocoevalcap without Java.

Source: behaviour observed of pycocoevalcap 1.2's `PTBTokenizer` (the Stanford CoreNLP 3.4.1 jar
with `-preserveLines -lowerCase`, then removal of a list of punctuation tokens); written from
behaviour, not from its sources. Equal for all 154,963 sentences of ActivityNet's and YouCook2's
validation annotations and of VidSitu's arguments (2026-11). Of strings thrown together from odd
words and signs, such as `(x')`, about one in a thousand differs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from figclip.metrics.captions.ptb_rules import GAP, NO_BREAK_SPACE, RULES, SOFT_HYPHEN
from figclip.metrics.captions.ptb_words import CLITICS

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

    Args:
        sentences: Any text.

    Returns:
        One line a sentence; a token may hold a no-break space (`1 3/4`), no other space.
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
    """The token as the jar writes it."""
    if token in _WRITTEN:
        return _WRITTEN[token]
    token = token.replace(" ", NO_BREAK_SPACE).lower()
    if _CLITIC.fullmatch(token):
        return token.replace("\u2019", "'")
    return token.replace("(", "-lrb-").replace(")", "-rrb-")
