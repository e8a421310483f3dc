"""The official captions' tokenizer, in Python: PTBTokenizer of pycocoevalcap without Java.

Source: behaviour observed of pycocoevalcap 1.2's `PTBTokenizer` (the Stanford CoreNLP 3.4.1 jar
with `-preserveLines -lowerCase`, then removal of a list of punctuation tokens); written from
behaviour, not from its sources.
"""

from __future__ import annotations

from collections.abc import Sequence

from figclip.metrics.captions.ptb_rules import RULES

_NO_BREAK_SPACE = "\u00a0"
_REMOVED = frozenset("'' ' `` ` . ? ! , : - -- ... ; \" --- ---- .. \u2026 \u2018 \u2019 \u201b \u201c \u201d \u201f \u00ab \u00bb \u2039 \u203a \u2013 \u2014 \u2015".split())
_WRITTEN = {
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-",
    "&amp;": "&", "&lt;": "<", "&gt;": ">", "\u20ac": "$", "\u00a3": "#", "\u00a2": "cents",
}  # fmt: skip


def tokenize(sentences: Sequence[str]) -> list[str]:
    return [_lex(s.replace("\n"," "), "\n") for s in sentences]


def _lex(line: str, following: str) -> str:
    text = line + following
    place = 0
    tokens: list[str] = []
    while place < len(line):
        if text[place].isspace():
            place += 1
            continue
        end, far = place + 1, place
        for rule in RULES:
            match = rule.match(text, place)
            if match and match.end() > far:
                far, end = match.end(), match.end(1)
        token = text[place:end]
        place = end
        if token not in _REMOVED and not (set(token) <= set(".") ):
            tokens.append(_written(token))
    return " ".join(tokens)


def _written(token: str) -> str:
    token = token.replace(" ", _NO_BREAK_SPACE)
    if token[0]=="\u2019" and token[1:].lower() in ("d","ll","m","re","s","ve"): token = "'" + token[1:]
    if token[1:]=="\u2019t" and token[0] in "nN": return "n't"
    if token in _WRITTEN: return _WRITTEN[token]
    return token.lower().replace("(","-lrb-").replace(")","-rrb-")
