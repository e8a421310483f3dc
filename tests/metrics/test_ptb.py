from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.metrics.ptb import NO_BREAK_SPACE, tokenize

REMOVED = set("'' ' `` ` . ? ! , : - -- ... ;".split())
WORDS = st.sampled_from("the man's dogs' isn't well-known He said stop go".split())
PLAIN = st.lists(st.tuples(WORDS, st.sampled_from(["", "", ",", "."])), max_size=8).map(
    lambda chunks: " ".join(word + mark for word, mark in chunks)
)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The man's dog, a puppy, runs.", "the man 's dog a puppy runs"),
        ("They can't; he cannot!", "they ca n't he can not"),
        ("I'm gonna see 'em at 5 o'clock", "i 'm gon na see 'em at 5 o'clock"),
        ("(left) [x] {y}", "-lrb- left -rrb- -lsb- x -rsb- -lcb- y -rcb-"),
        ("well-known e-mail --- no - end...", "well-known e-mail no end"),
        ("What?! Really?", "what ?! really"),
        ("Mr. Smith of the U.S. in Jan. 2012.", "mr. smith of the u.s. in jan. 2012"),
        ("fig. 5 and the fig.", "fig. 5 and the fig"),
        ("$5, 50% of #3", "$ 5 50 % of # 3"),
        ("add 1 3/4 cups", f"add 1{NO_BREAK_SPACE}3/4 cups"),
        ("see www.site.org/page.", "see www.site.org/page"),
        ("\"quoted\" ``text'' 'here'", "quoted text here"),
        ("R&B &amp; soul", "r&b & soul"),
        ("Inc. and inc.x but dr.x", "inc. and inc. x but dr.x"),
        ("<b>Bold</b> <a man> <it's>", f"<b> bold </b> <a{NO_BREAK_SPACE}man> < it 's >"),
        ("me@site.org or http://site.org/a?b, ok", "me@site.org or http://site.org/a?b ok"),
        ("site.com/page and www.site.de/page", "site.com/page and www.site.de/page"),
        ("ma'am, SHE'S an O'Brien", "ma'am she 's an o'brien"),
        ("'tis '90s 'n' C++", "'t is '90s 'n' c++"),
        ("a\nb", "a b"),
        ("", ""),
        (" . ", ""),
    ],
)
def test_written_sentences(text: str, tokens: str):
    assert tokenize([text]) == [tokens]


def test_beyond_ascii():
    """Letters make words; quotation marks and dashes go; other signs stand alone."""
    found = tokenize(
        ["Caf\u00e9 \u201cna\u00efve\u201d \u2014 it\u2019s 10\u00b0 \u4e2d\u6587\u2026\u200b"]
    )
    assert found == ["caf\u00e9 na\u00efve it 's 10 \u00b0 \u4e2d\u6587"]
    assert tokenize(["5\u20ac, 1\u00bd\u00d7, soft\u00adly"]) == ["5 $ 1 1/2 \u00d7 softly"]
    assert tokenize(["left \U0001f600right\x00"]) == ["left right"]


def test_the_next_sentence_decides_about_a_letter():
    assert tokenize(["grade F.", "The end"])[0] == "grade f"
    assert tokenize(["grade F.", "the end"])[0] == "grade f."
    assert tokenize(["grade F.", "", " ", "The end"])[0] == "grade f"
    assert tokenize(["grade F.", "Mr. X"])[0] == tokenize(["grade F.", "<b> x"])[0] == "grade f"
    assert tokenize(["see no.", "5"])[0] == "see no."
    assert tokenize(["see no.", "", "5"])[0] == "see no"


@given(st.lists(st.text(), max_size=4))
def test_any_text_gives_one_line_of_tokens_a_sentence(sentences: list[str]):
    found = tokenize(sentences)
    assert len(found) == len(sentences)
    for line in found:
        assert line == line.lower()
        tokens = line.split(" ") if line else []
        assert all(token.strip() and token not in REMOVED for token in tokens)


@given(st.text(alphabet=st.characters(min_codepoint=9, max_codepoint=126)))
def test_no_letter_or_digit_of_ascii_text_is_lost(text: str):
    def kept(text: str) -> list[str]:
        return sorted(character for character in text.lower() if character.isalnum())

    (found,) = tokenize([text])
    for sign, name in zip("()[]{}", "lrb rrb lsb rsb lcb rcb".split(), strict=True):
        found = found.replace(f"-{name}-", sign)
    if "&" not in text and "-" not in text:  # entities are decoded, -LRB- is a bracket already
        # The full stop of an abbreviation may come out twice, letters and digits never.
        assert kept(found) == kept(text)


@given(st.lists(PLAIN, max_size=4))
def test_plain_sentences_do_not_depend_on_their_neighbours(sentences: list[str]):
    assert tokenize(sentences) == [tokenize([sentence])[0] for sentence in sentences]


@given(PLAIN)
def test_the_way_for_plain_sentences_gives_what_the_whole_lexer_gives(sentence: str):
    # A number is no plain chunk, so the whole sentence goes through the lexer.
    assert tokenize([sentence + " 5"])[0] == f"{tokenize([sentence])[0]} 5".strip()


@given(PLAIN)
def test_tokens_of_plain_sentences_are_their_own_tokens(sentence: str):
    tokens = tokenize([sentence])
    assert tokenize(tokens) == tokens
